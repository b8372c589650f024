"""Targets for the envelope: both sides of the handshake, and the records after it."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import cache
from typing import NamedTuple

from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

from chatd.crypto.handshake import ClientHandshake, ServerHandshake
from chatd.crypto.records import CLIENT_TO_SERVER, RecordOpener, RecordSealer
from chatd.errors import ChatdError
from chatd.pki.contexts import envelope_key_of
from tests.fuzz.byte_source import ByteSource
from tests.fuzz.expected_refusals import refused
from tests.fuzz.pki_targets import certificates_of_a_home, der

_BINDING, _SERVER, _CLIENT = b"b" * 48, b"server leaf", b"client leaf"
_CODES = ("E104", "E105", "E107")


class _Handshakes(NamedTuple):
    """Messages of a complete handshake, and the two sides' makers."""

    private_key: RSAPrivateKey
    certificate: bytes
    m1: bytes
    m2: bytes
    m3: bytes

    def client(self) -> ClientHandshake:
        return ClientHandshake(
            binding=_BINDING,
            server_leaf=_SERVER,
            client_leaf=_CLIENT,
            envelope_key_of=envelope_key_of(certificates_of_a_home().identity, now=lambda: datetime.now(UTC)),
            random=lambda size: b"c" * size,
        )

    def server(self) -> ServerHandshake:
        return ServerHandshake(
            binding=_BINDING,
            server_leaf=_SERVER,
            client_leaf=_CLIENT,
            envelope_certificate=self.certificate,
            private_key=self.private_key,
            max_frame=5000,
            random=lambda size: b"s" * size,
        )


@cache
def _handshakes() -> _Handshakes:
    envelope = certificates_of_a_home().envelope
    assert isinstance(envelope.key, RSAPrivateKey)
    empty = _Handshakes(envelope.key, der(envelope), b"", b"", b"")
    client, server = empty.client(), empty.server()
    m1 = client.hello()
    m2 = server.respond(m1)
    return empty._replace(m1=m1, m2=m2, m3=client.exchange(m2))


def server_handshake(data: bytes) -> None:
    """A server accepts M1 and M3 only as the client made them; E104, E105 or E107 otherwise."""
    source, made = ByteSource(data), _handshakes()
    server = made.server()
    m1 = source.altered(made.m1)
    m2 = refused(lambda: server.respond(m1), *_CODES)
    m3 = source.altered(made.m3) if source.byte() % 4 else source.blob() + source.blob()
    if m2 is None:
        assert refused(lambda: server.accept(m3), "E105") is None
        return
    if m1 != made.m1 and len(m3) == len(made.m3):
        return  # RSA for each of these would cost a millisecond and always fail the proof
    if refused(lambda: server.accept(m3), *_CODES) is not None:
        assert (m1, m3) == (made.m1, made.m3)


def client_handshake(data: bytes) -> None:
    """A client accepts M2 and M4 only as the server made them; E104, E105, E107, E209 otherwise."""
    source, made = ByteSource(data), _handshakes()
    client = made.client()
    client.hello()
    m2 = source.altered(made.m2)
    m3 = refused(lambda: client.exchange(m2), *_CODES, "E209")
    if m3 is None:
        assert refused(lambda: client.finish(b"x" * 32), "E105") is None
        return
    server = made.server()
    server.respond(made.m1)
    answer = refused(lambda: server.accept(m3), "E104")
    if answer is None:
        assert m2 != made.m2
        assert refused(lambda: client.finish(source.blob()), "E104") is None
        return
    m4 = source.altered(answer[0])
    if refused(lambda: client.finish(m4), "E104") is not None:
        assert (m2, m4) == (made.m2, answer[0])


def records(data: bytes) -> None:
    """Only what was sealed is opened, in order, however cut; E101 or E104 for anything else."""
    source = ByteSource(data)
    sealer = RecordSealer(b"k" * 32, CLIENT_TO_SERVER, b"i" * 16)
    sealed: list[tuple[bytes, bytes]] = []
    for _ in range(source.below(5) + 1):
        payload = source.blob() or b"x"
        sealed.append((payload, sealer.seal(payload)))
    if source.byte() & 1:
        sealed.append((b"", sealer.close()))
    order = [source.choice(sealed)[1] for _ in sealed] if source.byte() & 1 else [one for _, one in sealed]
    stream = source.altered(b"".join(order))
    opener = RecordOpener(b"k" * 32, CLIENT_TO_SERVER, b"i" * 16)
    opened: list[bytes] = []
    failure = ""
    for piece in source.pieces(stream):
        try:
            opened += opener.feed(piece)
        except ChatdError as error:
            assert error.code in ("E101", "E104")
            assert not failure or failure == error.code
            failure = error.code
    payloads = [payload for payload, _ in sealed if payload]
    assert opened == payloads[: len(opened)]
    if stream == b"".join(one for _, one in sealed):
        assert (opened, failure) == (payloads, "")
