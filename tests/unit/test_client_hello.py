"""The offered protocols in a ClientHello, however its bytes arrive."""

from __future__ import annotations

import ssl

import pytest

from chatd.proto.client_hello import offered_protocols


def client_hello(*protocols: str) -> bytes:
    """Return the first flight of OpenSSL's client."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    if protocols:
        context.set_alpn_protocols(list(protocols))
    outgoing = ssl.MemoryBIO()
    client = context.wrap_bio(ssl.MemoryBIO(), outgoing, server_hostname="lab")
    with pytest.raises(ssl.SSLWantReadError):
        client.do_handshake()
    return outgoing.read()


@pytest.mark.parametrize("protocols", [(), ("chatd/1",), ("chatd/1", "chatd-plain/1"), ("chatd-enrol/1",)])
def test_the_protocols_are_those_that_openssl_offers(protocols: tuple[str, ...]) -> None:
    assert offered_protocols(client_hello(*protocols)) == [name.encode() for name in protocols]


def test_more_bytes_are_asked_for_until_the_record_is_whole() -> None:
    hello = client_hello("chatd-enrol/1")
    assert all(offered_protocols(hello[:size]) is None for size in range(len(hello)))
    assert offered_protocols(hello + b"more") == [b"chatd-enrol/1"]


@pytest.mark.parametrize(
    "data",
    [
        b"GET / HTTP/1.1\r\n",
        b"\x17\x03\x03\x00\x01x",
        b"\x16\x03\x01\x00\x00",
        b"\x16\x03\x01\xff\xff",
        b"\x16\x03\x01\x00\x04\x02\x00\x00\x00",
        b"\x16\x03\x01\x00\x04\x01\xff\xff\xff",
    ],
)
def test_anything_else_offers_nothing(data: bytes) -> None:
    assert offered_protocols(data) == []


def test_a_wrong_length_anywhere_offers_nothing_or_what_is_there() -> None:
    hello = client_hello("chatd-enrol/1")
    for at in range(5, len(hello)):
        for value in (0, 0xFF):
            found = offered_protocols(hello[:at] + bytes([value]) + hello[at + 1 :])
            assert found is not None
            assert len(found) <= 16
