"""One conversation: its timeline in the order of the log, its members, what is unread."""

from __future__ import annotations

import bisect
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from chatctl.client import Sent
from chatctl.model import render
from chatctl.model.folding import SNIPPET, fold_kind
from chatctl.model.read_state import ReadState
from chatctl.model.times import Times
from chatd.proto import events as ev
from chatd.proto.frames import JsonObject
from chatd.proto.request_bounds import REACTIONS_LIMIT
from chatd.proto.text import visible

# Rows kept of a conversation; the server is asked again for older ones.
ROWS_LIMIT = 1_000
# The limit while the person is scrolled back, so that no row vanishes while it is read.
READING_LIMIT = 12_000
# Rows are dropped in steps of this many: every drop at the top makes the window redraw everything.
TRIM_STEP = 200
# Redactions and reactions remembered, for pages of history that were read before them and arrive after.
REDACTIONS_LIMIT = 1_000
# Refused texts kept until they are back in the input; more than anybody corrects one by one.
REFUSED_LIMIT = 1_000

# Messages kept that others reply to, and seqs of those that are still to be fetched.
QUOTES_LIMIT = 500
# Former texts kept until the events that ended them are shown: as many as a client shows after a gap.
FORMER_LIMIT = 100

MemberEvent = ev.Joined | ev.Parted | ev.Presence
RowKind = Literal[
    "message", "action", "event", "announcement", "note", "listing", "error", "pending", "held", "refused"
]


@dataclass(frozen=True, slots=True)
class TimelineRow:
    """One row of a conversation; all texts are safe to show.

    ``order``: (seq, 0) for an event of the log; (the seq before it, a running number) for the others.
    ``at``: ms since 1970, 0 where no server time is known. ``sent_at``: when a pending message was sent.
    ``edited``: seq of the last edit, 0 for none. ``changed``: seq of the last edit or reaction.
    """

    order: tuple[int, int]
    kind: RowKind
    body: str
    at: int = 0
    user: str = ""
    role: str = ""
    quote: str = ""
    quoted_seq: int | None = None
    mentions_me: bool = False
    sent_at: float = 0.0
    edited: int = 0
    reactions: tuple[ev.Reaction, ...] = ()
    changed: int = 0
    # A snippet, of which ``body`` is the beginning, and how much more there is: "24 more lines".
    is_snippet: bool = False
    more: str = ""

    @property
    def seq(self) -> int:
        """The seq of the event, or of the last one before the row."""
        return self.order[0]

    @property
    def is_message(self) -> bool:
        """Whether the row is an acknowledged message."""
        return self.kind in ("message", "action") and not self.order[1]


def typed_again(sent: Sent) -> str:
    """Return what sends a refused message again once it is corrected."""
    if sent.edits is not None:
        return f"/edit {sent.edits} {sent.body}"
    return f"/me {sent.body}" if sent.kind == "action" else sent.body


def reacted_to(row: TimelineRow, event: ev.Reacted, me: str) -> TimelineRow:
    """A row with one more reaction, or one less. The event has the count, so that none is counted twice."""
    known = {one.text: one for one in row.reactions}
    text = render.safe(event.text)
    before = known.get(text)
    mine = event.on if event.user == me else before is not None and before.mine
    known[text] = ev.Reaction(text=text, count=event.count, mine=mine)
    reactions = tuple(one for one in known.values() if one.count > 0)[:REACTIONS_LIMIT]
    return replace(row, reactions=reactions, changed=max(row.changed, event.seq))


@dataclass(frozen=True, slots=True)
class RoomMember:
    """A member of a room; all texts are safe to show."""

    user: str
    role: str
    state: str = "offline"
    text: str = ""


