"""What a connection's reader thread does with the frames it has opened."""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import TYPE_CHECKING

from chatd.crashpoints import crash_point
from chatd.errors import ChatdError
from chatd.proto.events import error_frame
from chatd.proto.frames import HEADER_SIZE, JsonObject, decode, encode, split
from chatd.proto.requests import RequestKind, Spec, parse_request, request_id_of
from chatd.worker.session import Phase, Session

if TYPE_CHECKING:
    from chatd.worker.worker import Loop

# Requests of one session that may wait for the hub, and their bytes; then its reader stops reading, and
# TCP stops the client. The client library keeps at most 64 in flight.
PENDING_LIMIT = 256
PENDING_BYTES = 128 * 1024
# A request this long is passed on as it is; a longer one without the spaces it may be padded with.
COMPACT_BYTES = 1024
PENDING_PAUSE_SECONDS = 0.005
# How long a session that is held back sleeps at most before it looks again.
HELD_BACK_LOOK_SECONDS = 0.5
# A wait shorter than this is not worth telling.
SLOWED_SECONDS = 1.0


class Dispatcher:
    """Shape, size and rate of requests; then on to the hub. Called by reader threads."""

    def __init__(self, loop: Loop) -> None:
        self._loop = loop

    def records(self, session: Session, records: Iterable[bytes]) -> None:
        """Handle records that came together. Raises E100 for one that does not hold whole frames."""
        try:
            for plain in records:
                for payload in split(plain):
                    self._frame(session, payload)
                    if session.gone.is_set():
                        return
        finally:
            self._let_go()

    def _let_go(self) -> None:
        """What was passed on so far leaves: it must not wait for a client that is made to wait."""
        self._loop.hub.send()
        crash_point("worker.request.after_hub")

    def _frame(self, session: Session, payload: bytes) -> None:
        message: JsonObject = {}
        try:
            message = decode(payload)
            request = parse_request(message)
            if session.phase is not Phase.OPEN:
                raise ChatdError("E105", "the server has not said welcome yet")
            self._throttle(session, request.spec.cost)
            if request.spec.kind is RequestKind.WORKER:
                self._answer_ping(session, request.id)
            else:
                if len(payload) > COMPACT_BYTES:
                    payload = encode(message)[HEADER_SIZE:]
                self._pass_on(session, request.id, payload, request.spec)
        except ChatdError as error:
            # A malformed request costs as much as a message, so that nobody can flood with them.
            self._throttle(session, 1.0)
            self._loop.post(session, encode(error_frame(request_id_of(message), error)))
        session.heard = time.monotonic()

    def _answer_ping(self, session: Session, label: int) -> None:
        reply = {"type": "ok", "id": label, "result": {"time": time.time_ns() // 1_000_000}}
        self._loop.post(session, encode(reply))

    def _pass_on(self, session: Session, label: int, payload: bytes, spec: Spec) -> None:
        while not _has_room(session, spec):
            self._let_go()
            if session.gone.wait(PENDING_PAUSE_SECONDS):
                break
            session.heard = time.monotonic()
        if session.phase is not Phase.OPEN:
            return  # it ended while it was held back
        crash_point("worker.request.before_hub")
        if not self._loop.hub.request(session, label, payload, spec):
            raise ChatdError("E105", f"the label {label} is in use by a request under way")

    def _throttle(self, session: Session, cost: float) -> None:
        """Hold the session back instead of refusing: nothing is lost or reordered (as ergo's fakelag)."""
        wait = session.bucket.take(time.monotonic(), cost)
        if wait <= 0:
            session.slowed = False
            return
        self._let_go()
        while wait > 0:
            # Looked at in each round: a change of the role can make a short wait a long one.
            if wait >= SLOWED_SECONDS and not session.slowed:
                session.slowed = True
                self._loop.post(session, encode({"type": "slowed", "seconds": round(wait)}))
            if session.gone.wait(min(wait, HELD_BACK_LOOK_SECONDS)):
                return
            # Who is held back by us is not idle.
            session.heard = time.monotonic()
            wait = session.bucket.take(session.heard, cost)


def _has_room(session: Session, spec: Spec) -> bool:
    """Whether one more request may wait for the hub. One page at a time: pages are large, and a burst
    of requests for them must hold up nobody but the session itself."""
    if spec.kind is RequestKind.READ and session.reading:
        return False
    return len(session.pending) < PENDING_LIMIT and session.pending_bytes < PENDING_BYTES
