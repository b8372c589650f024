"""What the line client knows of its conversations: which is current, what is unread, what was shown.

Pure state; one thread (the screen's loop) uses it.
"""

from __future__ import annotations

from bisect import insort
from dataclasses import dataclass, field

from chatctl.client import AnyEvent
from chatctl.model import render
from chatd.proto import events as ev
from chatd.proto.text import dm_room

# Messages remembered per room, for /reply and for quoting what is answered.
RECENT_LIMIT = 200
# Conversations remembered, and names per conversation: bounds on what a server can make a client keep.
ROOMS_LIMIT = 500
NAMES_LIMIT = 1_000


@dataclass
class Room:
    """One conversation. ``oldest`` and ``newest`` are the sequence numbers shown so far (0: none)."""

    unread: int = 0
    called: int = 0
    oldest: int = 0
    newest: int = 0
    names: set[str] = field(default_factory=set)
    recent: list[ev.Message] = field(default_factory=list)

    def shown(self, seq: int) -> None:
        """An event is on the screen."""
        self.oldest = min(self.oldest or seq, seq)
        self.newest = max(self.newest, seq)

    def remember(self, event: ev.Message) -> None:
        """For later answers and completion."""
        self.add_name(event.user)
        if self.message(event.seq) is None:
            # Mostly at the end; a page of history comes after live messages.
            insort(self.recent, event, key=lambda message: message.seq)
            del self.recent[:-RECENT_LIMIT]

    def add_name(self, user: str) -> None:
        """Somebody who is here."""
        if len(self.names) < NAMES_LIMIT:
            self.names.add(user)

    def message(self, seq: int) -> ev.Message | None:
        """A remembered message by its place in the log."""
        return next((m for m in reversed(self.recent) if m.seq == seq), None)

    def matching(self, to: str) -> list[ev.Message]:
        """Remembered messages of a user, or of a time as shown."""
        clock = to.strip("[]").removesuffix("Z")
        user = to.removeprefix("@")
        return [m for m in self.recent if m.user == user or render.clock_of(m.at) == clock]

    def answered(self, to: str) -> ev.Message | None:
        """The message meant by /reply: the last one of a user, or of a time."""
        return next(reversed(self.matching(to)), None)

    def forget(self, event: ev.Redacted | ev.Expired) -> None:
        """Messages were erased: nothing keeps their text here, neither."""
        first, last = (event.target, event.target) if isinstance(event, ev.Redacted) else (0, event.upto)
        self.recent = [m for m in self.recent if not first <= m.seq <= last]

    def restored(self, seq: int) -> None:
        """Another log goes on after ``seq``: its numbers after that mean other messages."""
        self.recent = [m for m in self.recent if m.seq <= seq]
        self.oldest, self.newest = min(self.oldest, seq), min(self.newest, seq)


class Rooms:
    """All conversations of one user, ``me``."""

    def __init__(self, me: str = "") -> None:
        self.me = me
        self.current = ""
        self.joined: set[str] = set()
        # Rooms shown in full besides the current one, and nothing else is; None: calls are shown, too.
        self.focus: frozenset[str] | None = None
        self._known: dict[str, Room] = {}

    def __getitem__(self, name: str) -> Room:
        room = self._known.get(name)
        if room is None:
            if len(self._known) >= ROOMS_LIMIT:
                self._forget_one()
            room = self._known[name] = Room()
        return room

    @property
    def here(self) -> Room:
        """The current conversation."""
        return self[self.current]

    def direct(self, user: str) -> str:
        """The conversation with one user."""
        return dm_room(self.me, user)

    def switch(self, name: str) -> int:
        """Make a conversation current; how many unread messages it had."""
        self.current = name
        room = self[name]
        unread, room.unread, room.called = room.unread, 0, 0
        return unread

    def take(self, event: AnyEvent) -> bool:
        """Note an event; whether to show it. Messages elsewhere are counted, and shown if they call the
        user or `focus` names their room."""
        match event:
            case ev.Message():
                return self._take_message(event)
            case ev.Joined() | ev.Parted():
                return self._take_membership(event)
            case ev.Redacted() | ev.Expired():
                self[event.room].forget(event)
                return self._fresh_here(event.room, event.seq)
            case ev.TopicSet() | ev.RoomCreated() | ev.Held():
                return self._fresh_here(event.room, event.seq)
            case ev.Presence():
                return event.room == self.current and event.user != self.me
            case ev.Announcement() | ev.Slowed():
                return True
        return False

    def restored(self, seq: int) -> None:
        """The server's log is another one after ``seq``."""
        for room in self._known.values():
            room.restored(seq)

    def calls(self, event: AnyEvent) -> bool:
        """Whether a message is for this user in particular: a direct one, or one that names them."""
        if not isinstance(event, ev.Message) or event.user == self.me:
            return False
        return event.room.startswith("@") or render.mentions(event.body, self.me)

    def unread(self) -> list[tuple[str, int, bool]]:
        """Other conversations with unread messages: name, how many, whether one calls the user."""
        return [(n, r.unread, r.called > 0) for n, r in sorted(self._known.items()) if r.unread]

    def names(self) -> set[str]:
        """Users that completion offers: those of the current conversation first of all."""
        return self.here.names or {name for room in self._known.values() for name in room.names}

    def room_names(self) -> set[str]:
        """Rooms that completion offers."""
        return {name for name in (*self._known, *self.joined) if name.startswith("#")}

    def quote(self, event: AnyEvent) -> render.Quote | None:
        """What a message answers, when that is remembered."""
        if not isinstance(event, ev.Message) or event.reply_to is None:
            return None
        answered = self[event.room].message(event.reply_to)
        return render.Quote(answered.user, answered.body) if answered else None

    def _take_message(self, event: ev.Message) -> bool:
        room = self[event.room]
        room.remember(event)
        if event.room == self.current:
            return self._fresh_here(event.room, event.seq)
        if event.user == self.me:
            return event.room.startswith("@")
        if self.focus is not None and event.room in self.focus:
            return True
        room.unread += 1
        called = self.calls(event)
        room.called += called
        return called and self.focus is None

    def _take_membership(self, event: ev.Joined | ev.Parted) -> bool:
        room = self[event.room]
        if isinstance(event, ev.Joined):
            room.add_name(event.user)
        else:
            room.names.discard(event.user)
        if event.user == self.me:
            (self.joined.add if isinstance(event, ev.Joined) else self.joined.discard)(event.room)
            if event.room != self.current:
                return True
        return self._fresh_here(event.room, event.seq)

    def _fresh_here(self, name: str, seq: int) -> bool:
        """In the current room, and not shown already as part of its history."""
        if name != self.current or seq <= self.here.newest:
            return False
        self.here.shown(seq)
        return True

    def _forget_one(self) -> None:
        for name, room in self._known.items():
            if name != self.current and not room.unread:
                del self._known[name]
                return
        del self._known[next(name for name in self._known if name != self.current)]
