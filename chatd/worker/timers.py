"""The timers of a worker's sessions: one each, in one heap."""

from __future__ import annotations

import heapq
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime

from chatd.errors import ChatdError
from chatd.logs.logger import get_log
from chatd.pki.explain import expired
from chatd.proto.events import bye_frame
from chatd.proto.frames import encode
from chatd.worker.delivery import Delivery
from chatd.worker.session import SessionPhase, WorkerSession

log_audit = get_log("audit")

# How long a session waits to be admitted; a crashed hub is back within two seconds.
ADMISSION_SECONDS = 10.0
# How often closing sessions are checked.
CLOSING_CHECK_SECONDS = 0.25
_PING = encode({"type": "ping"})

Clock = Callable[[], float]


class Timers:
    """Ends sessions that are idle, not admitted, not closed in time, or whose certificate has expired.

    ``sessions`` by number. ``close`` ends a session's connection. ``idle``: seconds of silence allowed.
    ``wall`` is for certificates only, whose dates are wall-clock dates; a jump of that clock is noticed
    within ``idle`` seconds. Belongs to the worker's loop.
    """

    def __init__(
        self,
        sessions: Mapping[int, WorkerSession],
        delivery: Delivery,
        close: Callable[[WorkerSession], None],
        idle: float,
        clock: Clock = time.monotonic,
        wall: Clock = time.time,
    ) -> None:
        self.idle = idle
        self._sessions = sessions
        self._delivery = delivery
        self._close = close
        self._clock = clock
        self._wall = wall
        self._heap: list[tuple[float, int]] = []
        self._next_overdue = 0.0

    def start(self, session: WorkerSession) -> None:
        """Start the timer of a session that waits to be admitted."""
        now = self._clock()
        session.admit_by = now + ADMISSION_SECONDS
        self._set(session, min(session.admit_by, now + self.idle / 2))

    def until_next(self, limit: float) -> float:
        """Return the seconds until the next timer is due, at most ``limit``."""
        due = min(self._delivery.deferred_due, self._heap[0][0] if self._heap else float("inf"))
        return min(limit, max(0.0, due - self._clock()))

    def run(self) -> None:
        """Handle every timer that is due."""
        now = self._clock()
        self._close_overdue(now)
        while self._heap and self._heap[0][0] <= now:
            _, sid = heapq.heappop(self._heap)
            session = self._sessions.get(sid)
            if session is not None:
                self._check(session, now)

    def _set(self, session: WorkerSession, due: float) -> None:
        valid = max(0.0, session.valid_until - self._wall())
        heapq.heappush(self._heap, (min(due, self._clock() + valid), session.sid))

    def _close_overdue(self, now: float) -> None:
        """Close sessions that have not read their bye frame in time."""
        if self._delivery.closing and now >= self._next_overdue:
            self._next_overdue = now + CLOSING_CHECK_SECONDS
            for session in [s for s in self._delivery.closing if now >= s.close_by]:
                self._close(session)

    def _check(self, session: WorkerSession, now: float) -> None:
        if session.phase is SessionPhase.CLOSING:
            return
        if self._wall() >= session.valid_until:
            self._end_of_certificate(session)
        elif session.phase is SessionPhase.OPENING:
            self._not_admitted(session, now)
        else:
            self._check_idle(session, now)

    def _end_of_certificate(self, session: WorkerSession) -> None:
        error = expired(datetime.fromtimestamp(session.valid_until, UTC))
        log_audit.warning(
            "certificate_expired",
            user=session.who.user,
            device=session.who.device,
            code=error.code,
            why=error.reason,
        )
        # Let the client retry: this clock may be wrong for a moment, and TLS judges the next login.
        self._delivery.queue_bye(session, encode(bye_frame(error, retry=True)))

    def _not_admitted(self, session: WorkerSession, now: float) -> None:
        if now < session.admit_by:
            self._set(session, min(session.admit_by, now + self.idle / 2))
            return
        error = ChatdError("E502", "the hub does not answer", "try again in a moment")
        self._delivery.queue_bye(session, encode(bye_frame(error, retry=True)))

    def _check_idle(self, session: WorkerSession, now: float) -> None:
        silent = now - session.last_heard
        if silent >= self.idle:
            error = ChatdError("E106", f"nothing was heard for {round(silent)} seconds")
            self._delivery.queue_bye(session, encode(bye_frame(error, retry=True)))
        elif silent >= self.idle / 2:
            self._delivery.to_session(session, _PING)
            self._set(session, session.last_heard + self.idle)
        else:
            self._set(session, session.last_heard + self.idle / 2)
