"""Deliver frames to the sessions of each room and fill their outboxes. Runs in the worker's loop."""

from __future__ import annotations

import ssl
import time
from collections import defaultdict
from collections.abc import Callable

from chatd.errors import ChatdError
from chatd.link.arrivals import Arrivals
from chatd.logs.logger import get_log
from chatd.proto.events import bye_frame
from chatd.proto.frames import FRAME_LIMIT, encode
from chatd.worker.burst import Burst
from chatd.worker.flush import flush
from chatd.worker.session import Due, SessionPhase, WorkerSession

log = get_log("connections")

# Time for a client to read its bye frame before the connection is closed.
LINGER_SECONDS = 2.0
# Deferrable events (join, part, presence) are held this many gather intervals: 0.2 s by default, not at
# all without gathering.
DEFER_INTERVALS = 8
# They are sent earlier when no more arrive for so long; a rush of logins has shorter gaps.
DEFERRED_PAUSE_SECONDS = 0.05


class Delivery:
    """Owns the rooms' listeners and every session's outbox, of at most ``outbox_bytes`` each.

    Frames leave an outbox in the order in which they were queued. A deferred frame takes its place at once
    and is sent with the next urgent one, or when `deferred_due` has come. Consecutive events of a room are
    added to its members' outboxes together, as a burst.
    """

    def __init__(
        self, outbox_bytes: int, gather_ms: float = 0.0, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.outbox_bytes = outbox_bytes
        self.gather_ms = gather_ms
        # When the deferred frames must be sent, by ``clock``.
        self.deferred_due = float("inf")
        self._defer_until = float("inf")
        self._deferrable = Arrivals(DEFERRED_PAUSE_SECONDS)
        self._clock = clock
        self.delivered = 0
        self.slow_consumers = 0
        # Sessions whose bye frame is queued.
        self.closing: set[WorkerSession] = set()
        self._rooms: dict[str, dict[int, WorkerSession]] = defaultdict(dict)
        # Must be flushed to a member's outbox before anything else is queued for that member.
        self._burst = Burst()
        self._dirty: list[WorkerSession] = []
        self._deferred: list[WorkerSession] = []

    # --- rooms ---------------------------------------------------------------------------------

    def enter(self, room: str, session: WorkerSession) -> None:
        """Deliver a room's events to the session from now on."""
        if room == self._burst.room:
            self._flush_burst()
        self._rooms[room][session.sid] = session
        session.rooms.add(room)

    def leave(self, room: str, session: WorkerSession) -> None:
        """Stop delivering a room's events to the session."""
        if room == self._burst.room:
            self._flush_burst_to(session)
        session.rooms.discard(room)
        members = self._rooms.get(room)
        if members is not None:
            members.pop(session.sid, None)
            if not members:
                del self._rooms[room]

    def leave_all(self, session: WorkerSession) -> None:
        """Stop delivering any room's events to the session."""
        for room in list(session.rooms):
            self.leave(room, session)

    def to_room(self, room: str, frame: bytes) -> None:
        """Queue an event for every session in the room."""
        if room != self._burst.room or self._burst.size + len(frame) > FRAME_LIMIT:
            self._flush_burst()
            self._burst.room = room
        self._burst.add(frame)

    def to_room_deferred(self, room: str, frame: bytes) -> None:
        """Queue a deferrable event for every session in the room."""
        self._flush_burst()
        self._defer(self._members(room), frame)

    def presence(self, room: str, frame: bytes) -> None:
        """Queue a deferrable event for sessions in the room whose role may read presence."""
        self._flush_burst()
        self._defer([session for session in self._members(room) if session.sees_presence], frame)

    def _members(self, room: str) -> list[WorkerSession]:
        members = self._rooms.get(room)
        return list(members.values()) if members else []

    def _defer(self, sessions: list[WorkerSession], frame: bytes) -> None:
        if not self.gather_ms:
            self._queue(sessions, [frame], Due.NOW)
            return
        self._queue(sessions, [frame], Due.DEFERRED)
        now = self._clock()
        self._deferrable.arrived(1, now)
        if self._deferred:
            if self.deferred_due == float("inf"):
                self._defer_until = now + DEFER_INTERVALS * self.gather_ms / 1e3
            self.deferred_due = min(self._defer_until, self._deferrable.pause_at)

    def _flush_burst(self) -> None:
        """Flush the burst to every member's outbox."""
        if not self._burst.frames:
            return
        burst, self._burst = self._burst, Burst()
        members = self._members(burst.room)
        for session in burst.taken:
            if burst.room in session.rooms:
                self._queue([session], burst.take_rest(session), Due.NOW)
        self._queue([session for session in members if session not in burst.taken], burst.frames, Due.NOW)

    def _flush_burst_to(self, session: WorkerSession) -> None:
        """Flush the burst to one session's outbox."""
        if self._burst.frames and self._burst.room in session.rooms:
            self._queue([session], self._burst.take_rest(session), Due.NOW)

    def _queue(self, sessions: list[WorkerSession], frames: list[bytes], due: Due) -> None:
        self.delivered += len(sessions) * len(frames)
        size, limit = sum(map(len, frames)), self.outbox_bytes
        queue = self._dirty if due is Due.NOW else self._deferred
        for session in sessions:
            session.outbox += frames
            session.outbox_bytes += size
            if session.outbox_bytes > limit:
                self._over_limit(session)
            if session.due < due:
                session.due = due
                queue.append(session)

    def to_session(self, session: WorkerSession, frame: bytes) -> None:
        """Queue a frame for one session, unless it is closing."""
        self._flush_burst_to(session)
        if session.phase in (SessionPhase.OPENING, SessionPhase.OPEN):
            self._append(session, frame)

    def queue_bye(self, session: WorkerSession, frame: bytes) -> None:
        """Queue the last frame; the connection is closed once it is read, or after `LINGER_SECONDS`."""
        self._flush_burst_to(session)
        if session.phase in (SessionPhase.OPENING, SessionPhase.OPEN):
            self._append(session, frame)
            self._start_closing(session)

    def note_tls_output(self, session: WorkerSession) -> None:
        """Have the answers sent that OpenSSL has put in the outgoing BIO; they count as outbox."""
        if session.phase in (SessionPhase.OPENING, SessionPhase.OPEN):
            if _waiting_bytes(session) > self.outbox_bytes:
                self._over_limit(session)
            self.mark_dirty(session)

    def _start_closing(self, session: WorkerSession) -> None:
        session.phase = SessionPhase.CLOSING
        session.close_by = self._clock() + LINGER_SECONDS
        self.closing.add(session)
        self.leave_all(session)

    def _append(self, session: WorkerSession, frame: bytes) -> None:
        session.outbox.append(frame)
        session.outbox_bytes += len(frame)
        if session.outbox_bytes > self.outbox_bytes and session.phase is SessionPhase.OPEN:
            self._over_limit(session)
        self.mark_dirty(session)

    def _over_limit(self, session: WorkerSession) -> None:
        """Try a flush before declaring the client slow; one iteration may queue much for it."""
        if not session.blocked:
            try:
                flush(session)
            except (OSError, ssl.SSLError, ChatdError):
                return  # the flush at the end of this iteration fails too and closes the session
        if _waiting_bytes(session) > self.outbox_bytes:
            self._cut_slow(session)

    def _cut_slow(self, session: WorkerSession) -> None:
        """Replace the outbox with a bye frame; the client resumes from its cursor and loses nothing."""
        self.slow_consumers += 1
        log.warning("slow_consumer", user=session.who.user, device=session.who.device)
        error = ChatdError("E108", f"{_waiting_bytes(session)} bytes were waiting to be read")
        session.outbox = [encode(bye_frame(error, retry=True))]
        session.outbox_bytes = len(session.outbox[0])
        self._start_closing(session)

    # --- due sessions --------------------------------------------------------------------------

    def mark_dirty(self, session: WorkerSession) -> None:
        """Have the session flushed at the end of this iteration."""
        if session.due < Due.NOW:
            session.due = Due.NOW
            self._dirty.append(session)

    def take_dirty(self) -> list[WorkerSession]:
        """Return the sessions to flush now, and forget them."""
        self._flush_burst()
        if self.deferred_due <= self._clock():
            self._release_deferred()
        dirty, self._dirty = self._dirty, []
        for session in dirty:
            session.due = Due.NOTHING
        return dirty

    def _release_deferred(self) -> None:
        deferred, self._deferred = self._deferred, []
        self.deferred_due = float("inf")
        for session in deferred:  # a session flushed meanwhile has an empty outbox, or occurs twice
            if session.outbox or session.due is Due.DEFERRED:
                self.mark_dirty(session)


def _waiting_bytes(session: WorkerSession) -> int:
    return session.outbox_bytes + session.channel.outgoing_bytes
