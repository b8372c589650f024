"""The checker of the stream accepts a sound one, and finds every planted fault."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Sequence

import pytest

from chatd.cluster.stream_message import MessageKind, StreamHeader, pack_batch, seal_message
from chatd.store.chain import SALT_BYTES, hash_entry
from chatd.store.entry import Entry, Point
from tests.chaos.checker import Verdict
from tests.chaos.journal import Line
from tests.chaos.stream_checker import judge_stream, read_stream
from tests.chaos.stream_record import StreamRecord

KEY = bytes(range(32))
BEGIN = Point(2, bytes(32))


class Stream:
    """A stream of chatd's own messages, and the logs and acknowledgements that fit to it."""

    def __init__(self) -> None:
        self.messages: list[bytes] = []
        self.logs: dict[str, dict[int, str]] = {
            name: {1: "00", BEGIN.seq: BEGIN.chain_hash.hex()} for name in ("a", "b", "c")
        }
        self.acks: list[Line] = []
        self.end = BEGIN
        self.epoch = 0
        self.leader = "a"
        self.add(MessageKind.GENESIS)
        self.claim("a")

    def add(self, kind: MessageKind, entries: Sequence[Entry] = (), *, size: int = 0) -> None:
        body, salts = b"", bytes(SALT_BYTES * len(entries))
        if kind is MessageKind.BATCH:
            body, size = pack_batch(entries, salts, {}), len(entries)
        header = StreamHeader(kind, 1, self.epoch, self.leader, self.end, size, 1)
        self.messages.append(seal_message(header, body, KEY))

    def claim(self, node: str) -> None:
        self.epoch, self.leader = self.epoch + 1, node
        self.add(MessageKind.CLAIM)

    def say(self, *texts: str, applied: Sequence[str] = ("a", "b", "c"), counts: bool = True) -> None:
        """Add a batch of messages, which the nodes apply; acknowledge them if it counts."""
        entries, chain = [], self.end.chain_hash
        for seq, text in enumerate(texts, self.end.seq + 1):
            body = json.dumps({"body": text}).encode()
            entries.append(Entry(seq, 7, "message", "#war", "user/d", text.encode(), None, body))
            _, chain = hash_entry(chain, entries[-1], bytes(SALT_BYTES))
            for name in applied:
                self.logs[name][seq] = chain.hex()
            if counts:
                self.acks.append({"k": "ack", "b": text, "s": seq, "id": text.encode().hex()})
        self.add(MessageKind.BATCH, entries)
        if counts:
            self.end = Point(self.end.seq + len(texts), chain)

    def record(self, *, missed: Sequence[int] = (), keys: bool = True) -> StreamRecord:
        copied = {place: data for place, data in enumerate(self.messages, 1) if place not in missed}
        return StreamRecord({"now": copied}, {1: KEY} if keys else {}, [], 1)

    def judge(self, record: StreamRecord | None = None) -> Verdict:
        verdict = Verdict()
        judge_stream(verdict, record or self.record(), self.logs, self.acks)
        return verdict


def sound() -> Stream:
    stream = Stream()
    stream.say("one", "two")
    stream.say("three")
    stream.add(MessageKind.SETTINGS, size=1)
    stream.claim("b")
    stream.say("four")
    return stream


def found(verdict: Verdict) -> set[str]:
    return {f"{finding.rule} {finding.kind}" for finding in verdict.findings}


def test_a_sound_stream_has_no_findings() -> None:
    stream = sound()
    verdict = stream.judge()
    assert verdict.findings == []
    assert verdict.counts["acknowledged and read in the stream"] == 4
    assert verdict.counts["batches"] == 3
    assert verdict.counts["claims"] == 2
    assert verdict.counts["stream messages void"] == 0


def test_what_a_deposed_leader_sends_is_void() -> None:
    stream = sound()
    end, stream.epoch, stream.leader = stream.end, 1, "a"
    stream.say("too late", applied=(), counts=False)
    stream.epoch, stream.leader, stream.end = 2, "b", end
    stream.messages.append(stream.messages[4])  # stored twice
    stream.messages.append(b"of another program")
    stream.add(MessageKind.SETTINGS, size=1)  # their number has to rise
    stream.say("five")
    verdict = stream.judge()
    assert verdict.findings == []
    assert verdict.counts["stream messages void"] == 4


