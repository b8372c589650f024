"""Redeem an invite: make a key here, check the server, get a certificate, write the identity file.

The key never leaves this machine. Until the outcome is known it is kept beside the identity file to be, so
that a lost reply costs nothing: the same key gets its certificate again.
"""

from __future__ import annotations

import base64
import socket
import ssl
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import NamedTuple, TypeVar, cast

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from chatctl.client._patience import CutError, Patience
from chatd.codes import NOTHING_INVITES
from chatd.durable_files import PRIVATE, create_file, sync_folder
from chatd.errors import ChatdError
from chatd.pki import profiles
from chatd.pki.contexts import check_invited_server, joining_context
from chatd.pki.identity import MAX_SERVERS, Identity, read_identity, write_identity
from chatd.pki.issued import Issued
from chatd.pki.profiles import PARSE_ERRORS, fingerprint
from chatd.pki.rollover import crosses_of, successor
from chatd.pki.signing_request import make_request
from chatd.proto.alpn import ALPN_ENROL
from chatd.proto.enrol_frames import (
    ANSWER_LIMIT,
    AuthorityFrame,
    EnrolFrame,
    EnrolledFrame,
    parse_enrol_frame,
)
from chatd.proto.frames import JsonObject, decode, encode
from chatd.proto.invite_code import InviteCode, authority_mark, secret_hash
from chatd.proto.length_prefix import take_message
from chatd.proto.other_service import LOOK_AT, refuse_other_service

Result = TypeVar("Result")

# A busy server may queue an enrolment behind others.
ANSWER_SECONDS = 15.0
_READ_SIZE = 16 * 1024
_AGAIN = "check the address, then run the same again: the invite works until it is answered"
# The server's refusals; all other errors leave open whether the invite was redeemed. Bans pass.
_REFUSED, _PASSING = ("E2", "E3", "E4"), ("E207", "E208")
# What the server's alerts say before TLS is established (chatd.proto.alpn).
_ALERTS = {
    "no application protocol": ChatdError(
        "E216", "", "check host and port, in case it is another service; or ask an admin for an identity file"
    ),
    "certificate required": ChatdError("E216"),
    "access denied": ChatdError("E218"),
    "internal error": ChatdError(
        "E502", "the server cannot redeem invites at the moment", "try again in a minute, or tell an admin"
    ),
}


_OTHER_PORT = (
    "if this is the port of the web page, take that of the chat, which is usually 5000;"
    " or ask an admin for an identity file"
)


@dataclass(frozen=True)
class InviteResult:
    """What came of an invite: the identity, its role, and the fingerprint of the server's CA."""

    identity: Identity
    role: str
    authority: str


def check_free(path: Path) -> None:
    """Refuse to overwrite an identity file. Raises E606."""
    if path.exists():
        raise ChatdError(
            "E606", f"{path} already exists", "keep it, and name another file for this one with --identity"
        )
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)


def join(
    code: InviteCode,
    path: Path,
    device: str = "",
    *,
    saw: Callable[[str], None] = lambda fingerprint: None,
    patience: Patience | None = None,
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
) -> InviteResult:
    """Redeem an invite and write the identity file ``path``. ``saw`` gets the CA's fingerprint first.

    Nothing secret is sent before the server has shown that its CA is the one in the code. While the server is
    busy it tries again, with ``patience`` (default: for a minute). Raises ChatdError; E5xx and E607 mean that
    trying again is safe, and needed.
    """
    check_free(path)
    seen: list[str] = []

    def see(fingerprint: str) -> None:
        if fingerprint not in seen:
            seen.append(fingerprint)
            saw(fingerprint)

    return (patience or Patience()).until_done(lambda: _redeem(code, path, device, see, now))


def _redeem(
    code: InviteCode,
    path: Path,
    device: str,
    saw: Callable[[str], None],
    now: Callable[[], datetime],
) -> InviteResult:
    with EnrolConnection(code.server) as connection:
        frame = cast(AuthorityFrame, connection.receive(AuthorityFrame))
        trusted = ServerTrust.of(frame)
        ca = trusted.marked(code.authority)
        if ca is None:
            raise ChatdError(
                "E209",
                f"{code.server} is not the server of this invite: its CA has another fingerprint",
                "do not continue; ask whoever invited you for the fingerprint (on the box: chatd cert show)",
            )
        instance = check_invited_server(connection.leaf, ca, now(), trusted.crosses)
        saw(fingerprint(ca.public_bytes(Encoding.DER)))
        with _kept_key(path, code) as key:
            connection.send(
                {
                    "type": "redeem",
                    "secret": code.secret.hex(),
                    "csr": base64.b64encode(make_request(key)).decode("ascii"),
                    "device": device,
                }
            )
            enrolled = cast(EnrolledFrame, connection.receive(EnrolledFrame))
            # The address that has just worked comes first.
            servers = (code.server, *enrolled.addresses)
            identity = write_enrolled(path, key, trusted.after(ca), instance, servers, enrolled)
    return InviteResult(identity, enrolled.role, fingerprint(ca.public_bytes(Encoding.DER)))