@dataclass
class Conversation:
    """A room or a direct conversation.

    ``read``: what this person has read of it.
    ``refused``: texts that the server did not take and that wait for an empty input, the oldest first.
    ``overridable``: the last message that was refused for a forbidden word and may be sent anyway.
    ``has_older``: the server has events before the first row. ``loaded``: the latest rows were fetched.
    ``members_as_of``: ms since 1970 at which the members were last known, 0 while they are live.
    ``member_events``: those received since the members were requested, None without a request.
    ``left``: this user left the room, so events after the last row may be missing.
    ``quotes``: messages outside the rows that others reply to. ``wanted``: seqs of such that are not fetched.
    ``former``: the seq of an edit or a refusal -> the text that it replaced or ended.
    ``topic_at``, ``joined_at``, ``parted_at``: seqs of the latest such events.
    ``unreached``: the server's note on those who do not get what is written here, as it was told last.
    """

    name: str
    topic: str = ""
    read: ReadState = field(default_factory=ReadState)
    draft: str = ""
    refused: deque[str] = field(default_factory=lambda: deque(maxlen=REFUSED_LIMIT))
    overridable: Sent | None = None
    has_older: bool = True
    loaded: bool = False
    rows: list[TimelineRow] = field(default_factory=list)
    pending: dict[str, TimelineRow] = field(default_factory=dict)
    members: dict[str, RoomMember] = field(default_factory=dict)
    members_as_of: int = 0
    member_events: deque[MemberEvent] | None = None
    left: bool = False
    topic_at: int = 0
    joined_at: int = 0
    parted_at: int = 0
    unreached: str = ""
    quotes: dict[int, render.Quote] = field(default_factory=dict)
    wanted: set[int] = field(default_factory=set)
    former: dict[int, render.Quote] = field(default_factory=dict)
    redactions: deque[tuple[int, int]] = field(default_factory=lambda: deque(maxlen=REDACTIONS_LIMIT))
    reacted: deque[ev.Reacted] = field(default_factory=lambda: deque(maxlen=REDACTIONS_LIMIT))

    def fresh(self, notes: Sequence[JsonObject]) -> list[JsonObject]:
        """Leave out of the notes on a message who does not get it, if the last message had the same one."""
        left = next((str(one.get("text")) for one in notes if one.get("rule") == "left"), "")
        told, self.unreached = self.unreached, left
        return [one for one in notes if one.get("rule") != "left" or left != told]

    @property
    def unread(self) -> int:
        """The number of messages of others that were not on any screen."""
        return self.read.unread

    @property
    def mentions(self) -> int:
        """Unread messages that name this user; in a direct conversation, all of them."""
        return self.read.unread if self.name.startswith("@") else len(self.read.calls)

    @property
    def oldest(self) -> int | None:
        """The seq of the first event; None without any."""
        # The first row may be a note whose event was dropped.
        return next((row.seq for row in self.rows if not row.order[1]), None)

    @property
    def newest(self) -> int:
        """The seq of the last row; 0 without rows."""
        return self.rows[-1].seq if self.rows else 0

    def add(self, row: TimelineRow) -> bool:
        """Insert a row by its order; False when it is there already."""
        at = self._index(row.order)
        if at < len(self.rows) and self.rows[at].order == row.order:
            return False
        self.rows.insert(at, row)
        return True

    def move_notes_after(self, seq: int) -> None:
        """Put notes of before any event after event ``seq``; above all history nobody would see them."""
        early = [row for row in self.rows if not row.seq]
        del self.rows[: len(early)]
        for row in early:
            self.add(replace(row, order=(seq, row.order[1])))

    def drop_refusals(self, beginning: str) -> None:
        """Drop notes that a text was not sent, because it is sent now."""
        self.rows = [row for row in self.rows if row.kind != "refused" or not row.body.startswith(beginning)]

    def trim(self, limit: int = ROWS_LIMIT) -> None:
        """Drop the oldest rows once there are `TRIM_STEP` more than the limit."""
        if len(self.rows) >= limit + TRIM_STEP:
            del self.rows[: len(self.rows) - limit]
            self.has_older = True

    def redact(self, first: int, last: int) -> None:
        """Drop the messages with these seqs, and quotes of them."""
        self.redactions.append((first, last))
        kept = []
        for row in self.rows:
            if not (row.is_message and first <= row.seq <= last):
                quoted = row.quoted_seq is not None and first <= row.quoted_seq <= last
                kept.append(replace(row, quote=render.GONE_QUOTE) if quoted else row)
        self.rows = kept
        self.quotes = {
            seq: render.Quote("") if first <= seq <= last else known for seq, known in self.quotes.items()
        }

    def edit(self, event: ev.Edited, me: str) -> bool:
        """Give a message its new text, also in quotes of it; False when it is not here or is newer."""
        if known := self.quote(event.target):
            self.note_former(event.seq, known)
        row = self.message(event.target)
        if row is None and event.target in self.quotes:
            self._quote_anew(event.target, render.Quote(event.user, event.body))
        if row is None or row.edited >= event.seq:
            return False
        mentioned = event.user != me and render.mentions(event.body, me)
        changed = max(row.changed, event.seq)
        body, more = fold_kind(visible(event.body), event.kind)
        row = replace(row, body=body, is_snippet=event.kind == SNIPPET, more=more)
        self._replace(replace(row, mentions_me=mentioned, edited=event.seq, changed=changed))
        self._quote_anew(event.target, render.Quote(row.user, body))
        return True

    def _quote_anew(self, seq: int, quote: render.Quote) -> None:
        if seq in self.quotes:
            self.quotes[seq] = quote
        self.rows = [replace(one, quote=quote.text) if one.quoted_seq == seq else one for one in self.rows]

    def react(self, event: ev.Reacted, me: str) -> bool:
        """Count a reaction to a message; False when it is not here."""
        self.reacted.append(event)
        row = self.message(event.target)
        if row is None:
            return False
        self._replace(reacted_to(row, event, me))
        return True

    def _replace(self, row: TimelineRow) -> None:
        self.rows[self._index(row.order)] = row

    def is_redacted(self, seq: int) -> bool:
        """Whether message ``seq`` was redacted."""
        return any(first <= seq <= last for first, last in self.redactions)

    def leave(self) -> None:
        """Note that this user is not in the room: its events no longer arrive."""
        self.left, self.loaded = True, False
        self.members, self.member_events = {}, None
        self.read.leave()

    def restore(self, seq: int) -> None:
        """Drop everything after ``seq``: the server's log continues differently from there."""
        changed = next((row.seq for row in self.rows if row.changed > seq), seq + 1)
        if self.newest > seq or changed <= seq:
            del self.rows[self._index((min(changed, seq + 1), 0)) :]
            self.left, self.loaded = True, False
        self.redactions.clear()
        self.reacted.clear()
        self.quotes.clear()
        self.topic_at = self.joined_at = self.parted_at = 0
        self.read.restore(seq)

    def drop_before(self, seq: int) -> None:
        """Drop all rows before an event, because the rows between are missing."""
        del self.rows[: self._index((seq, 0))]

    def message(self, seq: int | None) -> TimelineRow | None:
        """The message with a seq; None when it is not here."""
        at = self._index((seq, 0)) if seq is not None else len(self.rows)
        row = self.rows[at] if at < len(self.rows) else None
        return row if row is not None and row.order == (seq, 0) and row.is_message else None

    def quote(self, seq: int | None) -> render.Quote | None:
        """The message that a reply to ``seq`` quotes; None if it is not known (yet)."""
        row = self.message(seq)
        if row is not None:
            return render.Quote(row.user, row.body)
        return self.quotes.get(seq) if seq is not None else None

    def note_former(self, seq: int, quote: render.Quote) -> None:
        """Keep the text that event ``seq`` replaces or ends, for the line about the event."""
        self.former[seq] = quote
        if len(self.former) > FORMER_LIMIT:
            del self.former[min(self.former)]

    def want(self, seq: int | None) -> None:
        """Note a message that is replied to, unless it is known."""
        if seq is not None and self.quote(seq) is None and len(self.wanted) < QUOTES_LIMIT:
            self.wanted.add(seq)

    def set_quotes(self, found: Mapping[int, ev.Message | None]) -> None:
        """Keep fetched messages, and put them into the rows that reply to them."""
        for seq, event in found.items():
            known = None if self.is_redacted(seq) else event
            self.quotes[seq] = render.Quote(known.user, known.body) if known else render.Quote("")
        self.wanted -= found.keys()
        for old in list(self.quotes)[: max(0, len(self.quotes) - QUOTES_LIMIT)]:
            del self.quotes[old]
        for at, row in enumerate(self.rows):
            if row.quoted_seq in found and row.quote == render.UNKNOWN_QUOTE:
                quote = self.quote(row.quoted_seq)
                self.rows[at] = replace(row, quote=quote.text) if quote else row

    def matching(self, to: str, times: Times = Times.UTC) -> list[TimelineRow]:
        """The messages of a user ("bob", "@bob"), or of a time as it is shown ("14:02", "[14:02:40Z]")."""
        user = to.removeprefix("@")
        return [
            row for row in self.rows if row.is_message and (row.user == user or times.matches(row.at, to))
        ]

    def has(self, seq: int) -> bool:
        """Whether there is a row for event ``seq``."""
        at = self._index((seq, 0))
        return at < len(self.rows) and self.rows[at].order == (seq, 0)

    def _index(self, order: tuple[int, int]) -> int:
        return bisect.bisect_left(self.rows, order, key=lambda row: row.order)
