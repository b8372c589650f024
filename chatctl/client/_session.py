"""A client's session without I/O: decides which frames to send and turns frames into events.

The engine feeds decoded frames in and sends the frames that come out. Time is passed in, in seconds
of a monotonic clock. One `ClientSession` lives as long as its `Client`, across connections.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Any, ClassVar

from chatctl.client._notices import (
    ANYWAY,
    Acknowledged,
    AnyEvent,
    CaughtUp,
    Connected,
    Refused,
    Restored,
    Sent,
    SentResult,
    abandon,
    acknowledge,
    refuse,
    settle,
)
from chatd.errors import ChatdError
from chatd.proto import events as ev
from chatd.proto.frames import JsonObject
from chatd.proto.lineage import Branch, common_point

# Messages sent ahead of their replies: enough to hide a round trip, few enough to notice a refusal early.
IN_FLIGHT_LIMIT = 64
# Refusals that mean "not now": the message is sent again with the same msg_id.
SEND_AGAIN = frozenset({"E502", "E503", "E504", "E506"})
SEND_AGAIN_DELAY = 0.5
# Nobody frees a full disk (E504) or mends a cluster (E506) in half a second, and a thousand clients may ask.
READ_ONLY = frozenset({"E504", "E506"})
READ_ONLY_DELAY = 5.0
# Silence this much longer than the server's idle limit means that the server or the path to it is gone.
SILENCE_GRACE = 5.0
WELCOME_TIMEOUT = 10.0
_TICK_WHILE_OFFLINE = 60.0


class ConnectionPhase(Enum):
    """The progress of the current connection."""

    OFFLINE = auto()
    GREETING = auto()  # waiting for the welcome
    RESUMING = auto()  # welcomed, waiting for the first page of missed events
    READY = auto()


@dataclass(eq=False)
class PendingRequest:
    """A request that a caller waits for."""

    kind: str
    fields: JsonObject
    reply: Future[JsonObject] = field(default_factory=Future)


class ByeReceived(Exception):
    """The server ended the connection; ``retry``: whether to connect again, ``after``: in so many seconds."""

    def __init__(self, error: ChatdError, retry: bool, after: int | None = None) -> None:
        super().__init__(str(error))
        self.error = error
        self.retry = retry
        self.after = after


class ClientSession:
    """Requests, messages in flight, resuming, and keep-alive.

    ``live``: whether the caller wants events of rooms. ``cursor``: the seq up to which events were
    delivered in earlier runs; None starts at the head of the first welcome. ``lineage``: that of the
    log the cursor belongs to.
    """

    def __init__(
        self, *, live: bool = True, cursor: int | None = None, lineage: tuple[Branch, ...] = ()
    ) -> None:
        self.live = live
        self.cursor = cursor
        self.lineage = lineage
        self.phase = ConnectionPhase.OFFLINE
        self._authority_changed = False
        self.welcome: ev.Welcome | None = None
        self._request_id = 0
        self._order = 0
        self._queued_requests: deque[PendingRequest] = deque()
        self._queued_messages: deque[Sent] = deque()
        self._requests: dict[int, PendingRequest] = {}
        self._in_flight: dict[int, Sent] = {}
        self._resume_id: int | None = None
        self._page_due = False
        # Pings and resumes, which may go out before the session is ready.
        self._control: list[JsonObject] = []
        self._send_after = 0.0
        self._last_heard = 0.0
        self._ping_sent = False

    @property
    def online(self) -> bool:
        """Whether the current connection was welcomed."""
        return self.phase in (ConnectionPhase.RESUMING, ConnectionPhase.READY)

    @property
    def awaits_reply(self) -> bool:
        return bool(self._requests or self._in_flight)

    # -- the caller's commands

    def ask(self, request: PendingRequest) -> None:
        """Queue a request."""
        self._queued_requests.append(request)

    def send(self, sent: Sent) -> None:
        """Queue a message behind those before it."""
        self._order += 1
        sent.order = self._order
        self._queued_messages.append(sent)

    # -- the connection

    def opened(self, now: float) -> None:
        """Note that a connection is established and expect its welcome."""
        self.phase = ConnectionPhase.GREETING
        self._last_heard = now
        self._ping_sent = False

    def closed(self) -> None:
        """Note that the connection is gone; requeue what may be sent again."""
        self.phase = ConnectionPhase.OFFLINE
        self._resume_id, self._page_due = None, False
        self._control.clear()
        # Sorted, because messages refused with "not now" are queued already.
        self._queued_messages = _in_order([*self._in_flight.values(), *self._queued_messages])
        self._in_flight.clear()
        for request in reversed(self._requests.values()):
            if request.reply.done():
                continue
            if _is_repeatable(request.kind):
                self._queued_requests.appendleft(request)
            else:
                reason = f"the connection was cut while the server worked on: {request.kind}"
                settle(request.reply, ChatdError("E503", reason))
        self._requests.clear()

    def abandon(self, error: ChatdError) -> None:
        """Fail everything that waits: there will be no further connection."""
        self.closed()
        while self._queued_requests:
            settle(self._queued_requests.popleft().reply, error)
        for sent in self._queued_messages:
            abandon(sent, error)

    def not_reading(self, now: float) -> None:
        """Ignore the silence so far: nothing is read while the caller is behind."""
        self._last_heard = now

    def outgoing(self, now: float, *, space: bool = True) -> list[JsonObject]:
        """The frames to send now, in order. ``space``: whether the caller can take a page of events."""
        if self._page_due and space:
            self._ask_resume()
        frames, self._control = self._control, []
        if self.phase is not ConnectionPhase.READY:
            return frames
        while self._queued_requests:
            request = self._queued_requests.popleft()
            if not request.reply.done():
                request_id = self._next_request_id()
                self._requests[request_id] = request
                frames.append({"type": request.kind, "id": request_id, **request.fields})
        while self._queued_messages and len(self._in_flight) < IN_FLIGHT_LIMIT and now >= self._send_after:
            sent = self._queued_messages.popleft()
            request_id = self._next_request_id()
            self._in_flight[request_id] = sent
            frames.append(self._for_server(send_frame(request_id, sent)))
        return frames

    def _for_server(self, frame: JsonObject) -> JsonObject:
        """Leave out what a server before snippets would refuse."""
        known = self.welcome is None or self.welcome.limits.snippet_bytes
        if not known and frame.get("kind") == "snippet":
            del frame["kind"]
        return frame

    def tick(self, now: float) -> float:
        """Send a ping where due; returns seconds until the next tick. Raises E106 for a silent server."""
        if self.phase is ConnectionPhase.OFFLINE:
            return _TICK_WHILE_OFFLINE
        silent = now - self._last_heard
        greeting = self.phase is ConnectionPhase.GREETING
        idle = float(self.welcome.limits.idle_seconds) if self.welcome else WELCOME_TIMEOUT
        limit = WELCOME_TIMEOUT if greeting else idle + SILENCE_GRACE
        if silent >= limit:
            raise ChatdError("E106", f"nothing was heard from the server for {silent:.0f} seconds")
        if not greeting and silent >= idle / 2 and not self._ping_sent:
            self._ping()
            self._ping_sent = True
        waits = [limit - silent]
        if not self._ping_sent:
            waits.append(max(idle / 2 - silent, 0.0))
        if self._queued_messages and self._send_after > now:
            waits.append(self._send_after - now)
        return max(min(waits), 0.01)

    def receive(self, message: JsonObject, now: float) -> list[AnyEvent]:
        """The caller's events for a frame. Raises E100 for a malformed one, `ByeReceived` for a bye."""
        self._last_heard = now
        self._ping_sent = False
        parsed = ev.parse_from_server(message)
        if parsed is None:
            return []
        if self.phase is ConnectionPhase.GREETING and not isinstance(parsed, ev.Welcome | ev.Bye):
            raise ChatdError("E100", f"the server sent {parsed.type} before its welcome")
        if (handle := self._HANDLERS.get(type(parsed))) is not None:
            return handle(self, parsed, now)
        if isinstance(parsed, ev.Logged):
            return self._logged(parsed)
        return [parsed]  # type: ignore[list-item]  # Presence, Standing, Slowed, Isolated: the table has the others

    # -- handlers of frames

    def take_authority_changed(self) -> bool:
        """Whether the server has said since the last call that it has a new CA."""
        changed, self._authority_changed = self._authority_changed, False
        return changed

    def _on_authority_changed(self, event: ev.AuthorityChanged, now: float) -> list[AnyEvent]:
        self._authority_changed = True
        return []

    def _on_welcome(self, welcome: ev.Welcome, now: float) -> list[AnyEvent]:
        if self.phase is not ConnectionPhase.GREETING:
            raise ChatdError("E100", "the server sent a second welcome")
        self.welcome = welcome
        events: list[AnyEvent] = [Connected(welcome)]
        if self.cursor is not None and (seq := last_common(self.cursor, self.lineage, welcome)) is not None:
            self.cursor = min(self.cursor, seq)
            events.append(Restored(seq))
        if self.cursor is None and self.live:
            # The caller counts on events from this welcome on, even if the connection is cut before
            # the resume is answered.
            self.cursor = welcome.head
        self.lineage = tuple(welcome.lineage) or self.lineage
        self.phase = ConnectionPhase.RESUMING if self.live else ConnectionPhase.READY
        if self.live:
            self._ask_resume()
        return events

    def _on_lagged(self, event: ev.Lagged, now: float) -> list[AnyEvent]:
        if self.live and self._resume_id is None:
            self._ask_resume()
        return [event]

    def _on_ping(self, event: ev.PingEvent, now: float) -> list[AnyEvent]:
        self._ping()
        return []

    def _on_bye(self, bye: ev.Bye, now: float) -> list[AnyEvent]:
        raise ByeReceived(error_of(bye), bye.retry, bye.retry_after)

    def _on_ok(self, reply: ev.Ok, now: float) -> list[AnyEvent]:
        if reply.id == self._resume_id:
            return self._resumed(reply.result)
        if (sent := self._in_flight.pop(reply.id, None)) is not None:
            acknowledge(sent, sent_result(reply.result))
            return [Acknowledged(sent)]
        if (request := self._requests.pop(reply.id, None)) is not None:
            settle(request.reply, reply.result)
        return []

    def _on_error(self, reply: ev.Error, now: float) -> list[AnyEvent]:
        error = error_of(reply)
        if reply.id == self._resume_id:
            raise error
        if (sent := self._in_flight.pop(reply.id, None)) is not None:
            if error.code in SEND_AGAIN:
                sent.put_off = error
                self._queued_messages = _in_order([*self._queued_messages, sent])
                self._send_after = now + (READ_ONLY_DELAY if error.code in READ_ONLY else SEND_AGAIN_DELAY)
                return []
            refuse(sent, error)
            return [Refused(sent, error)]
        if (request := self._requests.pop(reply.id, None)) is not None:
            settle(request.reply, error)
        return []

    def _ping(self) -> None:
        self._control.append({"type": "ping", "id": self._next_request_id()})

    def _ask_resume(self) -> None:
        self._resume_id, self._page_due = self._next_request_id(), False
        frame: JsonObject = {"type": "resume", "id": self._resume_id}
        if self.cursor is not None:
            frame["after"] = self.cursor
        self._control.append(frame)

    def _resumed(self, result: JsonObject) -> list[AnyEvent]:
        self._resume_id = None
        events, cursor, more = result.get("events"), result.get("cursor"), result.get("more")
        if not isinstance(events, list) or not isinstance(cursor, int) or not isinstance(more, bool):
            raise ChatdError("E100", "the server sent a malformed result of resume")
        delivered: list[AnyEvent] = []
        for item in events:
            parsed = ev.parse_from_server(item) if isinstance(item, dict) else None
            if isinstance(parsed, ev.Logged):
                delivered += self._logged(parsed)
        if more and self.cursor is not None and cursor <= self.cursor and not delivered:
            raise ChatdError("E100", "the server's resume makes no progress")
        self.cursor = max(cursor, self.cursor or 0)
        # Requests wait until here: events caused before the session is live could fall into the gap
        # between the page read from the log and the live events.
        self.phase = ConnectionPhase.READY
        if more:
            self._page_due = True
        else:
            delivered.append(CaughtUp(self.cursor))
        return delivered

    def _logged(self, event: ev.Logged) -> list[AnyEvent]:
        """Deliver a logged event unless it was delivered before."""
        if self.cursor is not None and event.seq <= self.cursor:
            return []
        self.cursor = event.seq
        return [event]  # type: ignore[list-item]  # every subclass of Logged is part of AnyEvent

    def _next_request_id(self) -> int:
        self._request_id += 1
        return self._request_id

    _HANDLERS: ClassVar[dict[type[Any], Callable[[ClientSession, Any, float], list[AnyEvent]]]] = {
        ev.Welcome: _on_welcome,
        ev.Ok: _on_ok,
        ev.Error: _on_error,
        ev.PingEvent: _on_ping,
        ev.Lagged: _on_lagged,
        ev.AuthorityChanged: _on_authority_changed,
        ev.Bye: _on_bye,
    }