class ServerTrust(NamedTuple):
    """The CAs that a server names at its enrol door; ``pinned`` is the one that this client trusts."""

    roots: list[x509.Certificate]
    crosses: list[x509.Certificate]
    pinned: x509.Certificate

    @classmethod
    def of(cls, frame: AuthorityFrame) -> ServerTrust:
        """Take the frame. Raises E100."""
        first = certificate_of(frame.ca)
        roots = [first, *map(certificate_of, frame.roots)]
        return cls(roots, [*map(certificate_of, frame.crosses)], first)

    def marked(self, mark: bytes) -> x509.Certificate | None:
        """Return the CA that an invite names."""
        return next((ca for ca in self.roots if authority_mark(ca.public_bytes(Encoding.DER)) == mark), None)

    def chain_of(self, enrolled: EnrolledFrame) -> str:
        """Return a certificate with all that shows how the pinned CA leads to its issuer."""
        if certificate_of(enrolled.ca) == self.pinned:
            return enrolled.certificate
        crosses = (one.public_bytes(Encoding.PEM).decode("ascii") for one in self.crosses)
        return "".join((enrolled.certificate, enrolled.ca, *crosses))

    def after(self, pinned: x509.Certificate) -> ServerTrust:
        """Return the same with the CA that the client has come to trust."""
        return self._replace(pinned=pinned)


def write_enrolled(
    path: Path,
    key: ec.EllipticCurvePrivateKey,
    trusted: ServerTrust,
    instance: str,
    servers: Iterable[str],
    enrolled: EnrolledFrame,
) -> Identity:
    """Write an identity file in place of the one before it, if any.

    The server may name the successor of the CA that is trusted. Raises E209 for any other, E606, and E608 if
    the certificate and the key do not fit.
    """
    certificate = certificate_of(enrolled.certificate)
    ca = successor(trusted.pinned, certificate_of(enrolled.ca), trusted.crosses)
    # Whole and checked before it has its name.
    scratch = path.with_name(f".{path.name}.new")
    try:
        scratch.unlink(missing_ok=True)
        write_identity(
            scratch,
            Issued(certificate, key),
            ca,
            *crosses_of(ca, trusted.crosses),
            instance=instance,
            user=enrolled.user,
            device=enrolled.device,
            servers=list(dict.fromkeys(servers))[:MAX_SERVERS],
        )
        read_identity(scratch)
        scratch.rename(path)
        sync_folder(path.parent)
    except OSError as error:
        raise ChatdError("E606", f"{path} cannot be written: {error.strerror}") from None
    finally:
        if scratch.is_file():
            scratch.unlink()
    return read_identity(path)


def certificate_of(pem: str) -> x509.Certificate:
    try:
        return x509.load_pem_x509_certificate(pem.encode("ascii"))
    except PARSE_ERRORS:
        raise ChatdError("E100", "the server sent an unreadable certificate") from None


@contextmanager
def _kept_key(path: Path, code: InviteCode) -> Iterator[ec.EllipticCurvePrivateKey]:
    """Yield the key for an invite: made now, or kept from an attempt whose outcome is unknown.

    It stays on disk unless the attempt succeeds or the server refuses it for good.
    """
    file = path.with_name(f".{path.name}.{secret_hash(code.secret)[:16]}.joining")
    key = _load_key(file) or _new_key(file)
    try:
        yield key
    except ChatdError as error:
        if error.code[:2] in _REFUSED and error.code not in _PASSING:
            file.unlink(missing_ok=True)
        raise
    file.unlink(missing_ok=True)


