"""The nats-servers of three machines: routes over mutual TLS, a stream on all, a majority that suffices."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import pytest

from chatd.cluster.jetstream import JetStreamLink
from chatd.cluster.log_link import Outcome, StreamGoneError
from chatd.cluster.nats_address import read_address
from chatd.config.schema import Settings
from chatd.nats.nats_server import NatsServer
from chatd.pki.authority import Authority, save_issued
from chatd.pki.issued import Issued
from chatd.pki.node_authority import NodeAuthority
from tests.support.daemon import wait_until
from tests.support.node_homes import node_homes


class Servers:
    """The servers of three machines, by the path of their folders."""

    def __init__(self, homes: dict[Path, Settings]) -> None:
        self.homes = homes
        self.running: dict[Path, NatsServer] = {}
        for home in homes:
            self.start(home)

    def start(self, home: Path) -> None:
        self.running[home] = server = NatsServer.start(home, self.homes[home])
        wait_until(server.announce)

    def stop(self, home: Path) -> None:
        server = self.running.pop(home)
        server.stop()
        wait_until(lambda: not server.is_alive())

    def link(self, home: Path) -> JetStreamLink:
        return JetStreamLink(partial(read_address, home), replicas=3)

    def route(self, home: Path) -> tuple[str, int]:
        host, _, port = self.homes[home].cluster.listens_on.rpartition(":")
        return host, int(port)


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Servers]:
    servers = Servers(node_homes(tmp_path_factory.mktemp("routes")))
    try:
        yield servers
    finally:
        for home in list(servers.running):
            servers.stop(home)


def appended(link: JetStreamLink, data: bytes) -> bool:
    """Try to append once; false while there is no majority."""
    with suppress(OSError, StreamGoneError):
        return link.append(link.bounds().last, data, 1.0) is Outcome.IN
    return False


def created(link: JetStreamLink) -> bool:
    with suppress(OSError):
        link.create()
        return True
    return False


def test_a_message_outlives_any_one_machine_and_a_minority_takes_none(servers: Servers) -> None:
    first, second, third = servers.homes
    with ExitStack() as stack:
        links = {home: servers.link(home) for home in servers.homes}
        for link in links.values():
            stack.callback(link.close)
        wait_until(lambda: created(links[first]), what="a stream on three machines")
        wait_until(lambda: appended(links[first], b"on all"))
        servers.stop(first)
        wait_until(lambda: appended(links[second], b"on two"))
        seq = links[second].bounds().last
        assert links[second].read(seq) == b"on two"
        servers.stop(third)
        assert not appended(links[second], b"on one")
        servers.start(first)
        wait_until(lambda: appended(links[first], b"on two again"))
        servers.start(third)
        wait_until(lambda: appended(links[third], b"on three"))


def test_the_route_port_refuses_whoever_has_no_certificate_of_a_member(
    servers: Servers, tmp_path: Path
) -> None:
    home = next(iter(servers.homes))
    now = datetime.now(UTC)
    own = NodeAuthority.load(home / "certs")
    person = Authority.create("lab", now=now).issue_device("alice", "laptop", now=now)
    strangers: dict[str, Issued | None] = {
        "nobody": None,
        "a person": person,
        "another cluster": NodeAuthority.create("lab", now=now).issue("b", "127.0.0.1", now=now),
        "no member": own.issue("b", "127.0.0.1", now=now),
    }
    for who, issued in strangers.items():
        assert not is_let_in(servers.route(home), issued, tmp_path), who
    of_a_member = member(list(servers.homes)[1])
    assert is_let_in(servers.route(home), of_a_member, tmp_path)
    assert not is_let_in(servers.route(home), of_a_member, tmp_path, ssl.TLSVersion.TLSv1_2)


def member(home: Path) -> Path:
    return home / "certs" / "node"


def is_let_in(
    address: tuple[str, int],
    who: Issued | Path | None,
    folder: Path,
    newest: ssl.TLSVersion = ssl.TLSVersion.TLSv1_3,
) -> bool:
    """Whether the server begins to speak on its route port; it does so after the handshake."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.maximum_version = newest
    if isinstance(who, Issued):
        save_issued(folder, "stranger", who)
        who = folder / "stranger"
    if who is not None:
        context.load_cert_chain(f"{who}.pem", f"{who}.key")
    with socket.create_connection(address, timeout=10) as plain:
        try:
            with context.wrap_socket(plain) as tls:
                return tls.recv(4096).startswith(b"INFO ")
        except (ssl.SSLError, ConnectionError):
            return False


def test_the_port_of_clients_is_on_loopback_and_wants_the_password_of_this_start(servers: Servers) -> None:
    home = list(servers.homes)[1]
    address = read_address(home)
    assert address.host == "127.0.0.1"
    with socket.create_connection((address.host, address.port), timeout=10) as client:
        client.sendall(b'CONNECT {"user":"chatd","pass":"wrong","verbose":false}\r\nPING\r\n')
        answer = b""
        while piece := client.recv(4096):
            answer += piece
    assert b"Authorization Violation" in answer
    assert b"PONG" not in answer
    servers.stop(home)
    servers.start(home)
    assert read_address(home).password != address.password
