"""One conversation as the desktop client knows it: its rows in the order of the log, its members."""

from __future__ import annotations

import bisect
from collections import deque
from dataclasses import dataclass, field, replace
from typing import Literal

from chatctl.model import render
from chatd.proto import events as ev

# Rows kept of a conversation; older ones are asked for again when scrolled to.
ROWS_LIMIT = 1_000
# The same while one reads back in it, so that none goes away under the eyes.
READING_LIMIT = 12_000
# Forgotten in steps of this many: whatever goes away at the top makes the view draw everything anew.
TRIM_STEP = 200
# Erasures remembered, for pages of history that were read before them and come after.
ERASED_LIMIT = 1_000

EARLIER = "an earlier message"  # what a reply quotes when that is not here

# What tells of a member.
Stir = ev.Joined | ev.Parted | ev.Presence
Kind = Literal["message", "action", "event", "announcement", "note", "listing", "error", "pending", "refused"]


@dataclass(frozen=True, slots=True)
class Row:
    """One entry of a conversation. ``order``: its seq, and for what has none a number after that seq."""

    order: tuple[int, int]
    kind: Kind
    body: str
    at: int = 0
    user: str = ""
    role: str = ""
    quote: str = ""
    quoted: int | None = None  # the seq of what ``quote`` is from
    called: bool = False


@dataclass(frozen=True, slots=True)
class Member:
    """A member of a room, ready to be shown."""

    user: str
    role: str
    state: str = "offline"
    text: str = ""


@dataclass
class Conversation:
    """A room or a direct conversation. ``divider``: the seq of the first message not seen, 0 for none;
    ``more``: the server has older events than the first row; ``loaded``: its latest rows were fetched;
    ``as_of``: when the members were last known, in ms since 1970, 0 while that is now; ``stirred``: what
    was told of them since they were asked for, None while they are not; ``left``: what was said since the
    last row, while one was not in the room, is not here; ``topic_at``, ``joined_at``, ``parted_at``: the
    seqs of the events that told of the topic, and that one came and left."""

    name: str
    topic: str = ""
    unread: int = 0
    called: int = 0
    divider: int = 0
    draft: str = ""
    more: bool = True
    loaded: bool = False
    rows: list[Row] = field(default_factory=list)
    pending: dict[str, Row] = field(default_factory=dict)
    members: dict[str, Member] = field(default_factory=dict)
    as_of: int = 0
    stirred: deque[Stir] | None = None
    left: bool = False
    topic_at: int = 0
    joined_at: int = 0
    parted_at: int = 0
    erased: deque[tuple[int, int]] = field(default_factory=lambda: deque(maxlen=ERASED_LIMIT))

    @property
    def oldest(self) -> int | None:
        """The seq of the first event; None without any."""
        # What has no seq of its own may stand there behind an event that was forgotten.
        return next((row.order[0] for row in self.rows if not row.order[1]), None)

    @property
    def newest(self) -> int:
        """The seq of the last row; 0 without rows."""
        return self.rows[-1].order[0] if self.rows else 0

    def add(self, row: Row) -> bool:
        """Put a row in its place; False when it is there already."""
        at = self._place(row.order)
        if at < len(self.rows) and self.rows[at].order == row.order:
            return False
        self.rows.insert(at, row)
        return True

    def trim(self, limit: int = ROWS_LIMIT) -> None:
        """Forget the oldest rows once there are a step more than the limit."""
        if len(self.rows) >= limit + TRIM_STEP:
            del self.rows[: len(self.rows) - limit]
            self.more = True

    def erase(self, first: int, last: int) -> bool:
        """Forget the messages of these seqs, which the server has erased, and what quotes them."""
        self.erased.append((first, last))
        kept = []
        for row in self.rows:
            if row.kind not in ("message", "action"):
                kept.append(row)
            elif not first <= row.order[0] <= last:
                gone = row.quoted is not None and first <= row.quoted <= last
                kept.append(replace(row, quote=EARLIER) if gone else row)
        changed = kept != self.rows
        self.rows = kept
        return changed

    def leave(self) -> None:
        """One is not in the room any more: nothing tells what happens there."""
        self.left, self.loaded = True, False
        self.members = {}

    def begin_at(self, seq: int) -> None:
        """Forget what stands before an event: it does not reach it."""
        del self.rows[: self._place((seq, 0))]

    def was_erased(self, seq: int) -> bool:
        """Whether a message must not be shown any more."""
        return any(first <= seq <= last for first, last in self.erased)

    def answered(self, seq: int | None) -> str:
        """What a reply quotes: "bob: the beginning", "an earlier message", or "" for no reply."""
        if seq is None:
            return ""
        at = self._place((seq, 0))
        if self.has(seq):
            return f"{self.rows[at].user}: {render.snippet(self.rows[at].body)}"
        return EARLIER

    def has(self, seq: int) -> bool:
        """Whether there is a row of this event."""
        at = self._place((seq, 0))
        return at < len(self.rows) and self.rows[at].order == (seq, 0)

    def _place(self, order: tuple[int, int]) -> int:
        return bisect.bisect_left(self.rows, order, key=lambda one: one.order)