def lose(stream: Stream) -> None:
    """The last batch never was in the stream, and in the logs."""
    stream.messages.pop()
    for log in stream.logs.values():
        log.popitem()


def double(stream: Stream) -> None:
    stream.say("one")


def move(stream: Stream) -> None:
    one, two = stream.acks[:2]
    one["s"], two["s"] = two["s"], one["s"]


def reorder(stream: Stream) -> None:
    log = stream.logs["c"]
    log[3], log[4] = log[4], log[3]


def apply_void(stream: Stream) -> None:
    stream.epoch, stream.leader = 1, "a"
    stream.say("too late", applied=("a", "b", "c"), counts=False)
    stream.epoch, stream.leader = 2, "b"
    stream.say("five", applied=())


def run_ahead(stream: Stream) -> None:
    stream.logs["a"][stream.end.seq + 1] = "ff"


def fall_behind(stream: Stream) -> None:
    stream.logs["b"].popitem()
    stream.logs["c"].popitem()


def lose_a_batch(stream: Stream) -> None:
    """NATS has lost a batch amid the others, and given its place to the next one."""
    del stream.messages[2]


@pytest.mark.parametrize(
    ("plant", "kinds"),
    [
        (lose, {"C2 lost"}),
        (double, {"C2 doubled"}),
        (move, {"C2 moved"}),
        (reorder, {"C1 differs"}),
        (apply_void, {"C3 void applied"}),
        (run_ahead, {"C1 ahead"}),
        (fall_behind, {"C1 behind", "C2 too few copies"}),
        (lose_a_batch, {"C1 ahead", "C2 lost"}),
    ],
)
def test_a_planted_fault_is_found(plant: Callable[[Stream], None], kinds: set[str]) -> None:
    stream = sound()
    plant(stream)
    assert kinds <= found(stream.judge())


def test_two_nodes_with_different_messages_are_found() -> None:
    stream = sound()
    assert found(stream.judge(stream.record()._replace(twofold=[3]))) == {"C3 twofold"}


def test_a_record_without_an_end_is_found() -> None:
    stream = sound()
    assert found(stream.judge(stream.record()._replace(ended=0))) == {"C1 not read"}


def test_what_was_not_copied_in_time_is_judged_by_the_messages_around_it() -> None:
    stream = sound()
    for record in (stream.record(missed=[1, 2, 3]), stream.record(missed=[4, 6]), stream.record(keys=False)):
        assert stream.judge(record).findings == []
    lost = stream.record(missed=[4])
    for log in stream.logs.values():
        log[5] = "ff"
    assert "C1 ahead" in found(stream.judge(lost))


def test_a_stream_made_anew_goes_on_from_a_log() -> None:
    stream = sound()
    old = dict(enumerate(stream.messages, 1))
    header = StreamHeader(MessageKind.GENESIS, 2, 0, "c", stream.end, 0, 1)
    record = StreamRecord({"1": old, "2": {1: seal_message(header, b"", KEY)}}, {1: KEY}, [], 1)
    assert stream.judge(record).findings == []
    del old[len(old)]
    assert stream.judge(record).findings == []
    old |= dict(enumerate(stream.messages, 1))
    shorter = header._replace(previous=BEGIN)
    record.makings["2"] = {1: seal_message(shorter, b"", KEY)}
    assert {"C1 ahead", "C2 lost"} <= found(stream.judge(record))
    other = header._replace(previous=Point(stream.end.seq, bytes(32)))
    record.makings["2"] = {1: seal_message(other, b"", KEY)}
    for log in stream.logs.values():
        log[stream.end.seq] = bytes(32).hex()
    assert "C1 branch" in found(stream.judge(record))


def test_the_second_reader_needs_nothing_of_chatd() -> None:
    modules = ("stream_reader", "stream_checker", "stream_copy")
    program = f"import sys, {', '.join(f'tests.chaos.{name}' for name in modules)}\nprint(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert "chatd.cluster.stream_message" not in loaded.stdout.split()


def test_the_hashes_after_each_entry_are_those_of_the_log() -> None:
    stream = sound()
    content = read_stream(stream.record(), {})
    assert content.chain | {1: "00"} == stream.logs["a"]
    assert [entry.text for entry in content.entries.values()] == ["one", "two", "three", "four"]
