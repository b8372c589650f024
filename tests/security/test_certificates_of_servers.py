"""Clients refuse false servers and false envelope certificates before they send anything."""

from __future__ import annotations

import ssl
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from chatd.errors import ChatdError
from chatd.pki.authority import Authority
from chatd.pki.contexts import check_server, client_context, envelope_key_of, server_context
from chatd.pki.issued import Issued
from chatd.pki.profiles import CERTIFICATE_LIMIT
from tests.support.certificates import (
    DEVICE,
    NOW,
    URI,
    World,
    code_shown,
    der,
    forge,
    key_usage,
    purposes,
    san,
    self_issued,
)
from tests.support.tlspair import connect

ALPN = "chatd/1"
HOUR = timedelta(hours=1)
RSA = rsa.generate_private_key(65537, 2048)

SERVER = DEVICE | {"purpose": purposes("server"), "san": san("chatd://lab/server")}
ENVELOPE = DEVICE | {
    "usage": key_usage("key_encipherment"),
    "purpose": None,
    "san": san("chatd://lab/envelope"),
}


# Case -> what makes the server's certificate, and the code shown to the user.
FALSE_SERVERS: dict[str, tuple[Callable[[World], Issued], str]] = {
    "wrong CA": (lambda w: Authority.create("other", now=NOW).issue_server([], now=NOW), "E209"),
    "same-name CA": (lambda w: Authority.create("lab", now=NOW).issue_server([], now=NOW), "E209"),
    "self-signed": (lambda w: forge(None, SERVER), "E209"),
    "a user's certificate": (lambda w: w.authority.issue_device("eve", "x", now=NOW), "E209"),
    "the envelope's": (lambda w: w.authority.issue_envelope(2048, now=NOW), "E209"),
    "another server of the CA": (lambda w: forge(w.ca, SERVER | {"san": san("chatd://lab2/server")}), "E209"),
    "a device's name": (lambda w: forge(w.ca, SERVER | {"san": san(URI)}), "E209"),
    "no name": (lambda w: forge(w.ca, SERVER | {"san": None}), "E209"),
    "two names": (lambda w: forge(w.ca, SERVER | {"san": san("chatd://lab/server", URI)}), "E209"),
    "expired": (lambda w: forge(w.ca, SERVER, start=-2 * HOUR, end=-HOUR), "E202"),
    "not yet valid": (lambda w: forge(w.ca, SERVER, start=HOUR, end=2 * HOUR), "E204"),
}


@pytest.mark.parametrize("case", FALSE_SERVERS)
def test_a_client_refuses_a_false_server(world: World, tmp_path: Path, case: str) -> None:
    make, code = FALSE_SERVERS[case]
    outcome = connect(serving(world, make(world), tmp_path), client_context(world.identity, alpn=[ALPN]))
    if outcome.client_error is not None:
        assert code_shown(world, outcome.client_error) == code
        return
    with pytest.raises(ChatdError) as caught:
        check_server(outcome.client_saw, world.identity)
    assert caught.value.code == code


def test_a_client_refuses_a_server_under_a_self_issued_intermediate(world: World, tmp_path: Path) -> None:
    """RFC 5280 does not count it against the CA's path length, so TLS accepts the chain."""
    intermediate, leaf = self_issued(world.ca, SERVER)
    context = serving(world, leaf, tmp_path, intermediate)
    outcome = connect(context, client_context(world.identity, alpn=[ALPN]))
    assert outcome.client_error is None
    with pytest.raises(ChatdError) as caught:
        check_server(outcome.client_saw, world.identity)
    assert caught.value.code == "E201"
    assert "another CA" in caught.value.reason


def serving(world: World, issued: Issued, folder: Path, *intermediates: Issued) -> ssl.SSLContext:
    chain = (issued, *intermediates)
    (folder / "server.pem").write_bytes(b"".join(one.certificate_pem for one in chain))
    (folder / "server.key").write_bytes(issued.key_pem)
    (folder / "ca.pem").write_bytes((world.certs / "ca.pem").read_bytes())
    return server_context(folder, alpn=ALPN)


def test_a_peer_that_does_not_speak_tls_is_reported_as_e107(world: World) -> None:
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    incoming.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
    with pytest.raises(ssl.SSLError) as caught:
        client_context(world.identity, alpn=[ALPN]).wrap_bio(incoming, outgoing).do_handshake()
    assert code_shown(world, caught.value) == "E107"


FALSE_ENVELOPES: dict[str, Callable[[World], bytes]] = {
    "nothing": lambda w: b"",
    "not DER": lambda w: b"\x30\x82\xff\xff",
    "too long": lambda w: b"\x30" * (CERTIFICATE_LIMIT + 1),
    "trailing byte": lambda w: der(forge(w.ca, ENVELOPE, key=RSA)) + b"\x00",
    "wrong CA": lambda w: der(Authority.create("lab", now=NOW).issue_envelope(2048, now=NOW)),
    "self-signed": lambda w: der(forge(None, ENVELOPE, key=RSA)),
    "a user's certificate": lambda w: der(w.authority.issue_device("eve", "x", now=NOW)),
    "the server's TLS certificate": lambda w: der(w.authority.issue_server([], now=NOW)),
    "of another server": lambda w: der(
        forge(w.ca, ENVELOPE | {"san": san("chatd://lab2/envelope")}, key=RSA)
    ),
    "with a purpose": lambda w: der(forge(w.ca, ENVELOPE | {"purpose": purposes("server")}, key=RSA)),
    "also for signing": lambda w: der(
        forge(w.ca, ENVELOPE | {"usage": key_usage("digital_signature", "key_encipherment")}, key=RSA)
    ),
    "elliptic curve": lambda w: der(forge(w.ca, ENVELOPE)),
    "RSA-1024": lambda w: der(forge(w.ca, ENVELOPE, key=rsa.generate_private_key(65537, 1024))),  # noqa: S505
    "expired": lambda w: der(forge(w.ca, ENVELOPE, key=RSA, start=-2 * HOUR, end=-HOUR)),
    "not yet valid": lambda w: der(forge(w.ca, ENVELOPE, key=RSA, start=HOUR, end=2 * HOUR)),
    "under a self-issued intermediate": lambda w: der(self_issued(w.ca, ENVELOPE, key=RSA)[1]),
    "under a user's certificate": lambda w: der(
        forge(w.authority.issue_device("eve", "x", now=NOW), ENVELOPE, key=RSA)
    ),
}


@pytest.mark.parametrize("case", FALSE_ENVELOPES)
def test_a_client_refuses_a_false_envelope_certificate(world: World, case: str) -> None:
    verify = envelope_key_of(world.identity)
    assert verify(der(forge(world.ca, ENVELOPE, key=RSA))) == RSA.public_key()
    with pytest.raises(ChatdError) as caught:
        verify(FALSE_ENVELOPES[case](world))
    assert caught.value.code == "E209"
