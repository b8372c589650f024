"""What is due in a worker's sessions, and when: one timer each, in one heap."""

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
from chatd.worker.session import Phase, Session

log_security = get_log("security")

# How long a session may wait for the hub's word; the hub is back from a crash in two seconds.
ADMISSION_SECONDS = 10.0
# How often closing sessions are looked at.
OVERDUE_SECONDS = 0.25
_PING = encode({"type": "ping"})

Clock = Callable[[], float]


class Timers:
    """``sessions`` by number; ``close`` ends a session's connection; ``idle``: seconds of silence
    after which a session is given up. Belongs to the worker's loop.

    ``wall`` judges certificates only: their dates are dates. A timer is set for the end of the certificate;
    after a jump of the clock it is noticed at the next look, which is never more than ``idle`` away.
    """

    def __init__(
        self,
        sessions: Mapping[int, Session],
        delivery: Delivery,
        close: Callable[[Session], None],
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

    def started(self, session: Session) -> None:
        """It waits to be admitted; its timer goes on from one look to the next until it is gone."""
        now = self._clock()
        session.admit_by = now + ADMISSION_SECONDS
        self._set(session, min(session.admit_by, now + self.idle / 2))

    def until_next(self, most: float) -> float:
        """Seconds until something is due, at most ``most``."""
        due = min(self._delivery.later_due, self._heap[0][0] if self._heap else float("inf"))
        return min(most, max(0.0, due - self._clock()))

    def run(self) -> None:
        """Do what is due."""
        now = self._clock()
        self._close_overdue(now)
        while self._heap and self._heap[0][0] <= now:
            _, sid = heapq.heappop(self._heap)
            session = self._sessions.get(sid)
            if session is not None:
                self._look_after(session, now)

    def _set(self, session: Session, due: float) -> None:
        valid = max(0.0, session.ends - self._wall())
        heapq.heappush(self._heap, (min(due, self._clock() + valid), session.sid))

    def _close_overdue(self, now: float) -> None:
        """Whoever was told goodbye and has not read it in time is closed, read or not."""
        if self._delivery.closing and now >= self._next_overdue:
            self._next_overdue = now + OVERDUE_SECONDS
            for session in [s for s in self._delivery.closing if now >= s.close_by]:
                self._close(session)

    def _look_after(self, session: Session, now: float) -> None:
        """A session's timer is due: is it entitled, admitted, alive, gone in time?"""
        if session.phase is Phase.CLOSING:
            return
        if self._wall() >= session.ends:
            self._end_of_certificate(session)
        elif session.phase is Phase.OPENING:
            self._not_admitted(session, now)
        else:
            self._listen_for(session, now)

    def _end_of_certificate(self, session: Session) -> None:
        error = expired(datetime.fromtimestamp(session.ends, UTC))
        log_security.warning(
            "certificate_expired",
            user=session.name.user,
            device=session.name.device,
            code=error.code,
            why=error.reason,
        )
        # Not for good: this clock may be wrong for a moment. Whoever comes back is judged anew, by TLS.
        self._delivery.goodbye(session, encode(bye_frame(error, retry=True)))

    def _not_admitted(self, session: Session, now: float) -> None:
        if now < session.admit_by:
            self._set(session, min(session.admit_by, now + self.idle / 2))
            return
        error = ChatdError("E502", "the hub does not answer", "try again in a moment")
        self._delivery.goodbye(session, encode(bye_frame(error, retry=True)))

    def _listen_for(self, session: Session, now: float) -> None:
        silent = now - session.heard
        if silent >= self.idle:
            error = ChatdError("E106", f"nothing was heard for {round(silent)} seconds")
            self._delivery.goodbye(session, encode(bye_frame(error, retry=True)))
        elif silent >= self.idle / 2:
            self._delivery.to_session(session, _PING)
            self._set(session, session.heard + self.idle)
        else:
            self._set(session, session.heard + self.idle / 2)
