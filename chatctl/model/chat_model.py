"""What the server tells the desktop client: the events and answers that change what `Conversations` knows.

Pure state, used by one thread (Tk's). Every text of the network passes `visible` before it gets in here.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

from chatctl.client import (
    Acknowledged,
    AnyEvent,
    CaughtUp,
    Connected,
    Disconnected,
    Refused,
    Restored,
)
from chatctl.model import members, render
from chatctl.model.conversation import Conversation, Stir, TimelineRow
from chatctl.model.conversations import Alert, Conversations, RedactedRange
from chatd.proto import events as ev
from chatd.proto.frames import JsonObject
from chatd.proto.text import dm_members, visible

ALERT_CHARS = 120


class ChatModel(Conversations):
    """Everything the window shows."""

    # -- what requests bring

    def set_rooms(self, entries: Iterable[JsonObject], since: int) -> None:
        """The answer to ``rooms``, asked for when ``since`` was the last that was heard. It may come after
        an event that was decided after it: what an event has told since then stays."""
        for entry in entries:
            name = str(entry.get("room", ""))
            if name not in self.joined:
                continue
            where = self.conversation(name)
            if where.topic_at <= since:
                where.topic = render.one_line(str(entry.get("topic", "")))
            if entry.get("joined") is False and where.joined_at <= since:
                # Put out while a hub was replaced: then no event tells, nor does a welcome.
                self.joined.discard(name)
                where.leave()
        self.changed |= {"rooms", "state"}

    def entered(self, name: str, since: int) -> bool:
        """The answer to ``join`` or ``create``: whether one is in that room, and not out of it again."""
        where = self.conversation(name)
        if where.parted_at > since:
            return False
        self.joined.add(name)
        # Its event may be still to come; it is newer than all that was asked for so far.
        where.joined_at = max(where.joined_at, self.heard + 1)
        self.changed |= {"rooms", "state"}
        return True

    def ask_members(self, name: str) -> deque[Stir]:
        """``who`` is asked; what is returned belongs to its answer."""
        return members.asked(self.conversation(name))

    def set_members(self, name: str, entries: Iterable[JsonObject], since: deque[Stir] | None = None) -> None:
        """The answer to ``who``."""
        where = self.conversation(name)
        if members.answered(where, entries, since) and self.connection == "connected":
            where.members_as_of = 0
        self.changed.add("members")

    def add_history(
        self, name: str, events: Iterable[ev.Logged], *, more: bool, before: int | None = None
    ) -> int:
        """A page of history, the newest or the one ``before`` a seq; how many rows are new."""
        conversation = self.conversation(name)
        if before is not None and before != conversation.oldest:
            return 0  # rows at the top were forgotten meanwhile: between them and this page some would lack
        # A page that was read before something was erased may come after.
        kept = (e for e in events if not (isinstance(e, ev.Message) and conversation.is_redacted(e.seq)))
        found = list(kept)
        if name.startswith("#") and name not in self.joined:
            return 0  # it was left meanwhile, and is asked for again when one comes back
        if conversation.left and before is None:
            conversation.left = False
            if more and found:
                conversation.begin_at(found[0].seq)
        added = sum(self._add(conversation, event) for event in found)
        conversation.more, conversation.loaded = more, True
        self.changed.add("rows")
        return added

    # -- what the client library tells

    def take(self, event: AnyEvent) -> None:
        """Note an event."""
        if isinstance(event, ev.Logged):
            self.heard = event.seq
        match event:
            case Connected() | Disconnected() | Restored():
                self._link_changed(event)
            case Acknowledged() | Refused():
                self._settled(event)
            case CaughtUp():
                self.changed.add("rows")
            case ev.Presence():
                self._presence(event)
            case ev.Announcement():
                self._announced(event)
            case ev.Slowed():
                self.note(render.happening(event) or "")
            case ev.Message() | ev.Joined() | ev.Parted() | ev.RoomCreated() | ev.DmOpened() | ev.TopicSet():
                self._logged(event)
            case ev.Redacted() | ev.Expired() | ev.Held():
                self._kept(event)

    def _link_changed(self, event: Connected | Disconnected | Restored) -> None:
        if isinstance(event, Connected):
            self._connected(event)
        elif isinstance(event, Disconnected):
            self._disconnected(event)
        else:
            self._restored(event)

    def _connected(self, event: Connected) -> None:
        welcome = event.welcome
        self.connection, self.trouble, self.welcome = "connected", None, welcome
        for name in [name for name in self.joined if event.lacks(name)]:
            self.joined.discard(name)
            self.conversation(name).leave()
        self.joined |= set(welcome.rooms)
        for name in welcome.rooms:
            self.conversation(name)
        self.changed |= {"state", "rooms"}

    def _disconnected(self, event: Disconnected) -> None:
        if self.connection == "connected":
            # Nobody tells any more who comes and goes.
            now = int(self._clock() * 1000)
            for one in self.conversations.values():
                one.members_as_of = one.members_as_of or now
            self.changed.add("members")
        self.connection, self.trouble = "reconnecting", event.error
        if event.retry_in is None:
            self.connection = "ended"
            self.note(f"the connection ended: {event.error.reason}; {event.error.fix}", kind="error")
        self.changed.add("state")

    def _logged(
        self, event: ev.Message | ev.Joined | ev.Parted | ev.RoomCreated | ev.DmOpened | ev.TopicSet
    ) -> None:
        where = self.conversation(event.room)
        self._add(where, event)
        self._trim(where)
        if isinstance(event, ev.Joined | ev.Parted):
            self._membership(event, where)
        elif isinstance(event, ev.TopicSet | ev.RoomCreated):
            where.topic, where.topic_at = render.one_line(event.topic), event.seq
            self.changed.add("state")
        elif isinstance(event, ev.Message):
            # Also when a page of history was faster.
            self._arrived(event, where)
        if event.room == self.current:
            self.changed.add("rows")

    def _kept(self, event: ev.Redacted | ev.Expired | ev.Held) -> None:
        """What the server keeps of a room changed: what it has erased is not kept here, neither."""
        where = self.conversation(event.room)
        if not isinstance(event, ev.Held):
            first, last = (event.target, event.target) if isinstance(event, ev.Redacted) else (0, event.upto)
            where.redact(first, last)
            self.redacted.append(RedactedRange(event.room, first, last))
        self._add(where, event)
        if event.room == self.current:
            self.changed.add("rows")

    def _arrived(self, event: ev.Message, where: Conversation) -> None:
        if event.user == self.me or (where.name == self.current and self.looking):
            return
        where.first_unread = where.first_unread or event.seq
        where.unread += 1
        self.changed |= {"rooms", "state"}
        if dm_members(event.room) or render.mentions(event.body, self.me):
            where.mentions += 1
            who = f"{render.name(event.user)} in {self.title(event.room)}"
            self.alerts.append(Alert(who, render.snippet(event.body, ALERT_CHARS)))

    def _membership(self, event: ev.Joined | ev.Parted, where: Conversation) -> None:
        told = (
            one.members.get(render.name(event.user))
            for one in self.conversations.values()
            if not one.members_as_of
        )
        members.told(where, event, next(filter(None, told), None))
        if event.user == self.me:
            if isinstance(event, ev.Joined):
                self.joined.add(event.room)
                where.joined_at = event.seq
            else:
                self.joined.discard(event.room)
                where.leave()
                where.parted_at = event.seq
            self.changed |= {"rooms", "state"}
        self.changed.add("members")

    def _presence(self, event: ev.Presence) -> None:
        where = self.conversation(event.room)
        members.told(where, event)
        self.changed.add("members")
        # Where nothing is known yet, it would stand above all that is fetched later.
        if event.cause and where.newest:
            self.note(render.presence(event), where=event.room)

    def _announced(self, event: ev.Announcement) -> None:
        where = self.here
        row = TimelineRow(
            (event.seq, 0), "announcement", visible(event.body), event.at, render.name(event.by)
        )
        if where.add(row):
            self.alerts.append(Alert(f"{row.user} announces", render.snippet(event.body, ALERT_CHARS)))
        self.changed.add("rows")

    def _settled(self, event: Acknowledged | Refused) -> None:
        where = self._conversation_to(event.sent.to)
        if isinstance(event, Refused):
            where.pending.pop(event.sent.msg_id, None)
            text = f"not sent: {render.snippet(event.sent.body, 80)}\n{event.error.reason}; {event.error.fix}"
            self.note(text, kind="refused", where=where.name)
            # So that it can be corrected and sent again; nothing that is being typed is replaced.
            where.draft = where.draft or event.sent.body
        elif event.sent.state == "acknowledged":
            result = event.sent.wait(0)
            for changed in result.notes:
                self.note(f"note: {changed.get('text', '')}", where=where.name)
            row = where.pending.pop(event.sent.msg_id, None)
            if row is not None and not where.has(result.seq):
                # The event is still to come; until then the row stays, without the mark.
                where.pending[event.sent.msg_id] = TimelineRow(
                    row.order, "message", row.body, row.at, row.user
                )
        self.changed |= {"rows", "state"}

    def _restored(self, event: Restored) -> None:
        """What is shown after that event is of the log before, under numbers that now mean something else."""
        if any(one.newest > event.seq for one in self.conversations.values()):
            for one in self.conversations.values():
                one.rows.clear()
                one.redacted.clear()
                one.more, one.loaded = True, False
                one.topic_at = one.joined_at = one.parted_at = 0
        self.note(event.text)
        self.changed.add("rows")

    # -- within

    def _add(self, where: Conversation, event: ev.Logged) -> bool:
        if isinstance(event, ev.Message):
            where.pending.pop(event.msg_id, None)
            return where.add(
                TimelineRow(
                    (event.seq, 0),
                    "action" if event.kind == "action" else "message",
                    visible(event.body),
                    event.at,
                    render.name(event.user),
                    render.name(event.role),
                    where.answered(event.reply_to),
                    event.reply_to,
                    event.user != self.me and render.mentions(event.body, self.me),
                )
            )
        words = render.happening(event)  # type: ignore[arg-type]  # Logged is abstract; all others fit
        return words is not None and where.add(TimelineRow((event.seq, 0), "event", words, event.at))
