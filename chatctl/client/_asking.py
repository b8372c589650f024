"""Ask a server to be let in: make a key here, show three words, and wait for an admin.

Until the words are compared, nothing is known of the server. They depend on its CA and on this key, so that
they differ at the other end if somebody sits between the two.
"""

from __future__ import annotations

import base64
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import cast

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding

from chatctl.client._joining import (
    EnrolConnection,
    InviteResult,
    ServerTrust,
    certificate_of,
    check_free,
    write_enrolled,
)
from chatd.errors import ChatdError
from chatd.pki.contexts import check_invited_server
from chatd.pki.profiles import fingerprint, spki
from chatd.pki.rollover import successor
from chatd.pki.signing_request import make_request
from chatd.proto.ask_frames import (
    ASK_SECONDS,
    NONCE_BYTES,
    AskedFrame,
    NonceFrame,
    ask_words,
    commitment,
)
from chatd.proto.enrol_frames import AuthorityFrame, EnrolledFrame, parse_enrol_frame

# Failures that pass: the connection is made again, and the ask goes on.
_PASSING = ("E502", "E503", "E504", "E506", "E607")
RETRY_SECONDS = 2.0


@dataclass
class _Ask:
    """The state of an ask, which outlives its connections. ``words`` are "" until both ends have them."""

    server: str
    user: str
    device: str
    shows: Callable[[str], None]
    confirm: Callable[[str], None]
    now: Callable[[], datetime]
    key: ec.EllipticCurvePrivateKey = field(default_factory=lambda: ec.generate_private_key(ec.SECP256R1()))
    words: str = ""
    ca: bytes = b""


def ask(
    server: str,
    user: str,
    path: Path,
    device: str = "",
    *,
    shows: Callable[[str], None],
    confirm: Callable[[str], None],
    lost: Callable[[ChatdError], None] = lambda error: None,
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
    sleep: Callable[[float], None] = time.sleep,
) -> InviteResult:
    """Ask to be let in as ``user``, wait for an admin, and write the identity file ``path``.

    ``shows`` gets the three words to compare. ``confirm`` gets them before anything is written, and raises
    unless the admin has the same: a server that lets everybody in may be somebody else's. ``lost`` gets each
    failure after which the connection is made again.
    Raises ChatdError: E221 denied, E222 not decided within 10 minutes.
    """
    check_free(path)
    state = _Ask(server, user, device, shows, confirm, now)
    ends = time.monotonic() + ASK_SECONDS
    while True:
        try:
            return _attempt(state, path)
        except ChatdError as error:
            if not state.words or error.code not in _PASSING or time.monotonic() >= ends:
                raise
            lost(error)
        sleep(RETRY_SECONDS)


def _attempt(state: _Ask, path: Path) -> InviteResult:
    with EnrolConnection(state.server) as connection:
        frame = cast(AuthorityFrame, connection.receive(AuthorityFrame))
        trusted = ServerTrust.of(frame)
        ca = trusted.pinned
        instance = check_invited_server(connection.leaf, ca, state.now())
        ca_der = ca.public_bytes(Encoding.DER)
        if state.words and ca_der != state.ca:
            raise ChatdError("E209", f"{state.server} has another CA than before")
        _exchange(connection, state, ca_der)
        enrolled = _wait(connection)
        successor(ca, certificate_of(enrolled.ca), trusted.crosses)
        state.confirm(state.words)
        identity = write_enrolled(
            path, state.key, trusted, instance, (state.server, *enrolled.addresses), enrolled
        )
    return InviteResult(identity, enrolled.role, fingerprint(ca_der))


def _exchange(connection: EnrolConnection, state: _Ask, ca: bytes) -> None:
    """Ask, and show the words once both nonces are known; a server that knows this ask says so instead."""
    nonce = secrets.token_bytes(NONCE_BYTES)
    connection.send(
        {
            "type": "ask",
            "user": state.user,
            "device": state.device,
            "csr": base64.b64encode(make_request(state.key)).decode("ascii"),
            "commitment": commitment(nonce),
        }
    )
    answer = connection.next_message()
    if answer.get("type") == "asked" and state.words:
        return
    told = cast(NonceFrame, parse_enrol_frame(answer, NonceFrame))
    words = ask_words(ca, nonce, bytes.fromhex(told.nonce), spki(state.key.public_key()), state.user)
    connection.send({"type": "reveal", "nonce": nonce.hex()})
    connection.receive(AskedFrame)
    state.words, state.ca = words, ca
    state.shows(words)


def _wait(connection: EnrolConnection) -> EnrolledFrame:
    while (message := connection.next_message()).get("type") == "asked":
        pass
    return cast(EnrolledFrame, parse_enrol_frame(message, EnrolledFrame))
