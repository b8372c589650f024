"""Outgoing frames: who is in which room, and the outboxes. Everything here runs on the worker's loop."""

from __future__ import annotations

import ssl
import time
from collections import defaultdict
from collections.abc import Callable

from chatd.errors import ChatdError
from chatd.logs.logger import get_log
from chatd.proto.events import bye_frame
from chatd.proto.frames import FRAME_LIMIT, encode
from chatd.worker.burst import Burst
from chatd.worker.flush import flush
from chatd.worker.session import Due, Phase, Session

log = get_log("connections")

# How long a session that is told goodbye may take to read it.
LINGER_SECONDS = 2.0
# How long an event that may wait does, in turns of the hub's gathering: 0.2 s by default, not at all where
# that is off.
LATER_TURNS = 20


class Delivery:
    """Owns the rooms and every session's outbox. ``outbox_bytes`` is the most that may wait for one.

    Frames leave a session's outbox in the order in which they were queued: one that may wait takes its
    place at once, and goes with the next that may not, at the latest when `later_due` has come. A room's
    events come in bursts, which are put in its members' outboxes as one.
    """

    def __init__(
        self, outbox_bytes: int, gather_ms: float = 0.0, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.outbox_bytes = outbox_bytes
        self.gather_ms = gather_ms
        # When the frames that may wait are sent (of ``clock``).
        self.later_due = float("inf")
        self._clock = clock
        self.delivered = 0
        self.slow_consumers = 0
        # Told goodbye, not gone yet.
        self.closing: set[Session] = set()
        self._rooms: dict[str, dict[int, Session]] = defaultdict(dict)
        # Not in the outboxes yet; whatever else is done with one of its members' outboxes comes after it.
        self._burst = Burst()
        self._dirty: list[Session] = []
        self._later: list[Session] = []

    # --- rooms ---------------------------------------------------------------------------------

    def enter(self, room: str, session: Session) -> None:
        """The session hears a room from now on."""
        if room == self._burst.room:
            self._end_burst()
        self._rooms[room][session.sid] = session
        session.rooms.add(room)

    def leave(self, room: str, session: Session) -> None:
        """The session does not hear a room any more."""
        if room == self._burst.room:
            self._catch_up(session)
        session.rooms.discard(room)
        members = self._rooms.get(room)
        if members is not None:
            members.pop(session.sid, None)
            if not members:
                del self._rooms[room]

    def leave_all(self, session: Session) -> None:
        """The session hears nothing any more."""
        for room in list(session.rooms):
            self.leave(room, session)

    def to_room(self, room: str, frame: bytes) -> None:
        """Queue an event for everybody who hears the room."""
        if room != self._burst.room or self._burst.size + len(frame) > FRAME_LIMIT:
            self._end_burst()
            self._burst.room = room
        self._burst.add(frame)

    def to_room_later(self, room: str, frame: bytes) -> None:
        """The same for an event that may wait for others for a moment."""
        self._end_burst()
        self._queue_for_later(self._hearing(room), frame)

    def presence(self, room: str, frame: bytes) -> None:
        """The same for a notice, and for those only who may read presence."""
        self._end_burst()
        self._queue_for_later([session for session in self._hearing(room) if session.sees_presence], frame)

    def _hearing(self, room: str) -> list[Session]:
        members = self._rooms.get(room)
        return list(members.values()) if members else []

    def _queue_for_later(self, sessions: list[Session], frame: bytes) -> None:
        if not self.gather_ms:
            self._queue(sessions, [frame], Due.NOW)
            return
        self._queue(sessions, [frame], Due.LATER)
        if self._later and self.later_due == float("inf"):
            self.later_due = self._clock() + LATER_TURNS * self.gather_ms / 1e3

    def _end_burst(self) -> None:
        """Whatever comes next comes after it for all its members."""
        if not self._burst.frames:
            return
        burst, self._burst = self._burst, Burst()
        members = self._hearing(burst.room)
        for session in burst.had:
            if burst.room in session.rooms:
                self._queue([session], burst.rest(session), Due.NOW)
        self._queue([session for session in members if session not in burst.had], burst.frames, Due.NOW)

    def _catch_up(self, session: Session) -> None:
        """The same for one session only."""
        if self._burst.frames and self._burst.room in session.rooms:
            self._queue([session], self._burst.rest(session), Due.NOW)

    def _queue(self, sessions: list[Session], frames: list[bytes], due: Due) -> None:
        self.delivered += len(sessions) * len(frames)
        size, limit = sum(map(len, frames)), self.outbox_bytes
        waiting = self._dirty if due is Due.NOW else self._later
        for session in sessions:
            session.outbox += frames
            session.outbox_bytes += size
            if session.outbox_bytes > limit:
                self._over_limit(session)
            if session.due < due:
                session.due = due
                waiting.append(session)

    def to_session(self, session: Session, frame: bytes) -> None:
        """Queue a frame for one session, unless it is closing."""
        self._catch_up(session)
        if session.phase in (Phase.OPENING, Phase.OPEN):
            self._append(session, frame)

    def goodbye(self, session: Session, frame: bytes) -> None:
        """Queue the last frame; after it the connection is closed, read or not."""
        self._catch_up(session)
        if session.phase in (Phase.OPENING, Phase.OPEN):
            self._append(session, frame)
            self._start_closing(session)

    def _start_closing(self, session: Session) -> None:
        session.phase = Phase.CLOSING
        session.close_by = self._clock() + LINGER_SECONDS
        self.closing.add(session)
        self.leave_all(session)

    def _append(self, session: Session, frame: bytes) -> None:
        session.outbox.append(frame)
        session.outbox_bytes += len(frame)
        if session.outbox_bytes > self.outbox_bytes and session.phase is Phase.OPEN:
            self._over_limit(session)
        self.touch(session)

    def _over_limit(self, session: Session) -> None:
        """Slow is who does not take what is sent, not who is sent much in one turn of the loop."""
        if not session.blocked:
            try:
                flush(session)
            except (OSError, ssl.SSLError, ChatdError):
                return  # the flush at the end of this turn meets it again and closes the session
        if session.outbox_bytes > self.outbox_bytes:
            self._too_slow(session)

    def _too_slow(self, session: Session) -> None:
        """Drop what waits: the client gets it again when it resumes from its cursor."""
        self.slow_consumers += 1
        log.warning("slow_consumer", user=session.name.user, device=session.name.device)
        error = ChatdError("E108", f"{session.outbox_bytes} bytes were waiting to be read")
        session.outbox = [encode(bye_frame(error, retry=True))]
        session.outbox_bytes = len(session.outbox[0])
        self._start_closing(session)

    # --- what is due ---------------------------------------------------------------------------

    def touch(self, session: Session) -> None:
        """See that the session is flushed at the end of this turn."""
        if session.due < Due.NOW:
            session.due = Due.NOW
            self._dirty.append(session)

    def take_dirty(self) -> list[Session]:
        """The sessions that something has to be sent to now."""
        self._end_burst()
        if self.later_due <= self._clock():
            self._end_waiting()
        dirty, self._dirty = self._dirty, []
        for session in dirty:
            session.due = Due.NOTHING
        return dirty

    def _end_waiting(self) -> None:
        later, self._later = self._later, []
        self.later_due = float("inf")
        for session in later:  # one that was sent to meanwhile has nothing left, or is in it twice
            if session.outbox or session.due is Due.LATER:
                self.touch(session)
