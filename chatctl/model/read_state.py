"""What a person has read of one conversation, on this device and on others. Pure."""

from __future__ import annotations

from bisect import bisect_right
from collections import deque
from dataclasses import dataclass, field
from typing import NamedTuple

from chatd.proto.frames import INTEGER_LIMIT

# Seqs kept of unread messages; those of a longer flood are only counted.
ARRIVED_LIMIT = 10_000
# Unread mentions kept; more tell nobody more.
CALLS_LIMIT = 1_000


class Gap(NamedTuple):
    """The unread messages with seqs between these two were not shown."""

    after: int
    before: int


@dataclass
class ReadState:
    """Unread messages of others: ``counted`` by the server up to a seq, and those that ``arrived`` after it.

    ``calls``: those that address this user. ``first``: where the unread ones begin, kept until the person
    leaves the conversation; 0 for nowhere. ``marker``: the read marker as the server knows it, 0 for none.
    ``seen``: the newest message that was shown here. ``gap``: those up to it that were not. ``viewed``: all
    up to this seq were in view. ``is_counted``: the server has counted in this run. ``stale``: it has to
    count again.
    """

    counted: int = 0
    counted_upto: int = 0
    arrived: list[int] = field(default_factory=list)
    calls: deque[int] = field(default_factory=lambda: deque(maxlen=CALLS_LIMIT))
    first: int = 0
    marker: int = 0
    seen: int = 0
    gap: Gap | None = None
    viewed: int = 0
    is_counted: bool = False
    stale: bool = False

    @property
    def unread(self) -> int:
        """The number of unread messages."""
        return self.counted + len(self.arrived)

    @property
    def read_upto(self) -> int:
        """The seq up to which everything was shown, as far as this client knows."""
        return self.seen if self.gap is None else min(self.seen, self.gap.after)

    def hide_unread(self) -> Gap | None:
        """Count nothing unread as shown until it is known what is; return the gap that there was before."""
        earlier = self.gap
        if self.first:
            self.gap = Gap(self.first - 1, INTEGER_LIMIT)
        return earlier

    def await_view(self, after: int | None = None) -> None:
        """Count nothing after a seq as read until `view` says that it was on the screen.

        None: nothing that is unread now.
        """
        if after is None:
            after = max(self.read_upto, self.marker, self.viewed) or max(0, self.first - 1)
        if self.gap is not None:
            after = min(self.gap.after, after)
        self.gap = Gap(after, INTEGER_LIMIT)

    def view(self, after: int, upto: int) -> bool:
        """Note that every message with a seq in (``after``, ``upto``] is on the screen.

        The gap shrinks from its two ends: what is shown in its middle counts only once it was reached from
        there, since one marker has to tell what was read. Returns False if nothing changed.
        """
        if self.gap is None:
            return False
        begin, end = self.gap
        if after <= begin:
            begin = max(begin, upto)
        if upto >= end - 1:
            end = min(end, after + 1)
        before, self.gap = self.gap, Gap(begin, end) if begin + 1 < end else None
        newest = max(self.seen, self.counted_upto, *self.arrived[-1:])
        self.viewed = begin if self.gap else min(upto, newest)
        return self.gap != before

    def leave_view(self) -> None:
        """Count again what was not in view: the person leaves the conversation."""
        self.first = 0
        if self.gap is not None:
            self.first, self.seen = self.gap.after + 1, self.read_upto
            self.gap, self.stale = None, True

    def pass_gap(self, seq: int) -> None:
        """Note that everything up to ``seq`` is read."""
        if self.gap is not None and seq > self.gap.after:
            self.gap = Gap(seq, self.gap.before) if seq + 1 < self.gap.before else None

    def arrive(self, seq: int, *, calls: bool) -> bool:
        """Count a message that is not on the screen; False if it was read or counted before."""
        if seq <= max(self.marker, self.counted_upto) or (self.arrived and seq <= self.arrived[-1]):
            return False
        self.first = self.first or seq
        self.arrived.append(seq)
        if calls:
            self.calls.append(seq)
        if len(self.arrived) > ARRIVED_LIMIT:
            half = ARRIVED_LIMIT // 2
            self.counted, self.counted_upto = self.counted + half, self.arrived[half - 1]
            del self.arrived[:half]
        return True

    def show(self, seq: int) -> None:
        """Note that one message was shown, perhaps before others that were not."""
        if seq in self.arrived:
            self.arrived.remove(seq)
        elif self.counted and self.marker < seq <= self.counted_upto:
            self.counted -= 1
        if seq in self.calls:
            self.calls.remove(seq)
        if not self.unread:
            self.seen = max(self.seen, seq, self.counted_upto)
            self.first = 0

    def read_all(self) -> bool:
        """Note that everything was shown; False if nothing was unread."""
        if not self.unread:
            return False
        self.seen = max(self.seen, self.counted_upto if self.counted else 0, *self.arrived[-1:])
        self._drop(self.seen)
        return True

    def move_marker(self, upto: int, *, on_screen: bool) -> bool:
        """Apply a marker, perhaps of another device; False if it changes no count."""
        self.marker = max(self.marker, upto)
        self.pass_gap(upto)
        before = self.unread
        self._drop(upto)
        if not on_screen and self.first and self.first <= upto:
            self.first = (upto + 1) if self.unread else 0
        return self.unread != before

    def set_count(self, marker: int, unread: int, cursor: int, *, on_screen: bool) -> None:
        """Apply the server's count of the messages after ``marker`` up to ``cursor``."""
        first_count, self.is_counted = not self.is_counted, True
        self.marker, self.stale = max(self.marker, marker), False
        if marker < self.marker or (self.seen > marker and not first_count):
            return  # moved since the server counted, or about to be moved
        if unread:
            self.first = marker + 1
        if on_screen:
            self.seen = max(self.seen, cursor if unread else 0)
            return
        self.arrived = self.arrived[bisect_right(self.arrived, cursor) :]
        self.counted, self.counted_upto = unread, cursor
        if not self.unread:
            self.calls.clear()

    def leave(self) -> None:
        """Forget what is unread: nobody can read it here before the server counts again."""
        self.counted = self.counted_upto = self.first = self.viewed = 0
        self.gap = None
        self.arrived.clear()
        self.calls.clear()

    def restore(self, seq: int) -> None:
        """Forget everything about a log that continues differently after ``seq``."""
        self.leave()
        self.marker, self.seen = 0, min(self.seen, seq)
        self.is_counted, self.stale = False, True

    def _drop(self, upto: int) -> None:
        del self.arrived[: bisect_right(self.arrived, upto)]
        while self.calls and self.calls[0] <= upto:
            self.calls.popleft()
        if upto >= self.counted_upto:
            self.counted = 0
        elif self.counted:
            self.stale = True