def _is_repeatable(kind: str) -> bool:
    """Return whether a request may be sent again after a cut connection."""
    # Few connections are cut, and loading the table takes as long as the start of a program.
    from chatd.proto.requests import REQUESTS

    return kind in REQUESTS and REQUESTS[kind].spec.repeatable


def _in_order(messages: list[Sent]) -> deque[Sent]:
    return deque(sorted(messages, key=lambda sent: sent.order))


def last_common(cursor: int, lineage: tuple[Branch, ...], welcome: ev.Welcome) -> int | None:
    """The last seq that the cursor's log shares with the server's; None if all up to ``cursor`` is shared.

    A cursor beyond it would skip the new log's events up to there. A node of a cluster may be behind the one
    before it; its log is the same, and the events up to the cursor are not shown again when it gets them.
    """
    seq = common_point(lineage, welcome.lineage)
    if welcome.clustered:
        return seq
    if seq is None and cursor > welcome.head:
        return welcome.head  # the log is shorter than the cursor: an old copy was put back by hand
    return None if seq is None else min(seq, welcome.head)


def send_frame(request_id: int, sent: Sent) -> JsonObject:
    """The request that sends a message or an edit."""
    if sent.edits is not None:
        edit: JsonObject = {"type": "edit", "id": request_id, "msg_id": sent.msg_id}
        return edit | {"room": sent.to, "seq": sent.edits, "body": sent.body}
    frame: JsonObject = {"type": "send", "id": request_id}
    frame |= {"msg_id": sent.msg_id, "to": sent.to, "body": sent.body}
    kind = sent.kind.removesuffix(ANYWAY)
    if kind != "text":
        frame["kind"] = kind
    if kind != sent.kind:
        frame["anyway"] = True
    if sent.reply_to is not None:
        frame["reply_to"] = sent.reply_to
    return frame


def sent_result(result: JsonObject) -> SentResult:
    """Parse the reply to a send. Raises E100 for a malformed one."""
    seq, at, notes = result.get("seq"), result.get("at"), result.get("notes", [])
    if not isinstance(seq, int) or not isinstance(at, int) or not isinstance(notes, list):
        raise ChatdError("E100", "the server sent a malformed answer to a message")
    notes = [note for note in notes if isinstance(note, dict)]
    return SentResult(seq, at, notes, result.get("held") is True)


def error_of(reply: ev.Error | ev.Bye) -> ChatdError:
    """The error in a reply; a code newer than this client becomes E100 with the server's reason."""
    try:
        return ChatdError(reply.code, reply.reason, reply.fix)
    except KeyError:
        return ChatdError("E100", f"{reply.reason} [{reply.code[:8]}]", reply.fix or "update this client")
