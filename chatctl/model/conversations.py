"""What the desktop client knows of conversations, and what the person does with them.

Pure state, used by one thread (Tk's). `model` adds what the server tells.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Literal, NamedTuple

from chatctl.client import Sent
from chatctl.model import render
from chatctl.model.conversation import READING_LIMIT, ROWS_LIMIT, Conversation, RowKind, TimelineRow
from chatd.errors import ChatdError
from chatd.proto import events as ev
from chatd.proto.text import dm_members, dm_room, visible

# A bound on what a server can make this client keep, besides those of a conversation.
ROOMS_LIMIT = 500

WindowPart = Literal["rooms", "rows", "members", "state"]
ConnectionState = Literal["connecting", "connected", "reconnecting", "ended"]


class Alert(NamedTuple):
    """Something said to this person in particular: by whom and where, and how it begins."""

    title: str
    text: str


class RedactedRange(NamedTuple):
    """Messages of a room that the server has erased: the seqs ``first`` to ``last``."""

    room: str
    first: int
    last: int

    def has(self, event: ev.Message) -> bool:
        """Whether a message is one of them."""
        return event.room == self.room and self.first <= event.seq <= self.last


class Conversations:
    """The conversations. ``changed`` names the parts to draw anew; the view empties it.
    ``clock`` gives seconds since 1970."""

    def __init__(self, me: str, clock: Callable[[], float] = time.time) -> None:
        self.me = me
        self._clock = clock
        self.current = ""
        self.looking = True  # the window has the person's attention
        self.reading = False  # scrolled back; the newest is out of sight
        self.connection: ConnectionState = "connecting"
        self.trouble: ChatdError | None = None
        self.welcome: ev.Welcome | None = None
        self.conversations: dict[str, Conversation] = {}
        self.joined: set[str] = set()
        self.heard = 0  # the seq of the last event
        self.changed: set[WindowPart] = {"rooms", "rows", "members", "state"}
        self.alerts: list[Alert] = []  # what the person is to be told of; the view empties it
        self.redacted: list[RedactedRange] = []  # what the view may still show elsewhere; it empties this
        self._count = 0

    # -- what is asked of it

    @property
    def here(self) -> Conversation:
        """The current conversation."""
        return self.conversation(self.current)

    @property
    def unread(self) -> int:
        """Messages not looked at, everywhere."""
        return sum(one.unread for one in self.conversations.values())

    @property
    def pending(self) -> int:
        """Messages the server has not answered."""
        return sum(
            row.kind == "pending" for one in self.conversations.values() for row in one.pending.values()
        )

    def listed(self) -> list[Conversation]:
        """Rooms one is in, then direct conversations, each by name."""
        names = {name for name in self.conversations if name in self.joined or dm_members(name)}
        names = (names | {self.current}) - {""}
        ordered = sorted(names, key=lambda name: (name[:1] != "#", self.title(name)))
        return [self.conversation(name) for name in ordered]

    def title(self, name: str) -> str:
        """How a conversation is called: "#war", "@bob"."""
        return render.title(name, self.me)

    def address(self, name: str) -> str:
        """Where messages of a conversation are sent to: "#war", "@bob"."""
        members = dm_members(name)
        if members is None:
            return name
        return "@" + (members[1] if members[0] == self.me else members[0])

    def conversation(self, name: str) -> Conversation:
        """A conversation, made if it is not known."""
        known = self.conversations.get(name)
        if known is None:
            if len(self.conversations) >= ROOMS_LIMIT:
                self._forget_one()
            known = self.conversations[name] = Conversation(name)
            self.changed.add("rooms")
        return known

    def allows(self, permission: str) -> bool:
        """Whether the role has a permission, as told at the welcome."""
        return self.welcome is not None and permission in self.welcome.permissions

    # -- what the person does

    def switch(self, name: str) -> None:
        """Make a conversation current and read."""
        if self.current and self.current != name:
            self.here.first_unread = 0
            self.here.trim()
        self.current = name
        self._read()
        self.changed |= {"rooms", "rows", "members", "state"}

    def begin_again(self) -> None:
        """There will be another connection; what was on its way is in the outbox it takes over."""
        self.connection, self.trouble = "connecting", None
        self.changed.add("state")

    def look(self, looking: bool) -> None:
        """The window got or lost the person's attention."""
        self.looking = looking
        if looking and self.current:
            self._read()

    def sending(self, sent: Sent) -> None:
        """A message is on its way; it stands at the end until the log has it."""
        if sent.state == "pending":
            where = self._conversation_to(sent.to)
            kind = "/me " if sent.kind == "action" else ""
            where.pending[sent.msg_id] = self._row("pending", kind + visible(sent.body), where, user=self.me)
            self.changed |= {"rows", "state"}

    def note(self, text: str, *, kind: RowKind = "note", where: str | None = None) -> None:
        """Say something of the client's own at the end of a conversation (None: the current one)."""
        conversation = self.conversation(self.current if where is None else where)
        conversation.add(self._row(kind, visible(text), conversation))
        self._trim(conversation)
        self.changed.add("rows")

    # -- within

    def _row(self, kind: RowKind, body: str, where: Conversation, user: str = "") -> TimelineRow:
        self._count += 1
        return TimelineRow((where.newest, self._count), kind, body, user=user)

    def _conversation_to(self, to: str) -> Conversation:
        direct = to.startswith("@") and "," not in to
        return self.conversation(dm_room(self.me, to[1:]) if direct else to)

    def _trim(self, where: Conversation) -> None:
        where.trim(READING_LIMIT if where.name == self.current and self.reading else ROWS_LIMIT)

    def _read(self) -> None:
        here = self.here
        if here.unread:
            here.unread = here.mentions = 0
            self.changed |= {"rooms", "state"}

    def _forget_one(self) -> None:
        for name, one in self.conversations.items():
            if name != self.current and not (one.unread or one.pending or one.draft):
                del self.conversations[name]
                return
        del self.conversations[next(name for name in self.conversations if name != self.current)]
