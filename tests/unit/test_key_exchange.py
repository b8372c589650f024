"""Tail keys from node to node: copied before their first use, destroyed on every disk."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from chatd.cluster.key_exchange import DROP_SECONDS, KIND, REPEAT_SECONDS, TAIL_SECONDS, KeyExchange
from chatd.cluster.peer_link import PeerMessage
from chatd.cluster.tail_keys import TailKeys
from chatd.store.event_log import EventLog
from tests.support.memory_peers import MemoryPeers
from tests.support.memory_stream import MemoryStream
from tests.support.storelog import NOW, entries

EPOCH = 7


class Cluster:
    """Three nodes, each with a log; `settle` delivers messages at all but the leader ``a``."""

    def __init__(self, folder: Path, copies: int) -> None:
        self.network = MemoryPeers("a", "b", "c")
        self.stream = MemoryStream()
        self.now = 0.0
        self.logs = {name: EventLog.open(folder / name, now=NOW) for name in "abc"}
        self.keys = {name: TailKeys(log) for name, log in self.logs.items()}
        assert self.keys["a"].replace()
        self.former = self.keys["a"].current
        self.nodes = {
            name: KeyExchange(keys, self.stream, self.network.link(name), copies, lambda: self.now, nodes=3)
            for name, keys in self.keys.items()
        }

    def deliver(self, seq: int = 9) -> None:
        for name, node in self.nodes.items():
            for message in self.network.link(name).receive():
                assert message.kind == KIND
                node.take(message)
            if name != "a":
                node.settle(seq)

    def lead(self, rounds: int = 4, seq: int = 9, **applied: int) -> bool:
        """Let the leader go on for some rounds; return whether the key was replaced."""
        replaced = []
        for _ in range(rounds):
            replaced.append(self.nodes["a"].advance(9, applied))
            self.deliver(seq)
            self.now += REPEAT_SECONDS
        return any(replaced)

    def numbers(self) -> dict[str, list[int]]:
        """Return the keys on each node's disk."""
        prefix = "tail_key:"
        return {
            name: sorted(int(key.removeprefix(prefix)) for key in log.values(prefix))
            for name, log in self.logs.items()
        }

    def close(self) -> None:
        self.network.close()
        for log in self.logs.values():
            log.close()


@pytest.fixture
def cluster(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Cluster]:
    cluster = Cluster(tmp_path, getattr(request, "param", 2))
    yield cluster
    cluster.close()


@pytest.mark.parametrize("cluster", [3], indirect=True)
def test_a_key_is_used_once_enough_nodes_have_it_on_their_disks(cluster: Cluster) -> None:
    cluster.network.isolate("c")
    cluster.nodes["a"].replace(EPOCH)
    assert not cluster.lead()
    assert cluster.keys["a"].current == cluster.former
    cluster.network.cut.clear()
    assert cluster.lead()
    number = cluster.keys["a"].current
    assert number >> 24 == EPOCH
    assert len({keys.find(number) for keys in cluster.keys.values()}) == 1
    assert all(number in numbers for numbers in cluster.numbers().values())


def test_the_former_key_is_destroyed_on_all_disks_once_all_that_live_have_read_it(cluster: Cluster) -> None:
    cluster.nodes["b"].request(cluster.former)
    cluster.nodes["c"].request(cluster.former)
    cluster.lead()
    assert cluster.numbers() == {name: [cluster.former] for name in "abc"}
    cluster.stream.create()
    for _ in range(9):
        cluster.stream.append(len(cluster.stream.messages or []), b"", 1)
    cluster.nodes["a"].replace(EPOCH)
    assert cluster.lead(b=9, c=8)
    assert all(len(numbers) == 2 for numbers in cluster.numbers().values())
    assert cluster.stream.first == 1
    cluster.lead(b=9, c=9)
    assert cluster.numbers() == {name: [cluster.keys["a"].current] for name in "abc"}
    assert cluster.stream.first == 10


