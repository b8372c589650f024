"""Apply the server's events and replies to a user's conversations.

Pure state, used by one thread. Every text from the network passes `visible` before it is stored here.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable
from math import ceil
from typing import Literal, NamedTuple

from chatctl.client import Acknowledged, AnyEvent, CaughtUp, Connected, Disconnected, Refused, Restored
from chatctl.model import answers, guest_text, held_rows, members, render, room_text
from chatctl.model.conversation import (
    Conversation,
    MemberEvent,
    RowKind,
    TimelineRow,
    reacted_to,
    typed_again,
)
from chatctl.model.conversations import Conversations
from chatctl.model.invitations import Invitations
from chatctl.model.message_rows import message_row
from chatd.errors import ChatdError
from chatd.proto import events as ev
from chatd.proto.advice import SEND_ANYWAY, with_way
from chatd.proto.frames import JsonObject
from chatd.proto.text import visible

ALERT_CHARS = 120
# Alerts and redactions kept until the view takes them; a view that never does loses the oldest.
WAITING_LIMIT = 1_000

ConnectionState = Literal["connecting", "connected", "reconnecting", "ended"]


class Alert(NamedTuple):
    """Something this person should notice now: who wrote where, and the beginning of the text."""

    title: str
    text: str


class RedactedRange(NamedTuple):
    """Messages of a room that the server has redacted: the seqs ``first`` to ``last``."""

    room: str
    first: int
    last: int

    def covers(self, event: ev.Message) -> bool:
        """Whether a message is among the redacted ones."""
        return event.room == self.room and self.first <= event.seq <= self.last


class ChatModel(Conversations):
    """Everything a client shows. ``trouble``: why there is no connection. ``heard``: seq of the last event.
    ``rooms_missing``: the welcome could not list all rooms; ask for them.

    ``sent_notes``: those on the message that was acknowledged last.
    The view empties ``alerts``, and ``redacted``: messages to remove wherever else it shows them.
    """

    def __init__(self, me: str, clock: Callable[[], float] = time.time) -> None:
        super().__init__(me, clock)
        self.connection: ConnectionState = "connecting"
        self.trouble: ChatdError | None = None
        self.rooms_missing = False
        self.invitations = Invitations()
        self._retry_at = 0.0
        self._retry_in = 0.0
        self.welcome: ev.Welcome | None = None
        self.heard = 0
        self.sent_notes: list[str] = []
        self.alerts: deque[Alert] = deque(maxlen=WAITING_LIMIT)
        self.redacted: deque[RedactedRange] = deque(maxlen=WAITING_LIMIT)

    @property
    def permissions(self) -> frozenset[str]:
        """The permissions of this user's present role."""
        return frozenset(self.welcome.permissions if self.welcome else ())

    @property
    def retry_seconds(self) -> int:
        """The seconds until the next attempt to connect; 0 when none is awaited."""
        if self.connection != "reconnecting":
            return 0
        # No longer than announced: the clock may have been set back.
        return ceil(min(max(self._retry_at - self.clock(), 0.0), self._retry_in))

    @property
    def connection_words(self) -> str:
        """The state of the connection: "reconnecting in 7 s · /reconnect"."""
        seconds = self.retry_seconds
        return f"{self.connection} in {seconds} s \u00b7 /reconnect" if seconds else self.connection

    @property
    def invited_to(self) -> list[str]:
        """The rooms to which this user is invited and that are not listed as conversations, by name."""
        return self.invitations.to_answer(self.joined | {self.current})

    def begin_again(self) -> None:
        """Expect another connection; pending messages are in its outbox."""
        self.connection, self.trouble = "connecting", None
        self.changed.add("state")

    # -- replies

    def set_rooms(self, entries: Iterable[JsonObject], since: int) -> None:
        """Apply the reply to ``rooms``. ``since``: what `heard` was at the request; later events win."""
        for entry in entries:
            name = str(entry.get("room", ""))
            if name not in self.joined and not self._is_news(entry, since):
                continue
            self.joined.add(name)
            where = self.conversation(name)
            if where.topic_at <= since:
                where.topic = render.safe(str(entry.get("topic", "")))
            if entry.get("joined") is False and where.joined_at <= since:
                # Removed while the hub was replaced: neither an event nor a welcome says so.
                self._left(where)
        self.changed |= {"rooms", "state"}

    def _is_news(self, entry: JsonObject, since: int) -> bool:
        """Whether an entry of ``rooms`` is a room of this user that the welcome left out."""
        name = str(entry.get("room", ""))
        known = self.conversations.get(name)
        left_since = known is not None and known.parted_at > since
        return name.startswith("#") and entry.get("joined") is True and not left_since

    def entered(self, name: str, since: int) -> bool:
        """Apply the reply to ``join`` or ``create``; False when this user was removed again meanwhile."""
        where = self.conversation(name)
        if where.parted_at > since:
            return False
        self.joined.add(name)
        self.invitations.end(name)
        # The event may not have arrived; it is newer than any request made so far.
        where.joined_at = max(where.joined_at, self.heard + 1)
        self.changed |= {"rooms", "state"}
        return True

    def request_members(self, name: str) -> deque[MemberEvent]:
        """Note that ``who`` is asked; pass the result to `set_members`."""
        return members.begin_request(self.conversation(name))

    def set_members(
        self, name: str, entries: Iterable[JsonObject], since: deque[MemberEvent] | None = None
    ) -> None:
        """Apply the reply to ``who``."""
        where = self.conversation(name)
        if members.apply_reply(where, entries, since) and self.connection == "connected":
            where.members_as_of = 0
        self.changed.add("members")

    def add_history(
        self, name: str, events: Iterable[ev.Logged], *, more: bool, before: int | None = None
    ) -> list[ev.Logged]:
        """Add a page of history, the latest or the one ``before`` a seq; return the events to show."""
        where = self.conversation(name)
        if before is not None and before != where.oldest:
            return []  # rows at the top were dropped meanwhile: the page would leave a gap
        if name.startswith("#") and name not in self.joined:
            return []  # left meanwhile: fetched again on return
        # The page may have been read before a redaction.
        found = [e for e in events if not (isinstance(e, ev.Message) and where.is_redacted(e.seq))]
        if where.left and before is None:
            where.left = False
            if more and found:
                where.drop_before(found[0].seq)
        for event in found:
            self._add(where, event)
        if not where.loaded and found:
            where.move_notes_after(found[-1].seq)
        where.has_older, where.loaded = more, True
        self.changed.add("rows")
        return found

    # -- events

    def take(self, event: AnyEvent) -> None:
        """Apply an event of the client library."""
        if isinstance(event, ev.Logged):
            self.heard = event.seq
        match event:
            case Connected():
                self._connected(event)
            case Disconnected():
                self._disconnected(event)
            case Restored():
                self._restored(event)
            case Acknowledged():
                self._acknowledged(event)
            case Refused():
                self._refused(event)
            case CaughtUp():
                self.changed.add("rows")
            case ev.ReadMarker():
                self._read_elsewhere(event)
            case _:
                self._take_from_server(event)

    def _take_from_server(self, event: AnyEvent) -> None:
        match event:
            case ev.Presence():
                self._presence(event)
            case ev.Announcement():
                self._announced(event)
            case ev.Standing():
                if self.welcome is not None:
                    self.welcome = self.welcome.with_standing(event)
                self._invited_or_not(event)
                self.note(render.describe(event) or "")
            case ev.Slowed() | ev.GuestReminded() | ev.Attention() | ev.Isolated():
                self._noticed(event)
            case ev.Redacted():
                self._redacted(event, event.target, event.target)
            case ev.Expired():
                self._redacted(event, 0, event.upto)
            case ev.RoomRemoved():
                self._room_removed(event)
            case ev.Logged():
                self._logged(event)

    def _connected(self, event: Connected) -> None:
        welcome = event.welcome
        self.connection, self.trouble, self.welcome = "connected", None, welcome
        if welcome.isolated:
            self.note(render.safe(welcome.isolated))
        for name in [name for name in self.joined if event.lacks(name)]:
            self._left(self.conversation(name))
        self.joined |= set(welcome.rooms)
        if not event.has_all_rooms and not self.rooms_missing:
            self.note("you have too many conversations for one list: /msg NAME finds older direct ones")
        self.rooms_missing = not event.has_all_rooms
        for name in welcome.rooms:
            self.conversation(name)
        invited = self.invitations.new_in(welcome)
        for room in invited:
            self.note(room_text.invited(room))
        if invited:
            self.alerts.append(Alert("you are invited", render.snippet(", ".join(invited), ALERT_CHARS)))
        self.invitations.replace(welcome.invites)
        self.changed |= {"state", "rooms"}

    def _disconnected(self, event: Disconnected) -> None:
        if self.connection == "connected":
            now = int(self.clock() * 1000)
            for one in self.conversations.values():
                one.members_as_of = one.members_as_of or now
            self.changed.add("members")
        self.connection, self.trouble = "reconnecting", event.error
        self._retry_in = event.retry_in or 0.0
        self._retry_at = self.clock() + self._retry_in
        if event.retry_in is None:
            self.connection = "ended"
            self.note(f"the connection ended: {event.error.reason}; {event.error.fix}", kind="error")
        self.changed.add("state")

    def _logged(self, event: ev.Logged) -> None:
        if isinstance(event, ev.Edited | ev.Reacted):
            self._message_changed(event)
            return
        where = self.conversation(getattr(event, "room", self.current))
        self._add(where, event)
        self._trim(where)
        if isinstance(event, ev.Joined | ev.Parted):
            self._membership(event, where)
        elif isinstance(event, ev.DmOpened):
            self.joined.add(event.room)
            self.changed.add("rooms")
        elif isinstance(event, ev.TopicSet | ev.RoomCreated):
            where.topic, where.topic_at = render.safe(event.topic), event.seq
            self.changed.add("state")
        elif isinstance(event, ev.Message):
            # Counted even when a page of history brought it first.
            self._message_arrived(event, where)
        if where.name == self.current:
            self.changed.add("rows")

    def _message_changed(self, event: ev.Edited | ev.Reacted) -> None:
        """Show an edit or a reaction in the place of its message. It makes nothing unread."""
        where = self.conversation(event.room)
        if isinstance(event, ev.Edited):
            where.pending.pop(event.msg_id, None)
            where.edit(event, self.me)
        else:
            where.react(event, self.me)
        if where.name == self.current:
            self.changed.add("rows")

    def _redacted(self, event: ev.Redacted | ev.Expired | ev.RoomRemoved, first: int, last: int) -> None:
        self.conversation(event.room).redact(first, last)
        self.redacted.append(RedactedRange(event.room, first, last))
        self._logged(event)

    def _room_removed(self, event: ev.RoomRemoved) -> None:
        where = self.conversation(event.room)
        where.parted_at = event.seq
        self.invitations.end(event.room)
        self._left(where)
        self._redacted(event, 0, event.seq)
        self.changed |= {"rooms", "state", "members"}

    def _message_arrived(self, event: ev.Message, where: Conversation) -> None:
        if event.user == self.me:
            return
        if self.tells_view and where.name == self.current:
            where.read.await_view(event.seq - 1)
        if self.is_visible(where.name):
            where.read.seen = max(where.read.seen, event.seq)
            return
        calls = self.addresses_me(event)
        if not where.read.arrive(event.seq, calls=calls):
            return
        self.changed |= {"rooms", "state"}
        if calls:
            who = f"{render.safe(event.user)} in {self.title(event.room)}"
            self.alerts.append(Alert(who, render.snippet(event.body, ALERT_CHARS)))

    def _read_elsewhere(self, event: ev.ReadMarker) -> None:
        if event.room in self.joined or event.room in self.conversations:
            where = self.conversation(event.room)
            if where.read.move_marker(event.upto, on_screen=where.name == self.current):
                self.changed |= {"rooms", "state"}

    def _membership(self, event: ev.Joined | ev.Parted, where: Conversation) -> None:
        user = render.safe(event.user)
        live = (one.members.get(user) for one in self.conversations.values() if not one.members_as_of)
        members.apply_event(where, event, next(filter(None, live), None))
        if event.user == self.me:
            if isinstance(event, ev.Joined):
                self.joined.add(event.room)
                self.invitations.end(event.room)
                where.joined_at = event.seq
            else:
                self._left(where)
                where.parted_at = event.seq
            self.changed |= {"rooms", "state"}
        self.changed.add("members")

    def _left(self, where: Conversation) -> None:
        self.joined.discard(where.name)
        where.leave()

    def _presence(self, event: ev.Presence) -> None:
        where = self.conversation(event.room)
        members.apply_event(where, event)
        self.changed.add("members")
        # A new role or mute of this user is told by `Standing`, with what it means.
        told = event.user == self.me and event.cause != "new device"
        # Without rows the note would stand above all history fetched later.
        if event.cause and where.newest and not told:
            self.note(render.describe_presence(event, self.me), where=event.room)

    def _announced(self, event: ev.Announcement) -> None:
        by = render.safe(event.author)
        if self.here.add(TimelineRow((event.seq, 0), "announcement", visible(event.body), event.at, by)):
            self.alerts.append(Alert(f"{by} announces", render.snippet(event.body, ALERT_CHARS)))
        self.changed.add("rows")

    def _invited_or_not(self, event: ev.Standing) -> None:
        self.invitations.apply(event)
        if event.change == "invited" and event.room:
            by = render.safe(ev.author_text(event.by, event.by_login))
            self.alerts.append(Alert(f"{by} invited you", f"to {render.safe(event.room)}"))
        self.changed.add("rooms")

    def _noticed(self, event: ev.Slowed | ev.GuestReminded | ev.Attention | ev.Isolated) -> None:
        self.note(render.describe(event) or "")
        if isinstance(event, ev.Isolated) and self.welcome is not None:
            self.welcome = self.welcome.with_mark(event)
            self.changed.add("state")
        if isinstance(event, ev.GuestReminded):
            self.alerts.append(Alert(f"your guest {render.safe(event.guest)}", guest_text.ends(event)))

    def _acknowledged(self, event: Acknowledged) -> None:
        where, result = self.conversation(self.resolve(event.sent.to)), event.sent.wait(0)
        fresh = where.fresh(result.notes)
        self.sent_notes = [answers.sent_note(note, event.sent.body, result.seq) for note in fresh]
        for text in self.sent_notes:
            self.note(text, where=where.name)
        row = where.pending.pop(event.sent.msg_id, None)
        where.drop_refusals(_not_sent(event.sent.body))
        if row is not None and event.sent.edits is None and not where.has(result.seq):
            # Until the event arrives the row stays, without its mark; a held one until a moderator decides.
            kind: RowKind = "held" if result.held else "message"
            order = (row.order[0], result.seq) if result.held else row.order
            where.pending[event.sent.msg_id] = TimelineRow(order, kind, row.body, user=row.user)
        self.changed |= {"rows", "state"}

    def _refused(self, event: Refused) -> None:
        where = self.conversation(self.resolve(event.sent.to))
        where.pending.pop(event.sent.msg_id, None)
        typed = typed_again(event.sent)
        if event.error.code == "E405" and self._forget_unknown(where):
            typed, where = f"/msg {event.sent.to.removeprefix('@')} {typed}", self.here
        why = f"{event.error.reason}; {with_way(event.error, 'Menu > Send anyway').fix}"
        self.note(
            f"{_not_sent(event.sent.body)}{why}",
            kind="refused",
            where=where.name,
        )
        if not self.is_visible(where.name):
            self.alerts.append(Alert(f"not sent to {self.title(where.name)}", event.error.reason))
        # To correct and send again, one after the other; never replaces what is being typed.
        where.refused.append(typed)
        self.final_refusal = None if SEND_ANYWAY in event.error.fix else event.error
        if self.final_refusal is None:
            where.overridable, self.overridable_in = event.sent, where.name
        self.changed |= {"rows", "state"}

    def _forget_unknown(self, where: Conversation) -> bool:
        """Forget a direct conversation that nobody can have; return False if it is in use."""
        used = where.name in self.joined or where.rows or where.pending or where.draft or where.refused
        if used or where.name == self.current:
            return False
        del self.conversations[where.name]
        self.changed.add("rooms")
        return True

    def _restored(self, event: Restored) -> None:
        self.restores += 1
        if any(one.newest > event.seq for one in self.conversations.values()):
            for one in self.conversations.values():
                one.restore(event.seq)
        self.note(event.text)
        self.changed.add("rows")

    def _add(self, where: Conversation, event: ev.Logged) -> bool:
        if not isinstance(event, ev.Message):
            held_rows.apply(where, event)
            quote = self.quote(event)  # type: ignore[arg-type]  # Logged is abstract; all others fit
            words = render.describe(event, quote)  # type: ignore[arg-type]  # as above
            return words is not None and where.add(TimelineRow((event.seq, 0), "event", words, event.at))
        where.pending.pop(event.msg_id, None)
        where.want(event.reply_to)
        row = message_row(event, where.quote(event.reply_to), self.me)
        # A page may have been read before reactions that came as events.
        for reacted in [one for one in where.reacted if one.target == event.seq]:
            row = reacted_to(row, reacted, self.me)
        return where.add(row)


def _not_sent(body: str) -> str:
    """Return how the note about a refused text begins."""
    return f"not sent: {render.snippet(body, render.BODY_CHARS)}\n"
