"""Messages between hubs: packed, queued up to a bound, and lost on a cut network."""

from __future__ import annotations

import select

import pytest

from chatd.cluster import peer_link
from chatd.cluster.peer_link import PeerMessage, PeerQueue, pack_message, unpack_message
from tests.support.memory_peers import MemoryPeers


def test_a_message_survives_the_way() -> None:
    message = PeerMessage("alpha", "ask", [1, ["bob", None]], b"\x00payload")
    assert unpack_message(pack_message(message)) == message


@pytest.mark.parametrize("data", [b"", b"\x00", pack_message(PeerMessage("a", "b", [], b""))[:-1]])
def test_what_is_no_message_is_told(data: bytes) -> None:
    with pytest.raises(ValueError, match="not a message"):
        unpack_message(data)


def test_the_queue_loses_what_is_beyond_its_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(peer_link, "QUEUE_MESSAGES", 2)
    monkeypatch.setattr(peer_link, "QUEUE_BYTES", 5)
    queue = PeerQueue()
    assert queue.append("b", b"123")
    assert not queue.append("b", b"456")
    assert queue.append("b", b"78")
    assert not queue.append("b", b"")
    assert queue.take() == [("b", b"123"), ("b", b"78")]
    assert queue.take() == []
    assert queue.lost == 2
    assert queue.append("b", b"12345")


def test_the_double_delivers_in_order_and_loses_what_is_cut() -> None:
    network = MemoryPeers("a", "b", "c")
    a, b, c = map(network.link, "abc")
    a.send("b", "ask", [1])
    a.send(None, "beat", [2])
    assert select.select([b, c], [], [], 0)[0] == [b, c]
    assert [(m.sender, m.kind, m.header) for m in b.receive()] == [("a", "ask", [1]), ("a", "beat", [2])]
    assert [m.header for m in c.receive()] == [[2]]
    assert not select.select([a, b, c], [], [], 0)[0]
    network.isolate("b")
    a.send(None, "beat", [3])
    b.send(None, "beat", [4])
    assert (len(a.receive()), len(b.receive()), len(c.receive())) == (0, 0, 1)
    network.close()
