"""Messages between hubs over a real nats-server, which ends and comes back."""

from __future__ import annotations

import select
from collections.abc import Iterator

import pytest

from chatd.cluster.nats_peers import NatsPeers
from chatd.cluster.peer_link import PeerMessage
from tests.support.daemon import wait_until
from tests.support.plain_nats import PlainNats

MANY = 2_000


@pytest.fixture
def server() -> Iterator[PlainNats]:
    server = PlainNats()
    server.start()
    yield server
    server.kill()


@pytest.fixture
def links(server: PlainNats) -> Iterator[dict[str, NatsPeers]]:
    links = {name: NatsPeers(lambda: server.address, name, {*"abc"} - {name}) for name in "abc"}
    yield links
    for link in links.values():
        link.close()


def until_heard(sender: NatsPeers, receiver: NatsPeers, to: str | None) -> None:
    """Send until something arrives."""

    def heard() -> bool:
        sender.send(to, "beat", [])
        return bool(select.select([receiver], [], [], 0.05)[0] and receiver.receive())

    wait_until(heard)


def collect(link: NatsPeers, wanted: int) -> list[PeerMessage]:
    found: list[PeerMessage] = []

    def enough() -> bool:
        select.select([link], [], [], 0.1)
        found.extend(message for message in link.receive() if message.kind != "beat")
        return len(found) >= wanted

    wait_until(enough)
    return found


def test_messages_to_one_and_to_all_arrive_in_the_order_of_their_sender(links: dict[str, NatsPeers]) -> None:
    a, b, c = links["a"], links["b"], links["c"]
    until_heard(a, b, "b")
    until_heard(a, c, "c")
    for number in range(MANY):
        a.send("b" if number % 2 else None, "ask", [number, "é"], bytes(range(256)))
    arrived = collect(b, MANY)
    assert [message.header for message in arrived] == [[number, "é"] for number in range(MANY)]
    assert arrived[0] == PeerMessage("a", "ask", [0, "é"], bytes(range(256)))
    assert [message.header[0] for message in collect(c, MANY // 2)] == list(range(0, MANY, 2))
    assert not [message for message in a.receive() if message.kind != "beat"]


def test_what_comes_from_a_stranger_is_ignored(server: PlainNats, links: dict[str, NatsPeers]) -> None:
    until_heard(links["b"], links["a"], "a")
    stranger = NatsPeers(lambda: server.address, "x", "ay")
    friend = NatsPeers(lambda: server.address, "y", "x")
    until_heard(stranger, friend, None)
    stranger.send(None, "ask", [1])
    collect(friend, 1)
    links["b"].send("a", "ask", [2])
    assert {message.sender for message in collect(links["a"], 1)} == {"b"}
    stranger.close()
    friend.close()


def test_a_server_that_ends_is_connected_to_again(server: PlainNats, links: dict[str, NatsPeers]) -> None:
    until_heard(links["a"], links["b"], "b")
    server.kill()
    links["a"].send("b", "ask", [1])
    server.start()
    until_heard(links["a"], links["b"], "b")
    until_heard(links["b"], links["a"], None)
