"""The envelope over real TLS: its binding to one connection."""

from __future__ import annotations

import ssl
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import NamedTuple

import pytest
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import Encoding

from chatd.child.tls import WRITE_BYTES, TlsChannel
from chatd.crypto.handshake import ClientHandshake, ServerHandshake
from chatd.errors import ChatdError
from chatd.pki.authority import Authority, save_issued
from chatd.pki.contexts import client_context, envelope_key_of, server_context
from chatd.pki.identity import Identity, read_identity, write_identity
from chatd.pki.issued import Issued

ALPN = "chatd/1"


class World(NamedTuple):
    certs: Path
    envelope: Issued
    alice: Identity
    mallory: Identity
    stranger: Issued


class Wire(NamedTuple):
    """One TLS connection in memory."""

    client: ssl.SSLObject
    server: ssl.SSLObject


def enrol(home: Path, authority: Authority, user: str, now: datetime) -> Identity:
    path = home / f"{user}.pem"
    write_identity(
        path,
        authority.issue_device(user, "laptop", now=now),
        authority.certificate,
        instance="test",
        user=user,
        device="laptop",
        servers=["127.0.0.1:1"],
    )
    return read_identity(path)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    home = tmp_path_factory.mktemp("home")
    now = datetime.now(UTC)
    authority = Authority.create("test", now=now)
    authority.save(home)
    save_issued(home, "server", authority.issue_server(["127.0.0.1"], now=now))
    alice, mallory = (enrol(home, authority, user, now) for user in ("alice", "mallory"))
    stranger = Authority.create("test", now=now).issue_envelope(2048, now=now)
    return World(home, authority.issue_envelope(2048, now=now), alice, mallory, stranger)


def connect(world: World, identity: Identity) -> Wire:
    up, down = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = client_context(identity, alpn=[ALPN]).wrap_bio(down, up)
    server = server_context(world.certs, alpn=ALPN).wrap_bio(up, down, server_side=True)
    waiting = [client, server]
    for _ in range(10):
        for side in list(waiting):
            try:
                side.do_handshake()
            except ssl.SSLWantReadError:
                continue
            waiting.remove(side)
    assert not waiting
    return Wire(client, server)


def binding(side: ssl.SSLObject) -> bytes:
    return side.get_channel_binding("tls-unique") or b""


def client_of(wire: Wire, identity: Identity) -> ClientHandshake:
    return ClientHandshake(
        binding=binding(wire.client),
        server_leaf=wire.client.getpeercert(binary_form=True) or b"",
        client_leaf=identity.certificate_der,
        envelope_key_of=envelope_key_of(identity),
    )


def server_of(wire: Wire, world: World, envelope: Issued) -> ServerHandshake:
    key = envelope.key
    assert isinstance(key, RSAPrivateKey)
    return ServerHandshake(
        binding=binding(wire.server),
        server_leaf=ssl.PEM_cert_to_DER_cert((world.certs / "server.pem").read_text("ascii")),
        client_leaf=wire.server.getpeercert(binary_form=True) or b"",
        envelope_certificate=envelope.certificate.public_bytes(Encoding.DER),
        private_key=key,
        max_frame=65536,
    )


def test_the_binding_value_is_unique_to_a_connection(world: World) -> None:
    """Checks a property of CPython's "tls-unique" on TLS 1.3 that the envelope relies on."""
    one, other = connect(world, world.alice), connect(world, world.alice)
    assert one.client.version() == "TLSv1.3"
    assert binding(one.client) == binding(one.server)
    assert len(binding(one.client)) in {32, 48}
    assert binding(one.client) != binding(other.client)


APPLICATION_DATA = b"\x17\x03\x03\x00\x05hello"


@pytest.mark.parametrize("plaintext", [b"hello", b"GET / HTTP/1.0\r\n\r\n", APPLICATION_DATA])
@pytest.mark.parametrize("after_flight", [False, True])
@pytest.mark.parametrize("server_side", [False, True])
def test_bytes_that_no_handshake_protects_are_never_returned_as_data(
    world: World, plaintext: bytes, after_flight: bool, server_side: bool
) -> None:
    """CVE-2023-40217: an SSLSocket returned them. An SSLObject on memory BIOs has no such path."""
    client = TlsChannel(client_context(world.alice, alpn=[ALPN]), server_side=False)
    server = TlsChannel(server_context(world.certs, alpn=ALPN), server_side=True)
    assert not client.handshake(b"")
    victim, flight = server, client.take_outgoing()
    if not server_side:
        assert not server.handshake(flight)
        victim, flight = client, server.take_outgoing()
    received = b""
    with pytest.raises(ssl.SSLError):
        victim.handshake(flight + plaintext if after_flight else plaintext)
        victim.handshake(plaintext)
        received += victim.receive(b"")
        received += victim.receive(plaintext)
    with suppress(ssl.SSLError):
        received += victim.receive(plaintext)
    assert received == b""


