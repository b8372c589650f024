"""The client's side of a session without any I/O: what to send next, and what an incoming frame means.

The engine feeds decoded frames in and takes frames to send out; time is passed in (seconds of a
monotonic clock). One `Session` lives as long as its `Client` and goes through many connections.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Any, ClassVar

from chatctl.client._notices import (
    Acknowledged,
    AnyEvent,
    CaughtUp,
    Connected,
    Promise,
    Refused,
    Restored,
    Sent,
    SentResult,
)
from chatd.errors import ChatdError
from chatd.proto import events as ev
from chatd.proto.frames import JsonObject
from chatd.proto.lineage import Branch, common_point

# Enough to hide the round trip behind group commits; a refusal half-way is still noticed early.
IN_FLIGHT_LIMIT = 64
# Answers that say "not now": the message stays and goes out again with the same msg_id.
SEND_AGAIN = frozenset({"E502", "E503", "E504"})
SEND_AGAIN_DELAY = 0.5
# A full disk (E504) is not cleaned up in half a second, and a thousand clients ask.
FULL_DISK_DELAY = 5.0
# Silence beyond the server's own idle limit means that it, or the path to it, is gone.
SILENCE_GRACE = 5.0
WELCOME_TIMEOUT = 10.0


class Phase(Enum):
    """Where the present connection is."""

    OFFLINE = auto()
    GREETING = auto()  # waiting for the welcome
    RESUMING = auto()  # welcome received, first page of what was missed still to come
    READY = auto()


@dataclass(eq=False)
class Pending:
    """A request somebody waits for. ``again``: may be sent a second time when a connection was cut."""

    kind: str
    fields: JsonObject
    again: bool
    promise: Promise = field(default_factory=Promise)


class Ended(Exception):
    """The server said goodbye; ``error`` tells why and ``retry`` whether to connect again."""

    def __init__(self, error: ChatdError, retry: bool) -> None:
        super().__init__(str(error))
        self.error = error
        self.retry = retry


class Session:
    """Requests, the outbox' messages in flight, resuming, and signs of life.

    ``live``: whether the caller wants events at all. ``cursor``: seq up to which events were
    delivered before; None = start at the head that the first welcome tells. ``lineage``: of the log
    that the cursor belongs to.
    """

    def __init__(
        self, *, live: bool = True, cursor: int | None = None, lineage: tuple[Branch, ...] = ()
    ) -> None:
        self.live = live
        self.cursor = cursor
        self.lineage = lineage
        self.phase = Phase.OFFLINE
        self.welcome: ev.Welcome | None = None
        self._label = 0
        self._order = 0
        self._requests: deque[Pending] = deque()
        self._sends: deque[Sent] = deque()
        self._asked: dict[int, Pending] = {}
        self._sent: dict[int, Sent] = {}
        self._resume: int | None = None
        self._page_due = False
        self._control: list[JsonObject] = []
        self._hold_sends_until = 0.0
        self._heard = 0.0
        self._pinged = False

    @property
    def online(self) -> bool:
        """Whether this connection was welcomed."""
        return self.phase in (Phase.RESUMING, Phase.READY)

    @property
    def waited_for(self) -> bool:
        """Whether answers are to come."""
        return bool(self._asked or self._sent)

    # -- commands of the caller

    def ask(self, pending: Pending) -> None:
        """Send a request as soon as possible."""
        self._requests.append(pending)

    def send(self, sent: Sent) -> None:
        """Send a message as soon as possible, after those before it."""
        self._order += 1
        sent.order = self._order
        self._sends.append(sent)

    # -- the connection

    def opened(self, now: float) -> None:
        """A connection is established; the welcome is to come."""
        self.phase = Phase.GREETING
        self._heard = now
        self._pinged = False

    def closed(self) -> None:
        """The connection is gone: what may be repeated goes back to the front of its queue."""
        self.phase = Phase.OFFLINE
        self._resume, self._page_due = None, False
        self._control.clear()
        # Some of them may have been refused for now, and wait already.
        self._sends = deque(sorted([*self._sent.values(), *self._sends], key=lambda s: s.order))
        self._sent.clear()
        for pending in reversed(self._asked.values()):
            if pending.promise.settled:
                continue
            if pending.again:
                self._requests.appendleft(pending)
            else:
                pending.promise.fail(
                    ChatdError("E503", f"the connection was cut while the server worked on: {pending.kind}")
                )
        self._asked.clear()

    def abandon(self, error: ChatdError) -> None:
        """There will be no further connection: fail everybody who waits."""
        self.closed()
        while self._requests:
            self._requests.popleft().promise.fail(error)
        for sent in self._sends:
            sent.abandon(error)

    def not_reading(self, now: float) -> None:
        """The caller is behind, so that nothing is read: silence says nothing about the server."""
        self._heard = now

    def outgoing(self, now: float, *, room: bool = True) -> list[JsonObject]:
        """Frames to send now, in order. ``room``: whether the caller can have another page of events."""
        if self._page_due and room:
            self._ask_resume()
        frames, self._control = self._control, []
        if self.phase is not Phase.READY:
            return frames
        while self._requests:
            pending = self._requests.popleft()
            if not pending.promise.settled:
                label = self._next_label()
                self._asked[label] = pending
                frames.append({"type": pending.kind, "id": label, **pending.fields})
        while self._sends and len(self._sent) < IN_FLIGHT_LIMIT and now >= self._hold_sends_until:
            sent = self._sends.popleft()
            label = self._next_label()
            self._sent[label] = sent
            frames.append(send_frame(label, sent))
        return frames

    def tick(self, now: float) -> float:
        """Look after signs of life; seconds until the next look. Raises E106 when the server is silent."""
        if self.phase is Phase.OFFLINE:
            return 60.0
        silent = now - self._heard
        idle = float(self.welcome.limits.idle_seconds) if self.welcome else WELCOME_TIMEOUT
        limit = WELCOME_TIMEOUT if self.phase is Phase.GREETING else idle + SILENCE_GRACE
        if silent >= limit:
            raise ChatdError("E106", f"nothing was heard from the server for {silent:.0f} seconds")
        if self.phase is not Phase.GREETING and silent >= idle / 2 and not self._pinged:
            self._pinged = True
            self._control.append({"type": "ping", "id": self._next_label()})
        waits = [limit - silent]
        if not self._pinged:
            waits.append(max(idle / 2 - silent, 0.0))
        if self._sends and self._hold_sends_until > now:
            waits.append(self._hold_sends_until - now)
        return max(min(waits), 0.01)

    def receive(self, message: JsonObject, now: float) -> list[AnyEvent]:
        """What a frame means for the caller. Raises E100 for a malformed one, `Ended` for a goodbye."""
        self._heard = now
        self._pinged = False
        parsed = ev.parse_from_server(message)
        if parsed is None:
            return []
        if self.phase is Phase.GREETING and not isinstance(parsed, ev.Welcome | ev.Bye):
            raise ChatdError("E100", f"the server sent {parsed.type} before its welcome")
        if (handle := self._HANDLERS.get(type(parsed))) is not None:
            return handle(self, parsed, now)
        if isinstance(parsed, ev.Logged):
            return self._logged(parsed)
        return [parsed]  # type: ignore[list-item]  # Presence and Slowed: the table above has all others

    # -- frames

    def _welcomed(self, welcome: ev.Welcome, now: float) -> list[AnyEvent]:
        if self.phase is not Phase.GREETING:
            raise ChatdError("E100", "the server sent a second welcome")
        self.welcome = welcome
        events: list[AnyEvent] = [Connected(welcome)]
        if self.cursor is not None and (seq := last_common(self.cursor, self.lineage, welcome)) is not None:
            self.cursor = min(self.cursor, seq)
            events.append(Restored(seq))
        if self.cursor is None and self.live:
            # Not where the session goes live: who knows of the welcome counts on what happens after it,
            # also when this connection is cut before the resume is answered.
            self.cursor = welcome.head
        self.lineage = tuple(welcome.lineage) or self.lineage
        self.phase = Phase.RESUMING if self.live else Phase.READY
        if self.live:
            self._ask_resume()
        return events

    def _lagged(self, event: ev.Lagged, now: float) -> list[AnyEvent]:
        if self.live and self._resume is None:
            self._ask_resume()
        return [event]

    def _pinged_by_server(self, event: ev.PingEvent, now: float) -> list[AnyEvent]:
        self._control.append({"type": "ping", "id": self._next_label()})
        return []

    def _bye(self, bye: ev.Bye, now: float) -> list[AnyEvent]:
        raise Ended(error_of(bye), bye.retry)

    def _ok(self, reply: ev.Ok, now: float) -> list[AnyEvent]:
        if reply.id == self._resume:
            return self._resumed(reply.result)
        if (sent := self._sent.pop(reply.id, None)) is not None:
            sent.acknowledge(sent_result(reply.result))
            return [Acknowledged(sent)]
        if (pending := self._asked.pop(reply.id, None)) is not None:
            pending.promise.resolve(reply.result)
        return []

    def _error(self, reply: ev.Error, now: float) -> list[AnyEvent]:
        error = error_of(reply)
        if reply.id == self._resume:
            raise error
        if (sent := self._sent.pop(reply.id, None)) is not None:
            if error.code in SEND_AGAIN:
                # Several in flight may come back one after the other; they keep the order of sending.
                self._sends = deque(sorted([*self._sends, sent], key=lambda s: s.order))
                self._hold_sends_until = now + (FULL_DISK_DELAY if error.code == "E504" else SEND_AGAIN_DELAY)
                return []
            sent.refuse(error)
            return [Refused(sent, error)]
        if (pending := self._asked.pop(reply.id, None)) is not None:
            pending.promise.fail(error)
        return []

    def _ask_resume(self) -> None:
        self._resume, self._page_due = self._next_label(), False
        frame: JsonObject = {"type": "resume", "id": self._resume}
        if self.cursor is not None:
            frame["after"] = self.cursor
        self._control.append(frame)

    def _resumed(self, result: JsonObject) -> list[AnyEvent]:
        self._resume = None
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
        # Only now may requests go out: before the first page this session is not live yet, and the
        # events they cause could fall between the log that was read and going live.
        self.phase = Phase.READY
        if more:
            self._page_due = True
        else:
            delivered.append(CaughtUp(self.cursor))
        return delivered

    def _logged(self, event: ev.Logged) -> list[AnyEvent]:
        """Deliver an event of the log unless it was delivered before."""
        if self.cursor is not None and event.seq <= self.cursor:
            return []
        self.cursor = event.seq
        return [event]  # type: ignore[list-item]  # every subclass of Logged is part of AnyEvent

    def _next_label(self) -> int:
        self._label += 1
        return self._label

    _HANDLERS: ClassVar[dict[type[Any], Callable[[Session, Any, float], list[AnyEvent]]]] = {
        ev.Welcome: _welcomed,
        ev.Ok: _ok,
        ev.Error: _error,
        ev.PingEvent: _pinged_by_server,
        ev.Lagged: _lagged,
        ev.Bye: _bye,
    }


def last_common(cursor: int, lineage: tuple[Branch, ...], welcome: ev.Welcome) -> int | None:
    """Up to which seq the server's log is the one that ``cursor`` belongs to; None: all of it is.

    Keeping a cursor beyond that would silently drop what the new log has up to it.
    """
    seq = common_point(lineage, welcome.lineage)
    if seq is None and cursor > welcome.head:
        return welcome.head  # shorter than what was seen: an old copy was put back by hand
    return None if seq is None else min(seq, welcome.head)


def send_frame(label: int, sent: Sent) -> JsonObject:
    """The request for one message."""
    frame: JsonObject = {"type": "send", "id": label, "msg_id": sent.msg_id, "to": sent.to, "body": sent.body}
    if sent.kind != "text":
        frame["kind"] = sent.kind
    if sent.reply_to is not None:
        frame["reply_to"] = sent.reply_to
    return frame


def sent_result(result: JsonObject) -> SentResult:
    """The typed answer to a send. Raises E100 when it has another shape."""
    seq, at, notes = result.get("seq"), result.get("at"), result.get("notes", [])
    if not isinstance(seq, int) or not isinstance(at, int) or not isinstance(notes, list):
        raise ChatdError("E100", "the server sent a malformed answer to a message")
    return SentResult(seq, at, [note for note in notes if isinstance(note, dict)])


def error_of(reply: ev.Error | ev.Bye) -> ChatdError:
    """The server's refusal; a code this client does not know yet is shown with the server's words."""
    try:
        return ChatdError(reply.code, reply.reason, reply.fix)
    except KeyError:
        return ChatdError("E100", f"{reply.reason} [{reply.code[:8]}]", reply.fix or "update this client")
