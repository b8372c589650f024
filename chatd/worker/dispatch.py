"""Check the requests of a record and pass them to the hub. Called by reader threads."""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import TYPE_CHECKING

from chatd.crashpoints import crash_point
from chatd.errors import ChatdError
from chatd.policy.long_texts import LINE_CHARS_LIMIT, refuse_mark_runs
from chatd.proto.events import error_frame
from chatd.proto.frames import HEADER_SIZE, JsonObject, decode, encode, split
from chatd.proto.request_base import RequestKind, Spec, TextRequest
from chatd.proto.requests import REQUESTS, parse_request, request_id_of
from chatd.worker.session import SessionPhase, WorkerSession

if TYPE_CHECKING:
    from chatd.worker.worker import Worker

# Limits for one session's requests that wait for the hub. At either the reader stops reading, and TCP
# stops the client. The client library keeps at most 64 requests in flight.
PENDING_LIMIT = 256
PENDING_BYTES = 128 * 1024
# A longer request is re-encoded, which removes padding. A message up to this costs one token.
COMPACT_BYTES = 1024
# The rows of messages and edits.
_MESSAGES = {kind: model.spec for kind, model in REQUESTS.items() if model.spec.kind is RequestKind.SEND}
PENDING_PAUSE_SECONDS = 0.005
# A throttled session checks this often whether its role's rate has changed.
THROTTLE_CHECK_SECONDS = 0.5
# The client is told of waits from this length on.
SLOWED_SECONDS = 1.0


class Dispatcher:
    """Checks requests' shape, size and rate, then passes them on."""

    def __init__(self, worker: Worker) -> None:
        self._worker = worker

    def records(self, session: WorkerSession, records: Iterable[bytes]) -> int:
        """Handle records that were read together; return the number of their frames.

        Raises E100 unless each record holds whole frames.
        """
        frames = 0
        try:
            for plain in records:
                for payload in split(plain):
                    self._frame(session, payload)
                    frames += 1
                    if session.ended.is_set():
                        return frames
        finally:
            self._send()
        return frames

    def charge(self, session: WorkerSession, records: int) -> None:
        """Delay the session for records read together that held no frame.

        Each costs as much as a message, all of them a burst at most, so that the reader comes back to the
        socket and notices its end.
        """
        if records > 0:
            self._throttle_here(session, float(records))

    def _send(self) -> None:
        """Send the requests passed on so far."""
        self._worker.hub.send()
        crash_point("worker.request.after_hub")

    def _frame(self, session: WorkerSession, payload: bytes) -> None:
        message: JsonObject = {}
        try:
            message = decode(payload)
            request_id, spec, cost = _outline(message, len(payload))
            if session.phase is not SessionPhase.OPEN:
                raise ChatdError("E105", "the server has not said welcome yet")
            if spec.kind is RequestKind.WORKER:
                self._throttle_here(session, cost)
                self._answer_ping(session, request_id)
            else:
                self._throttle(session, cost)
                if len(payload) > COMPACT_BYTES:
                    payload = encode(message)[HEADER_SIZE:]
                self._pass_on(session, request_id, payload, spec)
        except ChatdError as error:
            # A malformed request costs as much as a message.
            self._throttle_here(session, 1.0)
            self._worker.post(session, encode(error_frame(request_id_of(message), error)))
        session.last_heard = time.monotonic()

    def _answer_ping(self, session: WorkerSession, request_id: int) -> None:
        reply = {"type": "ok", "id": request_id, "result": {"time": time.time_ns() // 1_000_000}}
        self._worker.post(session, encode(reply))

    def _pass_on(self, session: WorkerSession, request_id: int, payload: bytes, spec: Spec) -> None:
        while not _has_capacity(session, spec):
            self._send()
            if session.ended.wait(PENDING_PAUSE_SECONDS):
                break
            session.last_heard = time.monotonic()
        if session.phase is not SessionPhase.OPEN:
            return  # it ended while it was throttled
        crash_point("worker.request.before_hub")
        if not self._worker.hub.request(session, request_id, payload, spec):
            raise ChatdError("E105", f"the id {request_id} is in use by a request under way")

    def _throttle_here(self, session: WorkerSession, cost: float) -> None:
        """Delay the session for something the hub does not see, and report it in whole tokens."""
        self._throttle(session, cost)
        session.unreported_cost += min(cost, session.bucket.burst)
        if session.unreported_cost >= 1.0:
            self._worker.hub.charge(session, round(session.unreported_cost, 3))
            session.unreported_cost = 0.0

    def _throttle(self, session: WorkerSession, cost: float) -> None:
        """Delay the session instead of refusing, so that nothing is lost or reordered (as ergo's fakelag)."""
        wait = session.bucket.take(time.monotonic(), cost)
        if wait <= 0:
            session.told_slowed = False
            return
        self._send()  # earlier requests must not wait with this one
        while wait > 0:
            # Check in each round: a change of role can make a short wait a long one.
            if wait >= SLOWED_SECONDS and not session.told_slowed:
                session.told_slowed = True
                self._worker.post(session, encode({"type": "slowed", "seconds": round(wait)}))
            if session.ended.wait(min(wait, THROTTLE_CHECK_SECONDS)):
                return
            # A throttled session is not idle.
            session.last_heard = time.monotonic()
            wait = session.bucket.take(session.last_heard, cost)


def _outline(message: JsonObject, size: int) -> tuple[int, Spec, float]:
    """Return a request's id, row and cost. Raises E102, E103, and E402 for runs of marks in a long text.

    The fields of a short message are left to the hub, which must not trust a worker and parses every request.
    """
    kind = message.get("type")
    spec = _MESSAGES.get(kind) if size <= COMPACT_BYTES and isinstance(kind, str) else None
    if spec is not None and (request_id := request_id_of(message)):
        return request_id, spec, spec.cost
    request = parse_request(message)
    if isinstance(request, TextRequest) and len(request.body) > LINE_CHARS_LIMIT:
        refuse_mark_runs(request.body)
    return request.id, request.spec, request.cost


def _has_capacity(session: WorkerSession, spec: Spec) -> bool:
    """Whether one more request may wait for the hub.

    A session gets one page at a time: pages are large, and a burst of them must delay nobody else.
    """
    if spec.kind is RequestKind.READ and session.read_request_id:
        return False
    return len(session.pending) < PENDING_LIMIT and session.pending_bytes < PENDING_BYTES
