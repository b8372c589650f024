"""Publish each event to the links that have listeners, and keep recent events for short resumes."""

from __future__ import annotations

from collections import Counter, defaultdict, deque
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from itertools import islice
from typing import NamedTuple

import orjson

from chatd.hub.links import Link
from chatd.hub.sessions import HubSession, Sessions
from chatd.hub.state.model import EVERYONE, State, audience_of, own_room
from chatd.link.wire import pack_header, pack_with
from chatd.proto.frames import JsonObject, compact, encode, frame
from chatd.proto.text import dm_members
from chatd.store.message_changes import CHANGE_KINDS

# Lets every client resume from memory after a break of a few seconds at 1,000 messages/s.
RECENT_EVENTS = 8192
# Bytes of these events: 2 KiB each on average, which only snippets exceed.
RECENT_BYTES = 16 * 1024 * 1024
# Workers may delay these: a thousand joins of one room, or reactions, must not be a thousand writes to each
# member.
DEFERRABLE = frozenset({"joined", "parted", "reacted"})


# How the JSON of an edit begins.
_EDIT = b'{"type":"edited",'


class RecentEvent(NamedTuple):
    """A published event: its room (None: nobody may read it) and its JSON.

    ``place``: the seq of the message that it edits or reacts to, its own for others. Whoever may not read
    that message may not read the event.
    """

    seq: int
    room: str | None
    body: bytes
    place: int


@lru_cache(maxsize=4096)
def _room_header(operation: str, room: str) -> bytes:
    return pack_header([operation, room])


def _edited(message: bytes, edit: JsonObject) -> bytes:
    new = {"kind": edit["kind"], "body": edit["body"], "edited": edit["seq"], "edited_at": edit["at"]}
    return compact(orjson.loads(message) | new)


class Fanout:
    """Counts each link's live sessions in every room. Owned by the hub's loop.

    The workers know which sessions these are. `enter`, `leave` and `live` travel in the same stream as
    the events, so the recipients are exact at each sequence number.
    """

    def __init__(self, state: State, sessions: Sessions, head: int) -> None:
        self._state = state
        self._sessions = sessions
        self._audience: dict[str, Counter[Link]] = defaultdict(Counter)
        self._recent: deque[RecentEvent] = deque()
        self._recent_bytes = 0
        # _recent holds every event after this sequence number.
        self._recent_after = head

    def publish(self, event: JsonObject, body: bytes) -> None:
        """Queue one event (``body`` is its JSON) for every session that may read it."""
        room = audience_of(event)
        place = event["target"] if event["type"] in CHANGE_KINDS else event["seq"]
        self._remember(RecentEvent(event["seq"], room, body, place))
        if room is None:
            return
        kind = event["type"]
        if kind == "joined":
            self.enter(room, [event["user"]])
        elif kind == "dm_opened":
            self.enter(room, dm_members(room) or ())
        late = self._late(room, place) if kind in CHANGE_KINDS else []
        if late:
            self._leave(room, late)
        self._to_room("later" if kind in DEFERRABLE else "room", room, frame(body))
        if late:
            self.enter(room, late)
        if kind == "parted":
            self._leave(room, [event["user"]])
        elif kind == "room_removed":
            self._leave(room, self._state.removing[room].members)

    def _late(self, room: str, seq: int) -> list[str]:
        """Return the members whose reading of a room begins after ``seq``."""
        return [user for user, floor in self._state.rooms[room].floors.items() if floor >= seq]

    def _remember(self, event: RecentEvent) -> None:
        recent = self._recent
        recent.append(event)
        self._recent_bytes += len(event.body)
        while len(recent) > RECENT_EVENTS or self._recent_bytes > RECENT_BYTES:
            oldest = recent.popleft()
            self._recent_bytes -= len(oldest.body)
            self._recent_after = oldest.seq

    def redact(self, seqs: Iterable[int], edited: Iterable[JsonObject] = ()) -> None:
        """Remove redacted messages from the recent events; put the new text into edited ones."""
        edits = {edit["target"]: edit for edit in edited}
        gone = {*seqs}
        # The message of an edit that is gone has its text here, too.
        gone |= {self._target_of(seq) for seq in gone}
        for seq in gone | edits.keys():
            index = self._index(seq)
            if index is None:
                continue
            event = self._recent[index]
            self._recent_bytes -= len(event.body)
            if seq not in edits:
                self._recent[index] = event._replace(room=None, body=b"")
            elif event.body:
                self._recent[index] = event._replace(body=_edited(event.body, edits[seq]))
            self._recent_bytes += len(self._recent[index].body)

    def _index(self, seq: int) -> int | None:
        index = seq - self._recent_after - 1
        return index if 0 <= index < len(self._recent) else None

    def _target_of(self, seq: int) -> int:
        """Return the seq of the message that event ``seq`` edits; ``seq`` itself for any other event."""
        index = self._index(seq)
        body = b"" if index is None else self._recent[index].body
        return int(orjson.loads(body)["target"]) if body.startswith(_EDIT) else seq

    def _to_room(self, operation: str, room: str, data: bytes) -> None:
        """Queue a client frame for a room's live sessions; chatd.link.wire lists the operations."""
        audience = self._audience.get(room)
        if audience:
            packed = pack_with(_room_header(operation, room), data)
            for link in audience:
                link.send_packed(packed)

    def presence(
        self,
        user: str,
        state: str,
        text: str = "",
        notice: JsonObject | None = None,
        only: str | None = None,
    ) -> None:
        """Queue a presence event for each room of a user, or ``only`` one; ``notice`` is added to it.

        Workers deliver it only to sessions whose role may read presence.
        """
        known = self._state.users.get(user)
        for room in known.rooms if known else ():
            if room[0] == "#" and room in self._audience and only in (None, room):
                event = {"type": "presence", "room": room, "user": user, "state": state, "text": text}
                self._to_room("presence", room, encode(event | (notice or {})))

    def since(self, after: int, rooms: Mapping[str, int]) -> Iterator[RecentEvent] | None:
        """Return the events after ``after``, oldest first; None if memory starts later.

        ``rooms``: room -> the seq after which its events begin.
        """
        if after < self._recent_after:
            return None
        # Sequence numbers are gap-free, so they give the position.
        start = max(0, after - self._recent_after)
        return (event for event in islice(self._recent, start, None) if self._begun(event, rooms))

    @staticmethod
    def _begun(event: RecentEvent, rooms: Mapping[str, int]) -> bool:
        return event.room is not None and event.place > rooms.get(event.room, event.place)

    def go_live(self, session: HubSession) -> None:
        """Deliver events to the session as they happen from now on."""
        if session.live:
            return
        session.live = True
        rooms = self._rooms_of(session)
        for room in rooms:
            self._audience[room][session.link] += 1
        session.link.send(["live", session.sid, rooms])

    def stop_live(self, session: HubSession) -> None:
        """Undo `go_live`. The caller tells the worker (cut), or the worker knows already (close)."""
        if not session.live:
            return
        session.live = False
        for room in self._rooms_of(session):
            self._count_out(room, session.link)

    def enter(self, room: str, users: Iterable[str]) -> None:
        """Deliver a room's events to the live sessions of its new members from now on."""
        for link, sids in self._live_by_link(users).items():
            self._audience[room][link] += len(sids)
            link.send(["enter", room, sids])

    def _leave(self, room: str, users: Iterable[str]) -> None:
        for link, sids in self._live_by_link(users).items():
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

    def _rooms_of(self, session: HubSession) -> list[str]:
        user = self._state.users.get(session.who.user)
        return [EVERYONE, own_room(session.who.user), *user.rooms] if user else [EVERYONE]
