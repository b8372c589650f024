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
RowKind = Literal[
    "message", "action", "event", "announcement", "note", "listing", "error", "pending", "refused"
]


@dataclass(frozen=True, slots=True)
class TimelineRow:
    """One entry of a conversation. ``order``: its seq, and for what has none a number after that seq."""

    order: tuple[int, int]
    kind: RowKind
    body: str
    at: int = 0
    user: str = ""
    role: str = ""
    quote: str = ""
    quoted: int | None = None  # the seq of what ``quote`` is from
    mentions_me: bool = False


@dataclass(frozen=True, slots=True)
class RoomMember:
    """A member of a room, ready to be shown."""

    user: str
    role: str
    state: str = "offline"
    text: str = ""


@dataclass
class Conversation:
    """A room or a direct conversation.

    ``mentions``: unread messages that name this user or are direct. ``first_unread``: a seq, 0 for none.
    ``more``: the server has events older than the first row. ``loaded``: the latest rows were fetched.
    ``members_as_of``: ms since 1970 at which the members were last known, 0 while they are live.
    ``stirred``: membership events since the members were requested, None without a request.
    ``left``: this user left the room, so events since the last row are missing.
    ``topic_at``, ``joined_at``, ``parted_at``: seqs of the latest such events.
    """

    name: str
    topic: str = ""
    unread: int = 0
    mentions: int = 0
    first_unread: int = 0
    draft: str = ""
    more: bool = True
    loaded: bool = False
    rows: list[TimelineRow] = field(default_factory=list)
    pending: dict[str, TimelineRow] = field(default_factory=dict)
    members: dict[str, RoomMember] = field(default_factory=dict)
    members_as_of: int = 0
    stirred: deque[Stir] | None = None
    left: bool = False
    topic_at: int = 0
    joined_at: int = 0
    parted_at: int = 0
    redacted: deque[tuple[int, int]] = field(default_factory=lambda: deque(maxlen=ERASED_LIMIT))

    @property
    def oldest(self) -> int | None:
        """The seq of the first event; None without any."""
        # What has no seq of its own may stand there behind an event that was forgotten.
        return next((row.order[0] for row in self.rows if not row.order[1]), None)

    @property
    def newest(self) -> int:
        """The seq of the last row; 0 without rows."""
        return self.rows[-1].order[0] if self.rows else 0

    def add(self, row: TimelineRow) -> bool:
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

    def redact(self, first: int, last: int) -> bool:
        """Forget the messages of these seqs, which the server has erased, and what quotes them."""
        self.redacted.append((first, last))
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

    def is_redacted(self, seq: int) -> bool:
        """Whether a message must not be shown any more."""
        return any(first <= seq <= last for first, last in self.redacted)

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
