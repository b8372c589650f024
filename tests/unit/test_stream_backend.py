"""Commits to a cluster's stream and to the log, with faults at every step."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from chatd.cluster import follow_stream, key_exchange, stream_backend
from chatd.cluster.follow_stream import catch_up, lead_stream, request_reseed
from chatd.cluster.log_link import Outcome
from chatd.cluster.stream_backend import PART_BYTES, StreamBackend
from chatd.cluster.stream_message import (
    MessageKind,
    StreamHeader,
    UnreadableError,
    open_message,
    read_header,
    seal_message,
)
from chatd.cluster.stream_place import StreamPlace, forget_stream, place_values, stored_place
from chatd.cluster.tail_keys import EVENTS_PER_KEY, TailKeys
from chatd.errors import ChatdError
from chatd.store.branches import begin_branch
from chatd.store.entry import Entry, Point
from chatd.store.event_log import EventLog
from chatd.store.log_reader import LogReader
from tests.support.memory_stream import MemoryStream
from tests.support.storelog import NOW, entries, entry, order

SECONDS = 1.0


class Crash(Exception):
    """The process has been killed."""


class Node:
    """A node's folder and the hub that runs on it; `start` is what a new hub does."""

    def __init__(self, data: Path, stream: MemoryStream) -> None:
        self.data = data
        self.stream = stream
        self._open = ExitStack()

    def start(self) -> Node:
        self.log = EventLog.open(self.data, now=NOW)
        self._open.callback(self.log.close)
        self.keys = TailKeys(self.log)
        place = lead_stream(self.log, self.stream, self.keys, "alpha", SECONDS)
        self.backend = StreamBackend(self.log, self.stream, self.keys, place, SECONDS)
        return self

    def commit(self, batch: list[Entry], redact: dict[int, int] | None = None) -> None:
        assert self.backend.try_begin()
        self.backend.insert(batch, redact or {})
        self.backend.commit()
        self.backend.finish()

    def next(self, count: int = 3) -> None:
        self.commit(entries(self.log.head + 1, count))

    def crash(self) -> Node:
        """End without closing anything in order, as far as one process can show that."""
        self.log._failure = "crashed"  # else it would empty the WAL
        self._open.close()
        return self

    def bodies(self) -> list[bytes]:
        reader = LogReader(self.data)
        try:
            found = [reader.entry(seq) for seq in range(1, self.log.head + 1)]
            return [one.body for one in found if one is not None]
        finally:
            reader.close()


@pytest.fixture
def node(tmp_path: Path) -> Iterator[Node]:
    node = Node(tmp_path / "data", MemoryStream()).start()
    yield node
    node._open.close()


def crash_at(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    def crash_point(point: str) -> None:
        if point == name:
            monkeypatch.undo()
            raise Crash

    for module in (stream_backend, follow_stream, key_exchange):
        monkeypatch.setattr(module, "crash_point", crash_point)


def code_of(act: Callable[[], object]) -> str:
    with pytest.raises(ChatdError) as refused:
        act()
    return refused.value.code


def test_log_and_stream_hold_the_same_batches(node: Node) -> None:
    node.next()
    node.next(5)
    assert node.log.head == 8
    assert stored_place(node.log) == node.backend.place == StreamPlace(4, 1, 1, "alpha")
    kinds = [read_header(message).kind.name for message in node.stream.messages or []]
    assert kinds == ["GENESIS", "CLAIM", "BATCH", "BATCH"]


def test_a_node_that_lacks_a_key_is_refused(node: Node, tmp_path: Path) -> None:
    node.log.checkpoint()
    shutil.copytree(node.data, tmp_path / "copy")
    node.next()
    copy = EventLog.open(tmp_path / "copy", now=NOW)
    try:
        forget_stream(copy)
        place = StreamPlace(2, 1, 1, "alpha")
        copy.set_values(place_values(place))
        assert code_of(lambda: catch_up(copy, node.stream, TailKeys(copy))) == "E621"
    finally:
        copy.close()


def test_a_follower_with_the_keys_ends_with_the_same_log(node: Node, tmp_path: Path) -> None:
    node.log.checkpoint()
    shutil.copytree(node.data, tmp_path / "copy")
    for count in (1, 4, 30):
        node.next(count)
    copy = EventLog.open(tmp_path / "copy", now=NOW)
    try:
        place = catch_up(copy, node.stream, node.keys)
        assert place == node.backend.place == stored_place(copy)
        assert (copy.head, copy.chain_hash) == (node.log.head, node.log.chain_hash)
    finally:
        copy.close()


@pytest.mark.parametrize("point", ["cluster.append.before", "cluster.append.stored", "cluster.key.replaced"])
def test_a_crash_in_a_commit_loses_and_doubles_nothing(
    node: Node, monkeypatch: pytest.MonkeyPatch, point: str
) -> None:
    node.next()
    crash_at(monkeypatch, point)
    with pytest.raises(Crash):
        node.commit([*entries(4, 2), order(6, "redacted", "#war", target=1)], {1: 6})
    node.crash().start()
    assert node.log.head == (3 if point == "cluster.append.before" else 6)
    node.next()
    assert node.bodies()[-3:] == [one.body for one in entries(node.log.head - 2, 3)]


@pytest.mark.parametrize("point", ["cluster.stream.created", "cluster.stream.begun", "cluster.follow.taken"])
def test_a_crash_in_a_start_is_made_good_by_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, point: str
) -> None:
    node = Node(tmp_path / "data", MemoryStream())
    if point == "cluster.follow.taken":
        node.start().stream.after = OSError("the answer is lost")
        assert code_of(node.next) == "E506"
        node.crash()
    crash_at(monkeypatch, point)
    with pytest.raises(Crash):
        node.start()
    node.crash().start()
    node.next()
    assert node.log.head in (3, 6)
    assert stored_place(node.log).generation == 1
    node._open.close()


