"""All conversations of one user: which is current, what is unread, what is being sent.

Pure state, used by one thread. `ChatModel` adds what the server's events and replies change.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Literal

from chatctl.client import AnyEvent, Sent
from chatctl.model import render
from chatctl.model.conversation import READING_LIMIT, ROWS_LIMIT, Conversation, RowKind, TimelineRow
from chatctl.model.folding import SNIPPET, fold
from chatctl.model.part_question import PartQuestion
from chatctl.model.times import Times
from chatd.errors import ChatdError
from chatd.proto import events as ev
from chatd.proto.frames import JsonObject
from chatd.proto.text import conversation_at, dm_members, is_group, visible

# Bounds what a server can make this client keep: as many rooms and direct conversations as any server allows.
ROOMS_LIMIT = 2_000
# Messages of earlier runs that are shown as pending; there may be as many as the outbox holds.
EARLIER_LIMIT = 200

ModelPart = Literal["rooms", "rows", "members", "state"]


class Conversations:
    """The conversations of the user ``me``.

    ``current``: the conversation on the screen, "" for none. ``times``: the zone of the times shown.
    ``looking``: the front end has the person's attention. ``reading``: scrolled back. ``focus``: rooms shown
    besides the current one; None: no focus. ``tells_view``: messages of the current conversation are read
    once `view` says that they are on the screen; otherwise as soon as the conversation is. ``changed``: the
    parts to draw again, emptied by the view. ``clock`` gives seconds since 1970.
    """

    def __init__(self, me: str, clock: Callable[[], float] = time.time) -> None:
        self.me = me
        self.clock = clock
        self.current = ""
        self.times = Times.UTC
        self.looking = True
        self.reading = False
        self.focus: frozenset[str] | None = None
        self.tells_view = False
        self.conversations: dict[str, Conversation] = {}
        self.joined: set[str] = set()
        self.changed: set[ModelPart] = {"rooms", "rows", "members", "state"}
        self.parting = PartQuestion()
        # How often the server went back to a backup in this run.
        self.restores = 0
        # Why the message that was refused last may not be sent anyway; None if it may.
        self.final_refusal: ChatdError | None = None
        # Where the last message was refused for a forbidden word.
        self.overridable_in = ""
        self._rows_made = 0

    # -- queries

    @property
    def here(self) -> Conversation:
        """The current conversation."""
        return self.conversation(self.current)

    @property
    def unread(self) -> int:
        """The number of unread messages in all conversations."""
        return sum(one.unread for one in self.conversations.values())

    def pending(self, seconds: float = 0.0) -> list[tuple[str, TimelineRow]]:
        """Messages without an answer for so many seconds, with their conversation; the oldest first."""
        latest = self.clock() - seconds
        found = [
            (one.name, row)
            for one in self.conversations.values()
            for row in one.pending.values()
            if row.kind == "pending" and row.sent_at <= latest
        ]
        return sorted(found, key=lambda pair: pair[1].order[1])

    def listed(self) -> list[Conversation]:
        """Joined rooms, then direct conversations, each by name."""
        names = {
            name
            for name, one in self.conversations.items()
            # A group can be left.
            if name in self.joined or (dm_members(name) and not (one.left and is_group(name)))
        }
        names = (names | {self.current}) - {""}
        ordered = sorted(names, key=lambda name: (name[:1] != "#", self.title(name)))
        return [self.conversation(name) for name in ordered]

    @property
    def unlisted(self) -> int:
        """The number of joined rooms that are not listed, because there are too many."""
        return sum(name not in self.conversations for name in self.joined)

    def title(self, name: str) -> str:
        """Return the title of a conversation: "#war", "@bob"."""
        return render.title(name, self.me)

    def address(self, name: str) -> str:
        """Where messages of a conversation are sent: "#war", "@bob", "@alice,bob,carol" for a group."""
        others = self.others(name)
        return name if len(others) != 1 else f"@{others[0]}"

    def others(self, name: str) -> list[str]:
        """The users of a direct conversation besides this one; this one if there is no other."""
        members = dm_members(name) or ()
        return [user for user in members if user != self.me] or list(members[:1])

    def resolve(self, address: str) -> str:
        """The name of the conversation at an address: "@alice,bob" for "@bob", also with more names."""
        return conversation_at(address, self.me)

    def require_current(self) -> str:
        """The name of the current conversation. Raises E301 outside of any."""
        if not self.current:
            raise ChatdError("E301", "you are in no room", "see /rooms, then /join one")
        return self.current

    def conversation(self, name: str) -> Conversation:
        """A conversation, created if it is unknown."""
        known = self.conversations.get(name)
        if known is None:
            if len(self.conversations) >= ROOMS_LIMIT:
                self._drop_one()
            known = self.conversations[name] = Conversation(name)
            self.changed.add("rooms")
        return known

    def is_visible(self, name: str) -> bool:
        """Whether the person sees what is said in a conversation."""
        here = name == self.current and self.looking and not self.reading
        return here or (self.focus is not None and name in self.focus)

    def addresses_me(self, event: ev.Message) -> bool:
        """Whether somebody wrote to this user: a direct message, or one with their name."""
        direct = dm_members(event.room) is not None
        return event.user != self.me and (direct or render.mentions(event.body, self.me))

    def is_read(self, event: object) -> bool:
        """Whether an event is a message that this person has read on any device."""
        return isinstance(event, ev.Message) and event.seq <= self.conversation(event.room).read.marker

    @property
    def stale(self) -> bool:
        """Whether the server has to count unread messages again."""
        return any(one.read.stale for one in self.conversations.values())

    def last_own_message(self) -> TimelineRow | None:
        """This user's last message in the current conversation; None if none is loaded."""
        return next((row for row in reversed(self.here.rows) if row.is_message and row.user == self.me), None)

    def quote(self, event: AnyEvent) -> render.Quote | None:
        """Return the message that ``event`` is about, or None if it is not loaded.

        Of one that ``event`` edits or refuses, the former text.
        """
        if isinstance(event, ev.Reacted):
            return self.conversation(event.room).quote(event.target)
        if isinstance(event, ev.Edited | ev.MessageRefused):
            return self.conversation(event.room).former.get(event.seq)
        if not isinstance(event, ev.Message):
            return None
        return self.conversation(event.room).quote(event.reply_to)

    def user_names(self) -> set[str]:
        """Users to complete: those of the current conversation, else of all."""
        here = self.here
        found = set(here.members) | {row.user for row in here.rows if row.user}
        return found or {user for one in self.conversations.values() for user in one.members}

    def room_names(self) -> set[str]:
        """Rooms to complete."""
        return {name for name in (*self.conversations, *self.joined) if name.startswith("#")}

    # -- what the person does

    def switch(self, name: str) -> None:
        """Make a conversation current and mark it as read."""
        if self.current and self.current != name:
            if self.tells_view:
                self.here.read.leave_view()
            else:
                self.here.read.first = 0
            self.here.trim()
        self.current = name
        self._mark_read()
        self.changed |= {"rooms", "rows", "members", "state"}

    def look(self, looking: bool, *, reading: bool = False) -> None:
        """The front end got or lost the person's attention, or was scrolled back (``reading``) or forward."""
        self.looking, self.reading = looking, reading
        if self.current and self.is_visible(self.current):
            self._mark_read()

    def view(self, above: int, first: int, last: int) -> None:
        """Note which events of the current conversation are on the screen: from seq ``first`` to ``last``.

        ``above``: the event before ``first``, 0 if that is the oldest row. 0 for all: no event is in view.
        """
        here = self.here
        if not here.loaded or not self.looking or (here.has_older and not first):
            return
        after = above or (first - 1 if here.has_older else 0)
        if here.read.view(after, last):
            self.changed.add("state")

    def show(self, event: ev.Message) -> None:
        """Note that a message of another conversation was shown."""
        if event.user != self.me:
            self.conversation(event.room).read.show(event.seq)
            self.changed |= {"rooms", "state"}

    def set_unread(self, entries: Iterable[JsonObject]) -> None:
        """Apply the result of `paging.unread`."""
        for entry in entries:
            name = str(entry.get("room", ""))
            match entry:
                case {"seq": int(seq), "unread": int(unread), "cursor": int(cursor)} if (
                    name in self.joined or dm_members(name)
                ):
                    self._set_count(name, seq, unread, cursor)
        self.changed |= {"rooms", "rows", "state"}

    def take_overridable(self) -> Sent:
        """Return the message that was refused last for a forbidden word, once.

        Raises E404 without one, and the refusal of what was refused last if it may not be sent anyway.
        """
        if self.final_refusal is not None:
            reason = f"what was refused last cannot be sent anyway: {self.final_refusal.reason}"
            raise ChatdError(self.final_refusal.code, reason, self.final_refusal.fix)
        where = self.conversations.get(self.overridable_in)
        if where is None or where.overridable is None:
            raise ChatdError("E404", "what was sent last was not refused for a word", "write: /say! TEXT")
        sent, where.overridable = where.overridable, None
        return sent

    def sending(self, sent: Sent) -> None:
        """Show a message as pending until it is in the log."""
        if sent.state == "pending":
            where = self.conversation(self.resolve(sent.to))
            where.overridable = self.final_refusal = None
            self.overridable_in = ""
            command = "/me " if sent.kind == "action" else ""
            if sent.edits is not None:
                command = f"/edit {sent.edits} "
            body = command + visible(sent.body)
            where.pending[sent.msg_id] = TimelineRow(
                self._order_after(where),
                "pending",
                fold(body).text,
                user=self.me,
                sent_at=self.clock(),
                is_snippet=sent.kind == SNIPPET,
            )
            self.changed |= {"rows", "state"}

    def sending_earlier(self, outbox: Sequence[Sent]) -> None:
        """Show what earlier runs have sent and nobody has answered, so that it is not typed again."""
        for sent in outbox[:EARLIER_LIMIT]:
            if sent.msg_id not in self.conversation(self.resolve(sent.to)).pending:
                self.sending(sent)

    def set_quotes(self, name: str, found: Mapping[int, ev.Message | None]) -> None:
        """Apply the result of `paging.quoted`."""
        self.conversation(name).set_quotes(found)
        self.changed.add("rows")

    def note(self, text: str, *, kind: RowKind = "note", where: str | None = None) -> None:
        """Append a sentence of the client's own to a conversation (None: the current one); "" is none."""
        if not text:
            return
        conversation = self.conversation(self.current if where is None else where)
        conversation.add(TimelineRow(self._order_after(conversation), kind, visible(text)))
        self._trim(conversation)
        self.changed.add("rows")

    # -- internals

    def _order_after(self, where: Conversation) -> tuple[int, int]:
        self._rows_made += 1
        return where.newest, self._rows_made

    def _trim(self, where: Conversation) -> None:
        where.trim(READING_LIMIT if where.name == self.current and self.reading else ROWS_LIMIT)

    def _set_count(self, name: str, marker: int, unread: int, cursor: int) -> None:
        read, on_screen = self.conversation(name).read, self.is_visible(name)
        first_count = not read.is_counted
        read.set_count(marker, unread, cursor, on_screen=on_screen and not self.tells_view)
        if on_screen and self.tells_view and read.unread:
            # What has arrived since the start was on the screen, but not what the server has counted.
            read.await_view(marker if first_count else None)
            self._mark_read()

    def _mark_read(self) -> None:
        if self.tells_view and self.here.unread:
            self.here.read.await_view()
        if self.here.read.read_all():
            self.changed |= {"rooms", "state"}

    def _drop_one(self) -> None:
        others = [one for name, one in self.conversations.items() if name != self.current]
        idle = (one for one in others if not (one.unread or one.pending or one.draft or one.refused))
        del self.conversations[next(idle, others[0]).name]
