"""Outgoing frames: who is in which room, the outboxes, and the one place that writes to sockets.

Everything here runs on the worker's loop. One flush seals all that waits for a connection as one
envelope record, writes it once to TLS and sends it once: the cost is per connection and turn of the
loop, not per message. `flush_all` takes each of these steps for many connections before the next.
"""

from __future__ import annotations

import socket
import ssl
import time
from collections import defaultdict
from collections.abc import Callable, Sequence

from chatd.errors import ChatdError
from chatd.faults import crash_point
from chatd.logs.records import get_log
from chatd.proto.events import bye_frame
from chatd.proto.frames import FRAME_LIMIT, encode
from chatd.worker.session import Due, Phase, Session

log = get_log("connections")
log_errors = get_log("errors")

# How long a session that is told goodbye may take to read it.
LINGER_SECONDS = 2.0
# Connections that are sealed together before the first of them is sent: enough for the steps to stay in
# the processor's caches, few enough for the sealed copies of full outboxes (at most 8 MiB).
TOGETHER = 64
# How long an event that may wait does, in turns of the hub's gathering: 0.2 s by default, not at all where
# that is off.
LATER_TURNS = 20
_NO_BYTES = b""


class Delivery:
    """Owns the rooms and every session's outbox. ``outbox_bytes`` is the most that may wait for one.

    Frames leave a session's outbox in the order in which they were queued: one that may wait takes its
    place at once, and goes with the next that may not, at the latest when `later_due` has come.
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
        self._dirty: list[Session] = []
        self._later: list[Session] = []

    # --- rooms ---------------------------------------------------------------------------------

    def enter(self, room: str, session: Session) -> None:
        """The session hears a room from now on."""
        self._rooms[room][session.sid] = session
        session.rooms.add(room)

    def leave(self, room: str, session: Session) -> None:
        """The session does not hear a room any more."""
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
        self._queue(self._hearing(room), frame, Due.NOW)

    def to_room_later(self, room: str, frame: bytes) -> None:
        """The same for an event that may wait for others for a moment."""
        self._queue_for_later(self._hearing(room), frame)

    def presence(self, room: str, frame: bytes) -> None:
        """The same for a notice, and for those only who may read presence."""
        self._queue_for_later([session for session in self._hearing(room) if session.sees_presence], frame)

    def _hearing(self, room: str) -> list[Session]:
        members = self._rooms.get(room)
        return list(members.values()) if members else []

    def _queue_for_later(self, sessions: list[Session], frame: bytes) -> None:
        if not self.gather_ms:
            self._queue(sessions, frame, Due.NOW)
            return
        self._queue(sessions, frame, Due.LATER)
        if self._later and self.later_due == float("inf"):
            self.later_due = self._clock() + LATER_TURNS * self.gather_ms / 1e3

    def _queue(self, sessions: list[Session], frame: bytes, due: Due) -> None:
        self.delivered += len(sessions)
        size, limit = len(frame), self.outbox_bytes
        waiting = self._dirty if due is Due.NOW else self._later
        for session in sessions:
            session.outbox.append(frame)
            session.outbox_bytes += size
            if session.outbox_bytes > limit:
                self._over_limit(session)
            if session.due < due:
                session.due = due
                waiting.append(session)

    def to_session(self, session: Session, frame: bytes) -> None:
        """Queue a frame for one session, unless it is closing."""
        if session.phase in (Phase.OPENING, Phase.OPEN):
            self._append(session, frame)

    def goodbye(self, session: Session, frame: bytes) -> None:
        """Queue the last frame; after it the connection is closed, read or not."""
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
                self.flush(session)
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

    # --- writing -------------------------------------------------------------------------------

    def touch(self, session: Session) -> None:
        """See that the session is flushed at the end of this turn."""
        if session.due < Due.NOW:
            session.due = Due.NOW
            self._dirty.append(session)

    def take_dirty(self) -> list[Session]:
        """The sessions that something has to be sent to now."""
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

    def flush_all(self, sessions: Sequence[Session], failed: Callable[[Session], None]) -> list[Session]:
        """Send what waits for many open sessions; those that `flush` has to look at besides.

        One step for all, then the next: the interpreter, OpenSSL and the kernel's TCP together do not fit
        the caches of a core, and taking turns connection by connection costs half as much again
        (docs/performance.md). ``failed`` is called for a session that has to be closed.
        """
        left: list[Session] = []
        for start in range(0, len(sessions), TOGETHER):
            payloads = _payloads(sessions[start : start + TOGETHER], left)
            sealed = _each(payloads, _sealed, failed)
            crash_point("worker.flush.sealed")
            for session, data in _each(sealed, _protected, failed):
                session.unsent = data
                try:
                    if not _send(session):
                        left.append(session)
                except OSError:
                    failed(session)
        return left

    def flush(self, session: Session) -> bool:
        """Send what waits; whether the socket took everything. Raises OSError, ssl.SSLError."""
        while True:
            if session.unsent and not _send(session):
                return False
            data = self._seal(session)
            if not data:
                return True
            session.unsent = data

    def _seal(self, session: Session) -> bytes:
        waiting = session.outbox
        if not waiting:
            if session.channel.wants_to_send:
                return session.channel.take_outgoing()
            return _NO_BYTES
        if session.outbox_bytes <= FRAME_LIMIT:
            payload = waiting[0] if len(waiting) == 1 else b"".join(waiting)
            session.outbox = []
            session.outbox_bytes = 0
        else:
            payload = _first_record(session)
        return session.channel.protect(session.sealer.seal(payload))


_Lot = list[tuple[Session, bytes]]


def _payloads(sessions: Sequence[Session], left: list[Session]) -> _Lot:
    """What waits for each, joined, its outbox emptied; who needs more than one record is ``left``."""
    lot: _Lot = []
    joined, payload = [_NO_BYTES], _NO_BYTES
    for session in sessions:
        waiting = session.outbox
        if session.phase is not Phase.OPEN or session.unsent or not 0 < session.outbox_bytes <= FRAME_LIMIT:
            left.append(session)
            continue
        # The members of a room mostly wait for the very same frames: joined once for all of them.
        if waiting != joined:
            joined, payload = waiting, waiting[0] if len(waiting) == 1 else b"".join(waiting)
        session.outbox = []
        session.outbox_bytes = 0
        lot.append((session, payload))
    return lot


def _each(lot: _Lot, step: Callable[[Session, bytes], bytes], failed: Callable[[Session], None]) -> _Lot:
    done: _Lot = []
    for session, data in lot:
        try:
            done.append((session, step(session, data)))
        except (ssl.SSLError, ChatdError):
            failed(session)
    return done


def _sealed(session: Session, payload: bytes) -> bytes:
    return session.sealer.seal(payload)


def _protected(session: Session, record: bytes) -> bytes:
    return session.channel.protect(record)


def _first_record(session: Session) -> bytes:
    """As many frames from the front of the outbox as fit one record."""
    size = count = 0
    for frame in session.outbox:
        if size + len(frame) > FRAME_LIMIT:
            break
        size += len(frame)
        count += 1
    payload = b"".join(session.outbox[:count])
    del session.outbox[:count]
    session.outbox_bytes -= size
    return payload


def _send(session: Session) -> bool:
    try:
        sent = session.sock.send(session.unsent, socket.MSG_DONTWAIT)
    except BlockingIOError:
        return False
    crash_point("worker.flush.sent")
    session.unsent = session.unsent[sent:] if sent < len(session.unsent) else _NO_BYTES
    return not session.unsent


def farewell(session: Session) -> None:
    """The authenticated close of the envelope and of TLS, if the socket takes them at once."""
    try:
        data = session.channel.protect(session.sealer.close()) + session.channel.farewell()
        if not session.unsent:
            session.sock.send(data, socket.MSG_DONTWAIT)
    except (OSError, ssl.SSLError, ValueError, ChatdError):
        pass
