"""A node that was away for long reads each message once, shows that it lives, and serves in between."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from chatd.cluster import follow_stream
from chatd.cluster.follow_stream import catch_up
from chatd.hub import following
from tests.support.memory_cluster import MemoryCluster, MemoryNode

PEOPLE = 12


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[MemoryCluster]:
    cluster = MemoryCluster(tmp_path, copies=2)
    yield cluster
    cluster.close()


@pytest.fixture
def away(cluster: MemoryCluster) -> MemoryNode:
    """A node that was away for some messages, and is back; it has taken none of them yet."""
    leader = cluster.elect()
    cluster.run()
    node = cluster.followers()[0]
    node.end("killed")
    for number in range(PEOPLE):
        reply = leader.ask(
            "user_add", user=f"user{number}", device="dev", serial=f"{number:04x}", role="user"
        )
        assert reply is not None and reply["type"] == "ok"
    node.start()
    return node


def counted(cluster: MemoryCluster, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Return the list to which the number of each message that is read is added."""
    found: list[int] = []
    read: Callable[[int], bytes | None] = cluster.stream.read

    def noted(seq: int) -> bytes | None:
        found.append(seq)
        return read(seq)

    monkeypatch.setattr(cluster.stream, "read", noted)
    return found


@pytest.mark.parametrize("limit", ["TAKEN_EVENTS", "READ_MESSAGES", "READ_BYTES"])
def test_each_message_is_read_once_whatever_ends_a_transaction(
    cluster: MemoryCluster, away: MemoryNode, monkeypatch: pytest.MonkeyPatch, limit: str
) -> None:
    monkeypatch.setattr(follow_stream, limit, 2)
    place = away.following.backend.place
    read = counted(cluster, monkeypatch)
    signs: list[int] = []
    end = catch_up(away.log, cluster.stream, away.following._keys, lambda: signs.append(1))
    assert read == list(range(place.seq + 1, end.seq + 1))
    assert len(read) >= PEOPLE
    assert len(signs) >= len(read)


def test_a_hub_serves_between_the_turns_in_which_it_takes_messages(
    cluster: MemoryCluster, away: MemoryNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(following, "TURN_SECONDS", 0.0)
    monkeypatch.setattr(follow_stream, "TAKEN_EVENTS", 1)
    before = away.following.backend.place
    away.following._take_stream()
    assert away.following.backend.place == before
    monkeypatch.setattr(following, "TURN_SECONDS", 60.0)
    monkeypatch.setattr(following, "UNREAD_MESSAGES", 0)
    away.following._take_stream()
    assert f"user{PEOPLE - 1}" in away.hub.state.users
