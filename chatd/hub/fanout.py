"""Which links get which event, and the recent events that a short resume is served from."""

from __future__ import annotations

from collections import Counter, defaultdict, deque
from collections.abc import Iterable, Iterator
from functools import lru_cache
from itertools import islice
from typing import NamedTuple

from chatd.hub.links import Link
from chatd.hub.sessions import Session, Sessions
from chatd.hub.state.model import EVERYONE, State, audience_of
from chatd.link.wire import pack_header, pack_with
from chatd.proto.frames import JsonObject, encode, frame
from chatd.proto.text import dm_members

# Enough for every client to resume from memory after a cut of a few seconds at 1,000 messages/s.
RECENT_EVENTS = 8192
# Nobody waits for these: a thousand who join one room are not a thousand writes to each of them.
MAY_WAIT = frozenset({"joined", "parted"})


class Recent(NamedTuple):
    """An event as it went out: its room (None: for nobody) and its JSON."""

    seq: int
    room: str | None
    body: bytes


@lru_cache(maxsize=4096)
def _room_header(operation: str, room: str) -> bytes:
    return pack_header([operation, room])


class Fanout:
    """Keeps, for each room, how many live sessions each link has in it. Owned by the hub's loop.

    The workers keep the sessions themselves; `enter`, `leave`, `live` and `dead` travel in the same
    stream as the events, so that who gets an event is exact at its sequence number.
    """

    def __init__(self, state: State, sessions: Sessions, head: int) -> None:
        self._state = state
        self._sessions = sessions
        self._audience: dict[str, Counter[Link]] = defaultdict(Counter)
        self._recent: deque[Recent] = deque(maxlen=RECENT_EVENTS)
        # Everything after this sequence number is in _recent.
        self._recent_after = head

    def publish(self, event: JsonObject, body: bytes) -> None:
        """Queue one event (``body`` is its JSON) for everybody entitled to it."""
        room = audience_of(event)
        if len(self._recent) == RECENT_EVENTS:
            self._recent_after = self._recent[0].seq
        self._recent.append(Recent(event["seq"], room, body))
        if room is None:
            return
        kind = event["type"]
        if kind == "joined":
            self.enter(room, [event["user"]])
        elif kind == "dm_opened":
            self.enter(room, dm_members(room) or ())
        self._to_room("later" if kind in MAY_WAIT else "room", room, frame(body))
        if kind == "parted":
            self._leave(room, event["user"])

    def redact(self, seqs: Iterable[int]) -> None:
        """Drop erased messages from what a resume is served from."""
        for seq in seqs:
            place = seq - self._recent_after - 1
            if 0 <= place < len(self._recent):
                self._recent[place] = Recent(seq, None, b"")

    def _to_room(self, operation: str, room: str, data: bytes) -> None:
        """Queue a client frame for a room's live sessions; the operations are in chatd.link.wire."""
        audience = self._audience.get(room)
        if audience:
            packed = pack_with(_room_header(operation, room), data)
            for link in audience:
                link.send_packed(packed)

    def presence(self, user: str, state: str, text: str = "", told: JsonObject | None = None) -> None:
        """Queue a notice for each room of a user; only sessions whose role may read presence get it."""
        known = self._state.users.get(user)
        for room in known.rooms if known else ():
            if room[0] == "#" and room in self._audience:
                event = {"type": "presence", "room": room, "user": user, "state": state, "text": text}
                self._to_room("presence", room, encode(event | (told or {})))

    def since(self, after: int, rooms: Iterable[str]) -> Iterator[Recent] | None:
        """Recent events after ``after`` in ``rooms``, oldest first; None when memory does not reach back."""
        if after < self._recent_after:
            return None
        wanted = set(rooms)
        # The ring is gap-free, so the place of a sequence number is known.
        start = max(0, after - self._recent_after)
        return (r for r in islice(self._recent, start, None) if r.room in wanted)

    def go_live(self, session: Session) -> None:
        """From here on the session gets events as they happen."""
        if session.live:
            return
        session.live = True
        rooms = self._rooms_of(session)
        for room in rooms:
            self._audience[room][session.link] += 1
        session.link.send(["live", session.sid, rooms])

    def stop_live(self, session: Session) -> None:
        """The reverse of `go_live`; the worker is told by the caller (cut) or knows (close)."""
        if not session.live:
            return
        session.live = False
        for room in self._rooms_of(session):
            self._count_out(room, session.link)

    def enter(self, room: str, users: Iterable[str]) -> None:
        """Users became members: their live sessions hear the room from now on."""
        for link, sids in self._live_by_link(users).items():
            self._audience[room][link] += len(sids)
            link.send(["enter", room, sids])

    def _leave(self, room: str, user: str) -> None:
        for link, sids in self._live_by_link([user]).items():
            for _ in sids:
                self._count_out(room, link)
            link.send(["leave", room, sids])

    def _live_by_link(self, users: Iterable[str]) -> dict[Link, list[int]]:
        found: dict[Link, list[int]] = defaultdict(list)
        for user in set(users):
            for session in self._sessions.of_user(user):
                if session.live:
                    found[session.link].append(session.sid)
        return found

    def _count_out(self, room: str, link: Link) -> None:
        audience = self._audience[room]
        audience[link] -= 1
        if audience[link] <= 0:
            del audience[link]
        if not audience:
            del self._audience[room]

    def _rooms_of(self, session: Session) -> list[str]:
        user = self._state.users.get(session.who.user)
        return [EVERYONE, *user.rooms] if user else [EVERYONE]