@pytest.mark.parametrize(
    ("when", "fault"),
    [
        ("before", OSError("nothing listens")),
        ("after", OSError("timed out")),
        ("after", Outcome.UNKNOWN),
    ],
    ids=["not sent", "no answer", "unknown"],
)
def test_an_undecided_append_ends_the_hub_and_the_next_finds_out(
    node: Node, when: str, fault: Outcome | OSError
) -> None:
    node.next()
    setattr(node.stream, when, fault)
    assert code_of(node.next) == "E506"
    node.crash().start()
    assert node.log.head == (3 if when == "before" else 6)


def test_a_rival_ends_the_hub(node: Node) -> None:
    node.next()
    (node.stream.messages or []).append(b"what another leader has sent")
    assert code_of(node.next) == "E506"
    node.crash().start()
    assert node.log.head == 3
    assert node.backend.place.seq == 5, "the rival's message is void, then comes the claim"
    node.next()


def test_a_redaction_leaves_no_key_that_opens_the_message(node: Node) -> None:
    node.next()
    old = list(node.stream.messages or [])
    node.commit([order(4, "redacted", "#war", target=1)], {1: 4})
    keys = [key for number in [1, node.keys.current] if (key := node.keys.find(number))]
    assert len(keys) == 1
    for message in [*old, *(node.stream.messages or [])]:
        with pytest.raises(UnreadableError):
            open_message(message, keys[0])
    assert node.stream.first == node.backend.place.seq + 1
    node.crash().start()
    node.next()


def test_a_key_seals_a_bounded_number_of_events(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream_backend, "EVENTS_PER_KEY", 10)
    assert EVENTS_PER_KEY > 10
    first = node.keys.current
    for _ in range(5):
        node.next(4)
    assert node.keys.current == (node.backend.place.epoch << 24) + 1 > first
    assert node.keys.find(1) is None


def test_a_batch_of_long_texts_becomes_several_messages(node: Node) -> None:
    long = "x" * (PART_BYTES // 4)
    batch = [entry(seq, text=f"{seq} {long}") for seq in range(1, 9)]
    batch.append(order(9, "redacted", "#war", target=2))
    node.commit(batch, {2: 9})
    sizes = [len(message) for message in node.stream.messages or []]
    assert len(sizes) == 5
    assert max(sizes) < 1024 * 1024
    assert node.log.head == 9


def test_a_stream_that_is_behind_the_log_is_refused_until_it_is_made_anew(node: Node) -> None:
    node.next()
    (node.stream.messages or []).pop()
    node.crash()
    assert code_of(node.start) == "E621"
    request_reseed(node.log, "alpha")
    node.crash().start()
    assert (node.log.head, stored_place(node.log).generation) == (3, 2)
    node.next()


def test_a_stream_that_is_gone_is_refused_until_it_is_made_anew(node: Node) -> None:
    node.next()
    node.crash().stream.messages = None
    assert code_of(node.start) == "E621"
    request_reseed(node.log, "alpha")
    node.crash().start()
    node.next()


def test_the_stream_of_another_log_is_refused(node: Node, tmp_path: Path) -> None:
    node.next()
    other = Node(tmp_path / "other", node.stream)
    assert code_of(other.start) == "E621"
    assert len(node.stream.messages or []) == 3, "nothing of it is touched"
    request_reseed(other.log, "alpha")
    other.crash().start()
    assert (stored_place(other.log).generation, len(other.stream.messages or [])) == (1, 2)
    other._open.close()


def test_a_log_that_forgot_its_stream_has_no_key_left(node: Node) -> None:
    node.next()
    forget_stream(node.log)
    assert stored_place(node.log) == StreamPlace()
    assert TailKeys(node.log).current == 0


def test_a_restored_log_begins_a_stream_of_its_own(node: Node, tmp_path: Path) -> None:
    node.next()
    node.log.checkpoint()
    shutil.copytree(node.data, tmp_path / "restored")
    begin_branch(tmp_path / "restored", node.log.head)
    restored = Node(tmp_path / "restored", MemoryStream()).start()
    restored.next()
    assert (restored.log.head, stored_place(restored.log)) == (6, StreamPlace(3, 1, 1, "alpha"))
    assert restored.keys.find(1) != node.keys.find(1)
    restored._open.close()


def test_what_nobody_sealed_is_void(node: Node) -> None:
    point = Point(node.log.head, node.log.chain_hash)
    forged = StreamHeader(MessageKind.BATCH, 1, 1, "alpha", point, 3, node.keys.current)
    (node.stream.messages or []).append(seal_message(forged, b"body", bytes(32)))
    node.crash().start()
    assert node.log.head == 0
    node.next()