def test_a_node_that_was_away_destroys_when_it_has_caught_up(cluster: Cluster) -> None:
    cluster.nodes["c"].request(cluster.former)
    cluster.lead()
    cluster.network.isolate("c")
    cluster.stream.create()
    redact(cluster)
    cluster.nodes["a"].replace(EPOCH)
    assert cluster.lead(b=9)
    assert cluster.numbers()["a"] == [cluster.keys["a"].current]
    cluster.network.cut.clear()
    number = cluster.keys["a"].current
    cluster.lead(seq=8, b=9)
    cluster.nodes["c"].request(number)
    cluster.lead(seq=8, b=9)
    assert cluster.numbers()["c"] == [cluster.former, number]
    cluster.now += DROP_SECONDS
    cluster.lead(b=9)
    assert cluster.numbers()["c"] == [number]


def flags(keys: TailKeys) -> tuple[bool, bool]:
    return keys.is_spent, keys.must_destroy


def redact(cluster: Cluster) -> None:
    """Commit a redaction at the leader."""
    log = cluster.logs["a"]
    log.insert(entries(1, 2), {})
    cluster.keys["a"].note_redacted()
    log.commit()
    log.finish()


def test_only_a_redaction_does_not_wait_for_a_node_that_is_away(cluster: Cluster) -> None:
    cluster.stream.create()
    cluster.nodes["a"].replace(EPOCH)
    assert cluster.lead(b=9)
    number = cluster.keys["a"].current
    assert cluster.numbers()["a"] == [cluster.former, number]
    redact(cluster)
    assert flags(cluster.keys["a"]) == (True, True)
    cluster.lead(b=9)
    assert cluster.numbers()["a"] == [number]
    cluster.nodes["a"].replace(EPOCH)
    assert cluster.lead(b=9)
    assert flags(cluster.keys["a"]) == (False, False)
    assert cluster.numbers()["a"] == [number + 1]
    cluster.nodes["a"].replace(EPOCH)
    assert cluster.lead(b=9)
    assert len(cluster.numbers()["a"]) == 2
    cluster.now += TAIL_SECONDS
    cluster.lead(b=9)
    assert len(cluster.numbers()["a"]) == 1


def test_a_restart_remembers_that_something_is_redacted(cluster: Cluster) -> None:
    redact(cluster)
    keys = TailKeys(cluster.logs["a"])
    assert flags(keys) == (True, False)
    assert keys.replace(EPOCH)
    assert flags(keys) == flags(TailKeys(cluster.logs["a"])) == (False, True)
    assert keys.destroy_former()
    assert flags(keys) == flags(TailKeys(cluster.logs["a"])) == (False, False)


def test_a_former_key_that_arrives_late_is_not_kept(cluster: Cluster) -> None:
    old = cluster.keys["a"].find(cluster.former)
    assert old is not None
    cluster.stream.create()
    cluster.nodes["a"].replace(EPOCH)
    cluster.lead(b=9, c=9)
    cluster.lead(b=9, c=9)
    cluster.network.link("a").send("b", KIND, ["give", cluster.former], old)
    cluster.deliver()
    assert cluster.keys["b"].find(cluster.former) is None


def test_a_node_alone_replaces_at_once(tmp_path: Path) -> None:
    log, stream = EventLog.open(tmp_path / "data", now=NOW), MemoryStream()
    stream.create()
    keys = TailKeys(log)
    keys.replace()
    exchange = KeyExchange(keys, stream, copies=2)
    exchange.replace(1)
    assert exchange.advance(0, {})
    assert keys.find(1) is None
    assert TailKeys(log).current == keys.current
    log.close()


@pytest.mark.parametrize(
    "header",
    [[], ["give"], ["give", "1"], ["give", 5], ["have", None], ["want", []], ["drop", 1], ["drop", "x", 1]],
    ids=str,
)
def test_what_is_no_message_about_keys_changes_nothing(cluster: Cluster, header: list[object]) -> None:
    before = cluster.numbers()
    cluster.nodes["b"].take(PeerMessage("a", KIND, header, b"short"))
    cluster.nodes["b"].settle(9)
    assert cluster.numbers() == before