@pytest.mark.parametrize("at", [1, 4, 8_213, 33_000, 40_110])
def test_all_records_that_have_arrived_are_returned(world: World, at: int) -> None:
    client = TlsChannel(client_context(world.alice, alpn=[ALPN]), server_side=False)
    server = TlsChannel(server_context(world.certs, alpn=ALPN), server_side=True)
    done = client.handshake(b"")
    while not done:
        server.handshake(client.take_outgoing())
        done = client.handshake(server.take_outgoing())
    server.handshake(client.take_outgoing())
    plain = bytes(range(250)) * 160
    protected = client.protect(plain)  # five records
    received = server.receive(protected[:at]) + server.receive(protected[at:])
    assert received == plain
    assert (
        server.receive(client.protect(b"one") + client.protect(b"two") + client.close_notify()) == b"onetwo"
    )


def test_a_channel_never_holds_much_of_what_it_sends(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    client = TlsChannel(client_context(world.alice, alpn=[ALPN]), server_side=False)
    server = TlsChannel(server_context(world.certs, alpn=ALPN), server_side=True)
    client.handshake(b"")
    server.handshake(client.take_outgoing())
    client.handshake(server.take_outgoing())
    server.handshake(client.take_outgoing())
    held: list[int] = []

    def read() -> bytes:
        held.append(outgoing.pending)
        return outgoing.read()

    outgoing = server._outgoing
    monkeypatch.setattr(server, "_outgoing", SimpleNamespace(read=read))
    page = bytes(range(250)) * 260
    assert client.receive(server.protect(page)) == page
    # A memory BIO keeps as much memory as it ever held, for as long as its connection lives.
    assert len(held) == 8 and max(held) <= WRITE_BYTES + 100


def test_no_program_uses_an_ssl_socket() -> None:
    """The minimum Python has CVE-2023-40217, which only an SSLSocket has."""
    root = Path(__file__).parents[2]
    files = [*root.glob("chatd/**/*.py"), *root.glob("chatctl/**/*.py")]
    assert len(files) > 100
    assert [str(file) for file in files if "wrap_socket" in file.read_text("utf-8")] == []


def test_records_are_exchanged_over_tls(world: World) -> None:
    wire = connect(world, world.alice)
    one, other = client_of(wire, world.alice), server_of(wire, world, world.envelope)
    m4, keys = other.accept(one.exchange(other.respond(one.hello())))
    mine = one.finish(m4)
    assert keys.opener.feed(mine.sealer.seal(b"hello")) == [b"hello"]
    assert mine.opener.feed(keys.sealer.seal(b"welcome")) == [b"welcome"]


@pytest.mark.parametrize("relayed_as", ["alice", "mallory"])
def test_relay_between_two_tls_connections_fails(world: World, relayed_as: str) -> None:
    """A relay terminates both connections and forwards everything, even with the same certificates."""
    outer = connect(world, world.alice)
    inner = connect(world, world.alice if relayed_as == "alice" else world.mallory)
    one, other = client_of(outer, world.alice), server_of(inner, world, world.envelope)
    m3 = one.exchange(other.respond(one.hello()))
    with pytest.raises(ChatdError, match="E104"):
        other.accept(m3)


def test_records_of_another_connection_of_the_same_device_are_refused(world: World) -> None:
    opened = []
    for _ in range(2):
        wire = connect(world, world.alice)
        one, other = client_of(wire, world.alice), server_of(wire, world, world.envelope)
        m4, keys = other.accept(one.exchange(other.respond(one.hello())))
        opened.append((one.finish(m4), keys))
    with pytest.raises(ChatdError, match="E104"):
        opened[1][1].opener.feed(opened[0][0].sealer.seal(b"hello"))


def test_envelope_certificate_of_another_authority_is_refused(world: World) -> None:
    wire = connect(world, world.alice)
    one, other = client_of(wire, world.alice), server_of(wire, world, world.stranger)
    with pytest.raises(ChatdError, match="E209"):
        one.exchange(other.respond(one.hello()))