def _load_key(file: Path) -> ec.EllipticCurvePrivateKey | None:
    try:
        key = load_pem_private_key(file.read_bytes(), None)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise ChatdError("E606", f"{file} cannot be read: {error.strerror}") from None
    except PARSE_ERRORS:
        key = None
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        file.unlink()  # it was cut off while it was written, before the invite was sent
        return None
    return key


def _new_key(file: Path) -> ec.EllipticCurvePrivateKey:
    key = ec.generate_private_key(ec.SECP256R1())
    create_file(file, key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()), PRIVATE)
    return key


def _names_server(leaf: bytes) -> bool:
    """Whether a certificate, which nothing has verified, says that it is a chatd's."""
    try:
        profiles.uri_of(profiles.parse(leaf), profiles.SERVER, only=False)
    except ValueError:
        return False
    return True


class EnrolConnection:
    """A TLS connection to the server's enrol process, before anything is known of the server."""

    def __init__(self, server: str, seconds: float = ANSWER_SECONDS) -> None:
        """``seconds``: the longest wait for the connection, and for each answer."""
        self._server = server
        self._seconds = seconds
        self._sock: socket.socket
        self._received, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = joining_context().wrap_bio(self._received, self._outgoing)
        self._heard = False
        self._plain = bytearray()
        self._deadline = 0.0

    def __enter__(self) -> EnrolConnection:
        host, _, port = self._server.rpartition(":")
        try:
            self._sock = socket.create_connection((host.strip("[]"), int(port)), self._seconds)
        except (OSError, UnicodeError) as error:
            why = getattr(error, "strerror", "") or str(error)
            fix = NOTHING_INVITES if isinstance(error, ConnectionRefusedError) else ""
            raise ChatdError("E607", f"cannot connect to {self._server}: {why}", fix) from None
        try:
            self._until(self._tls.do_handshake)
            if self._tls.selected_alpn_protocol() != ALPN_ENROL:
                raise ChatdError("E216", fix=_OTHER_PORT) if _names_server(self.leaf) else self._other()
        except BaseException:
            self._sock.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._sock.close()

    @property
    def leaf(self) -> bytes:
        """The server's certificate (DER)."""
        return self._tls.getpeercert(binary_form=True) or b""

    @property
    def binding(self) -> bytes:
        """The TLS binding of the connection (docs/protocol.md, "Binding")."""
        return self._tls.get_channel_binding("tls-unique") or b""

    def send(self, message: dict[str, str]) -> None:
        self._until(partial(self._tls.write, encode(message)))
        self._flush()

    def receive(self, model: type[EnrolFrame]) -> EnrolFrame:
        """Return the next frame. Raises the error that the server sends instead."""
        return parse_enrol_frame(self.next_message(), model)

    def next_message(self) -> JsonObject:
        """Return the next frame as it came."""
        while (message := take_message(self._plain, ANSWER_LIMIT, "E101")) is None:
            self._plain += self._until(partial(self._tls.read, _READ_SIZE))
        return decode(message)

    def _until(self, step: Callable[[], Result]) -> Result:
        """Repeat a step of TLS with what arrives until it succeeds. Raises ChatdError."""
        self._deadline = time.monotonic() + self._seconds
        while True:
            try:
                return step()
            except ssl.SSLWantReadError:
                self._flush()
                self._receive_more()
            except ssl.SSLZeroReturnError:
                raise self._cut() from None
            except ssl.SSLError as error:
                raise self._explained(error) from None

    def _flush(self) -> None:
        if data := self._outgoing.read():
            try:
                self._sock.sendall(data)
            except OSError:
                raise self._cut() from None

    def _receive_more(self) -> None:
        try:
            self._sock.settimeout(max(0.001, self._deadline - time.monotonic()))
            data = self._sock.recv(_READ_SIZE)
        except TimeoutError:
            why = f"{self._server} did not answer within {self._seconds:.0f} seconds"
            raise ChatdError("E607", why, _AGAIN) from None
        except OSError:
            data = b""
        if not data:
            raise self._cut()
        if not self._heard:
            refuse_other_service(self._server, data[:LOOK_AT])
            self._heard = True
        self._received.write(data)

    def _cut(self) -> ChatdError:
        return CutError("E607", f"the connection to {self._server} was cut before it answered", _AGAIN)

    def _explained(self, error: ssl.SSLError) -> ChatdError:
        for words, told in _ALERTS.items():
            if words in str(error):
                return told
        return self._other()

    def _other(self) -> ChatdError:
        return ChatdError("E630", f"{self._server} speaks TLS, but not as a chatd")
