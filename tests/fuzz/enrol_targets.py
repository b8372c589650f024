"""Targets for what a client without an identity sends or types."""

from __future__ import annotations

import ssl

from cryptography.hazmat.primitives.asymmetric import ec

from chatd.errors import ChatdError
from chatd.pki.signing_request import key_of_request, make_request
from chatd.proto.client_hello import offered_protocols
from chatd.proto.invite_code import InviteCode, parse_code
from chatd.proto.text import is_host_port
from tests.fuzz.expected_refusals import refused


def client_hellos(data: bytes) -> None:
    """The offered protocols are parts of the bytes, and more bytes change no answer that was given."""
    found = offered_protocols(data)
    if found is None:
        assert len(data) < 5 + (1 << 14)
        return
    assert all(name in data for name in found)
    assert sum(len(name) + 1 for name in found) <= len(data)
    assert offered_protocols(data + data) == found


def hello_seeds() -> list[bytes]:
    """First flights of OpenSSL's client."""
    flights = []
    for protocols in ((), ("chatd/1",), ("chatd-enrol/1",), ("a", "chatd-enrol/1")):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        if protocols:
            context.set_alpn_protocols(list(protocols))
        outgoing = ssl.MemoryBIO()
        try:
            context.wrap_bio(ssl.MemoryBIO(), outgoing, server_hostname="lab").do_handshake()
        except ssl.SSLWantReadError:
            flights.append(outgoing.read())
    return flights


def invite_codes(data: bytes) -> None:
    """A text is a code that comes back as it was, or is refused with E215 in short words."""
    text = data.decode("utf-8", "replace")
    try:
        code = parse_code(text)
    except ChatdError as error:
        assert error.code == "E215"
        assert len(error.reason) < 120
        return
    assert is_host_port(code.server)
    assert parse_code(str(code)) == code


def code_seeds() -> list[bytes]:
    """Two codes, one of them as people type."""
    text = str(InviteCode("192.0.2.7:5000", bytes(range(16)), bytes(range(16, 32))))
    return [text.encode(), text.lower().replace("-", " ").replace("1", "l").encode()]


def signing_requests(data: bytes) -> None:
    """A request gives the P-256 key that signed it, or is refused with E217."""
    key = refused(lambda: key_of_request(data), "E217")
    assert key is None or isinstance(key.curve, ec.SECP256R1)


def request_seeds() -> list[bytes]:
    """A request with a key of the right kind, and one of another."""
    return [make_request(ec.generate_private_key(curve)) for curve in (ec.SECP256R1(), ec.SECP384R1())]
