"""A node with a full disk follows nobody, claims nothing, and is read; with space it goes on from there."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from chatd.cluster.stream_place import StreamPlace, note_place
from chatd.cluster.tail_keys import TailKeys
from chatd.hub.leading import _FollowedStart
from chatd.store.event_log import EventLog
from tests.support.memory_cluster import LEAD_SECONDS, MemoryCluster, MemoryNode


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[MemoryCluster]:
    cluster = MemoryCluster(tmp_path, copies=2)
    yield cluster
    cluster.close()


def add(node: MemoryNode, name: str) -> bool:
    reply = node.ask("user_add", user=name, device="dev", serial=name.encode().hex(), role="user")
    return reply is not None and reply["type"] == "ok"


def fill(node: MemoryNode, monkeypatch: pytest.MonkeyPatch, *, full: bool = True) -> None:
    monkeypatch.setattr(node.hub._space, "available", lambda: not full)
    if full:
        node.hub.writable = False


def full_follower(cluster: MemoryCluster, monkeypatch: pytest.MonkeyPatch) -> tuple[MemoryNode, MemoryNode]:
    """Elect a leader; return it, and a node that follows and has a full disk."""
    leader = cluster.elect()
    cluster.run()
    victim = cluster.followers()[0]
    fill(victim, monkeypatch)
    return leader, victim


def test_it_takes_nothing_and_the_others_go_on(
    cluster: MemoryCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    leader, victim = full_follower(cluster, monkeypatch)
    cluster.run(0.3)
    head = victim.log.head
    assert add(leader, "bob")
    cluster.run()
    assert (victim.log.head, victim.ended) == (head, "")
    fill(victim, monkeypatch, full=False)
    cluster.run()
    assert victim.log.head == leader.log.head
    assert "bob" in victim.hub.state.users


def test_it_refuses_what_the_leader_would_decide_in_words(
    cluster: MemoryCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, victim = full_follower(cluster, monkeypatch)
    cluster.run(0.3)
    reply = victim.ask("user_add", user="bob", device="dev", serial="0a", role="user")
    assert reply is not None and reply["code"] == "E506"
    assert "full disk" in reply["reason"]
    read = victim.ask("users")
    assert read is not None and read["type"] == "ok"
    fill(victim, monkeypatch, full=False)
    cluster.run()
    add(victim, "bob")
    cluster.run()
    assert "bob" in victim.hub.state.users


def test_it_does_not_take_the_lead(cluster: MemoryCluster, monkeypatch: pytest.MonkeyPatch) -> None:
    leader = cluster.elect()
    cluster.run()
    full, other = cluster.followers()
    fill(full, monkeypatch)
    leader.end("killed")
    cluster.run(LEAD_SECONDS * 3)
    assert cluster.leader is other
    assert not full.leads
    assert not full.ended


def test_no_key_is_taken_that_could_not_be_written_down(
    cluster: MemoryCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    leader, victim = full_follower(cluster, monkeypatch)
    keys = set(victim.following._keys._keys)
    leader.following._exchange.replace(leader.following.backend.place.epoch)
    cluster.run(3.0)
    assert set(victim.following._keys._keys) == keys
    assert not victim.ended
    fill(victim, monkeypatch, full=False)
    cluster.run(3.0)
    assert add(leader, "bob")
    cluster.run()
    assert "bob" in victim.hub.state.users


class Unused:
    """A link to a stream, or to the others, that nobody may use."""

    def __getattr__(self, name: str) -> object:
        raise AssertionError(f"{name} was used")


def test_a_start_without_space_does_not_catch_up(tmp_path: Path) -> None:
    log = EventLog.open(tmp_path / "data", now=0)
    try:
        place = StreamPlace(5, 1, 1, "a")
        note_place(log, place)
        unused: Any = Unused()
        keys = TailKeys(log)
        start = _FollowedStart(log, unused, keys, unused, "b", 1.0, lambda: None, has_space=lambda: False)
        assert start.attempt() == place
    finally:
        log.close()
