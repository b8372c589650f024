"""Judge what a cluster's stream has, and the nodes' logs by it (C1 to C3), with no code of chatd.

C1  the log of a node is what counts in the stream, in its order
C2  an acknowledged message counts in the stream exactly once, at the place it was acknowledged for, and is in
    the logs of enough nodes
C3  one batch counts for each seq, the same for all

Whether a message counts depends on those before it: see docs/cluster.md, "What happens to a message".
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from tests.chaos.checker import Verdict
from tests.chaos.journal import Line
from tests.chaos.stream_reader import (
    BATCH,
    CLAIM,
    GENESIS,
    SETTINGS,
    StreamEntry,
    StreamMessage,
    read_message,
)
from tests.chaos.stream_record import StreamRecord

COPIES = 2
Chain = Mapping[int, str]


class _Rule(NamedTuple):
    """What a message must have to count, beside its place in the chain: see `_Reading._counts`."""

    generation: int  # how much higher than the last: 0 the same, 1 any higher
    epoch: int
    of_leader: bool


_RULES = {
    GENESIS: _Rule(1, -1, False),
    CLAIM: _Rule(0, 1, False),
    BATCH: _Rule(0, 0, True),
    SETTINGS: _Rule(0, 0, True),
}


@dataclass
class StreamContent:
    """What counts: the chain hash after each seq, and the entries that could be opened.

    ``void`` has the chain hashes after entries of batches that do not count, and their places.
    """

    chain: dict[int, str] = field(default_factory=dict)
    entries: dict[int, StreamEntry] = field(default_factory=dict)
    void: dict[str, int] = field(default_factory=dict)
    counts: Counter[str] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)


class _Reading:
    """Reads messages in order. ``known`` helps where a key or a message was not copied in time: a log."""

    def __init__(self, known: Chain) -> None:
        self.content = StreamContent()
        self._known = known
        self._generation = self._epoch = -1
        self._settings = 0
        self._leader = ""
        self._head, self._hash = -1, ""
        self._sure = False

    def take_making(self, messages: Mapping[int, bytes], keys: dict[int, bytes]) -> None:
        """Take all messages of a stream from when it was made."""
        place, self._sure = 0, False
        for at, data in sorted(messages.items()):
            if at != place + 1:
                self.content.counts["stream messages missed"] += at - place - 1
                self._sure = False
            place = at
            self._take(read_message(place, data, keys), place)

    def _take(self, message: StreamMessage | str, place: int) -> None:
        self.content.counts["stream messages"] += 1
        if isinstance(message, str):
            self.content.counts["stream messages void"] += 1
            return
        if not self._sure and self._fits_known(message):
            self._resume(message)
        elif not self._counts(message):
            self.content.counts["stream messages void"] += 1
            for entry in message.entries or ():
                self.content.void[entry.chain] = place
            return
        self._apply(message)

    def _counts(self, message: StreamMessage) -> bool:
        rule = _RULES[message.kind]
        risen = message.generation - self._generation
        later = message.epoch - self._epoch
        return (
            (risen > 0 if rule.generation else risen == 0)
            and (rule.epoch < 0 or (later > 0 if rule.epoch else later == 0))
            and (not rule.of_leader or message.node == self._leader)
            and (message.after, message.previous) == (self._head, self._hash)
            and (message.kind != BATCH or message.size > 0)
            and (message.kind != SETTINGS or message.size > self._settings)
        )

    def _fits_known(self, message: StreamMessage) -> bool:
        """Whether a message goes on after what was missed: the log has it, and so it has counted."""
        if message.kind != GENESIS and message.after < self._head:
            return False
        if self._known.get(message.after, message.previous) != message.previous:
            return False
        return all(self._known.get(entry.seq) == entry.chain for entry in message.entries or ())

    def _resume(self, message: StreamMessage) -> None:
        """Go on at a message; what is between the last one and it is what the log has there."""
        content, self._sure = self.content, True
        if not content.chain:
            # The hash of all that was before: of the log that a cluster began with, or of what was missed.
            content.chain |= {seq: chain for seq, chain in self._known.items() if seq < message.after}
            content.chain[message.after] = message.previous
        elif message.kind == GENESIS:
            self._begin_anew(message)
        for seq in range(self._head + 1, message.after + 1) if self._head >= 0 else ():
            content.chain[seq] = self._known.get(seq, "")
            content.counts["stream entries by the log"] += 1

    def _begin_anew(self, message: StreamMessage) -> None:
        """A stream was made anew from a log: it must be what counted before, and may lack the end of it."""
        content = self.content
        rises = message.generation > self._generation
        # The end of the stream before may have been missed.
        if not rises or content.chain.get(message.after, message.previous) != message.previous:
            content.faults.append(f"generation {message.generation} begins with another log")
        for seq in [seq for seq in content.chain if seq > message.after]:
            del content.chain[seq]
            content.entries.pop(seq, None)
            content.counts["stream entries left out by a reseed"] += 1

    def _apply(self, message: StreamMessage) -> None:
        self._head, self._hash = message.after, message.previous
        self._generation, self._epoch, self._leader = message.generation, message.epoch, message.node
        if message.kind == SETTINGS:
            self._settings = message.size
        if message.kind == CLAIM:
            self.content.counts["claims"] += 1
        if message.kind != BATCH:
            return
        self.content.counts["batches"] += 1
        self._head += message.size
        if message.entries is None:
            self.content.counts["batches without a key"] += 1
            for seq in range(message.after + 1, self._head + 1):
                self.content.chain[seq] = self._known.get(seq, "")
        for entry in message.entries or ():
            self.content.chain[entry.seq] = entry.chain
            self.content.entries[entry.seq] = entry
        self._hash = self.content.chain[self._head]


def read_stream(record: StreamRecord, known: Chain) -> StreamContent:
    """Return what counts in a record. ``known`` is the chain of a log."""
    reading = _Reading(known)
    for messages in record.makings.values():
        reading.take_making(messages, record.keys)
    return reading.content


def judge_stream(
    verdict: Verdict, record: StreamRecord, chains: Mapping[str, Chain], acks: Iterable[Line]
) -> None:
    """Add a finding for each difference between the stream, the logs and what was acknowledged."""
    content = read_stream(record, max(chains.values(), key=len, default={}))
    for place in record.twofold:
        verdict.add("C3", "twofold", f"two nodes have different messages at place {place} of the stream")
    for fault in content.faults:
        verdict.add("C1", "branch", fault)
    if not record.ended or not content.chain:
        verdict.add("C1", "not read", "no copy of the stream has reached its end")
    for name, chain in chains.items():
        _compare(verdict, content, name, chain)
    _acknowledged(verdict, content, chains, acks)
    verdict.counts.update(content.counts)


def _compare(verdict: Verdict, content: StreamContent, name: str, chain: Chain) -> None:
    end = max(content.chain, default=0)
    if (head := max(chain, default=0)) != end:
        kind = "ahead" if head > end else "behind"
        verdict.add("C1", kind, f"the log of {name} ends at {head}, the stream at {end}")
    for seq in range(1, min(head, end) + 1):
        if (found := chain.get(seq)) == content.chain.get(seq):
            continue
        place = content.void.get(found or "")
        if place is not None:
            verdict.add("C3", "void applied", f"{name} has seq {seq} from message {place}, which is void")
        else:
            verdict.add("C1", "differs", f"the log of {name} is not what counts from seq {seq} on")
        return


def _acknowledged(
    verdict: Verdict, content: StreamContent, chains: Mapping[str, Chain], acks: Iterable[Line]
) -> None:
    times = Counter(entry.text for entry in content.entries.values() if entry.text)
    for ack in acks:
        seq, text = ack["s"], ack["b"]
        entry = content.entries.get(seq)
        verdict.counts["acknowledged and read in the stream"] += entry is not None
        if seq not in content.chain:
            verdict.add("C2", "lost", f"{text}, acknowledged as seq {seq}, does not count in the stream")
            continue
        if entry is not None and (entry.text, entry.msg_id) != (text, ack["id"]):
            verdict.add("C2", "moved", f"seq {seq} was acknowledged for {text}, and is {entry.text!r}")
        if times[text] > 1:
            verdict.add("C2", "doubled", f"{text} counts {times[text]} times in the stream")
        copies = sum(chain.get(seq) == content.chain.get(seq) for chain in chains.values())
        if copies < COPIES:
            verdict.add("C2", "too few copies", f"{text}, acknowledged as seq {seq}, is in {copies} logs")
