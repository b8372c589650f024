"""A chatd client for programs: connect, ask, send, and take events.

`Client` may be used from several threads at once. One background thread does all I/O; it reconnects by
itself and resends what was not answered, so that a message is in the log once however often the
connection breaks, and every event reaches the caller once and in order.
"""

from __future__ import annotations

import os
import random
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Self

from chatctl.client._engine import Engine
from chatctl.client._notices import (
    Acknowledged,
    AnyEvent,
    AnyLogged,
    CaughtUp,
    Connected,
    Disconnected,
    Refused,
    Sent,
)
from chatctl.client._outbox import Keeping, Memory, Outbox
from chatctl.client._session import Pending, Session, last_common, send_frame
from chatctl.client._transport import Contexts, Transport
from chatd.errors import ChatdError
from chatd.pki.identity import Identity
from chatd.proto.events import Welcome
from chatd.proto.frames import STRING_LIMIT, JsonObject, encode
from chatd.proto.requests import REQUESTS

# Events waiting for the caller. Above it the connection is not read until the caller has caught up.
QUEUE_LIMIT = 10_000
# As many times that while an answer is waited for: it comes behind the events before it.
URGENT_TIMES = 4
# The cursor is written when the caller has nothing more to take, and at least this often.
CURSOR_EVERY = 64
_LONGEST_LABEL = 2**53


class Client:
    """One identity's connection to its server.

    ``state``: folder for the outbox and the cursor; None keeps both in memory. ``reconnect``: False
    gives up at the first failure (after each server of the identity was tried). ``live``: False for
    programs that only ask and send; they get no events of the rooms. ``clock`` is monotonic seconds,
    ``rand`` gives 0 <= x < 1 for the reconnect delays.
    """

    def __init__(
        self,
        identity: Identity,
        *,
        state: Path | None = None,
        reconnect: bool = True,
        live: bool = True,
        clock: Callable[[], float] = time.monotonic,
        rand: Callable[[], float] = random.random,
    ) -> None:
        if not identity.servers:
            raise ChatdError("E608", f"{identity.path} names no server")
        self.identity = identity
        self.welcome: Welcome | None = None
        self.connected = False
        self._live = live
        self._keeping: Keeping = Outbox(state) if state is not None else Memory()
        # Protects everything below that several threads touch; notified on every change of it.
        self._changed = threading.Condition()
        self._events: deque[AnyEvent] = deque()
        self._callback: Callable[[AnyEvent], None] | None = None
        self._error: ChatdError | None = None
        self._last_error: ChatdError | None = None
        self._closed = False
        self._unsent: dict[str, Sent] = {}
        left, self._cursor, self._lineage = self._keeping.load()
        self._saved = (self._cursor, self._lineage)
        self._taken: AnyEvent | None = None
        self._unsaved = 0
        self._session = Session(live=live, cursor=self._cursor, lineage=self._lineage)
        for sent in left:
            self._unsent[sent.msg_id] = sent
            self._session.send(sent)
        contexts: Contexts = {}
        self._engine = Engine(
            self,
            self._session,
            identity.servers,
            lambda server: Transport(identity, server, contexts=contexts),
            reconnect=reconnect,
            clock=clock,
            random=rand,
        )

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # -- what the caller does

    def start(self) -> None:
        """Begin to connect, in the background. A second call does nothing."""
        with self._changed:
            if not self._closed and self._engine.ident is None:
                self._engine.start()

    def wait_connected(self, timeout: float) -> Welcome:
        """Wait at most ``timeout`` seconds for a session.

        Raises what made it impossible (E2xx, E607, the server's refusal), or after ``timeout`` the last
        failure, or E607 when there was none yet.
        """
        with self._changed:
            self._changed.wait_for(lambda: self.connected or self._error is not None, timeout)
            if self.connected and self.welcome is not None:
                return self.welcome
            raise _again(self._error or self._last_error or ChatdError("E607", "no connection in time"))

    def request(self, kind: str, *, timeout: float = 10.0, **fields: Any) -> JsonObject:
        """Ask for something and return the result; fields that are None are left out.

        Waits for a connection where there is none. Raises the server's refusal, E611 after ``timeout``
        seconds, E503 when the connection was cut and it is unknown whether the request took effect,
        and what ended this client if it has ended.
        """
        wanted = {name: value for name, value in fields.items() if value is not None}
        _check_size({"type": kind, "id": _LONGEST_LABEL, **wanted})
        pending = Pending(kind, wanted, again=REQUESTS[kind].spec.repeatable)
        self._call(lambda: self._session.ask(pending))
        try:
            result: JsonObject = pending.promise.get(timeout)
        except ChatdError as error:
            if error.code == "E611" and not self.connected and self._last_error is not None:
                raise _again(self._last_error) from None
            raise
        finally:
            pending.promise.fail(ChatdError("E611"))
        return result

    def send(self, to: str, body: str, *, kind: str = "text", reply_to: int | None = None) -> Sent:
        """Say ``body`` in the room ``to`` ("#name", or "@name" for one user) and return at once.

        The message is kept (on disk where ``state`` was given) and sent again with the same msg_id
        until the server answered. Raises E401 when it is longer than any server accepts, E402 when it
        is not text, E409 when too many wait already.
        """
        sent = Sent(os.urandom(16).hex(), to, body, kind, reply_to)
        if len(body) > STRING_LIMIT:
            raise ChatdError(
                "E401", f"the message has {len(body)} characters; at most {STRING_LIMIT} can be sent"
            )
        _check_size(send_frame(_LONGEST_LABEL, sent))
        self._keeping.add(sent)
        with self._changed:
            self._unsent[sent.msg_id] = sent
        try:
            self._call(lambda: self._session.send(sent))
        except ChatdError:
            self._settled(sent)
            raise
        return sent

    def next_event(self, timeout: float | None = None) -> AnyEvent | None:
        """The next event, waiting at most ``timeout`` seconds (None: for ever).

        None: nothing came in time, or the client was closed or ended and all events were taken. Taking
        the next event says that the one before it was dealt with: the cursor then moves past it.
        """
        self._save_cursor()
        with self._changed:
            self._changed.wait_for(lambda: bool(self._events) or self._over, timeout)
            if not self._events:
                return None
            self._taken = event = self._events.popleft()
            if len(self._events) == QUEUE_LIMIT - 1:
                self._engine.wake()
        return event

    def events(self) -> Iterator[AnyEvent]:
        """All events as they come; ends after `close` and when the client has ended for good."""
        while True:
            event = self.next_event()
            if event is None:
                return
            yield event

    def on_event(self, callback: Callable[[AnyEvent], None]) -> None:
        """Have events given to ``callback`` on the I/O thread instead of waiting to be taken.

        It must return soon and not call `request` (it would wait for itself). Set it before `start`.
        """
        self._callback = callback

    @property
    def server(self) -> str:
        """The "host:port" of the connection there is or was last; empty before the first attempt."""
        return self._engine.server

    @property
    def unsent(self) -> int:
        """How many messages the server has not answered yet."""
        with self._changed:
            return len(self._unsent)

    @property
    def cursor(self) -> int | None:
        """The seq up to which the caller took the events; None before the first."""
        return self._cursor

    @property
    def error(self) -> ChatdError | None:
        """Why this client has ended for good; None while it has not."""
        return self._error

    def close(self, *, drain: float = 0.0) -> None:
        """Wait at most ``drain`` seconds for `unsent` to become 0, say goodbye, end the thread.

        Unanswered messages stay in the outbox on disk, if there is one, for the next client.
        """
        with self._changed:
            if drain > 0 and self._engine.ident is not None:
                self._changed.wait_for(lambda: not self._unsent or self._over, drain)
            if self._closed:
                return
            self._closed = True
            self._changed.notify_all()
        self._engine.stop()
        self._save_cursor(last=True)
        self._keeping.close()

    # -- what the engine tells (on its thread)

    def on_events(self, events: list[AnyEvent]) -> None:
        """Events of the session, in order."""
        for event in events:
            self._note(event)
        if self._callback is not None:
            for event in events:
                self._callback(event)
                self._taken = event
                self._save_cursor()
            return
        with self._changed:
            self._events.extend(events)
            while not self._live and len(self._events) > QUEUE_LIMIT:
                self._events.popleft()
            self._changed.notify_all()

    def on_ended(self, error: ChatdError) -> None:
        """There will be no further connection."""
        with self._changed:
            self.connected = False
            self._error = error
            self._changed.notify_all()

    def has_room(self, *, urgent: bool = False) -> bool:
        """Whether more may be read from the server. ``urgent``: an answer is waited for."""
        limit = QUEUE_LIMIT * (URGENT_TIMES if urgent else 1)
        return not self._live or len(self._events) < limit

    def _note(self, event: AnyEvent) -> None:
        if isinstance(event, Acknowledged | Refused):
            self._settled(event.sent)
        elif isinstance(event, Connected):
            with self._changed:
                self.welcome, self.connected = event.welcome, True
                self._changed.notify_all()
        elif isinstance(event, Disconnected):
            with self._changed:
                self.connected, self._last_error = False, event.error
                self._changed.notify_all()

    def _settled(self, sent: Sent) -> None:
        try:
            self._keeping.remove(sent)
        except ChatdError:
            pass  # it will be sent again one day, and the server knows its msg_id
        with self._changed:
            self._unsent.pop(sent.msg_id, None)
            self._changed.notify_all()

    def _save_cursor(self, *, last: bool = False) -> None:
        """The event taken last was dealt with: move the cursor past it, and write it now and then."""
        event, self._taken = self._taken, None
        if isinstance(event, AnyLogged):
            self._cursor = event.seq
        elif isinstance(event, CaughtUp):
            self._cursor = event.cursor
        elif isinstance(event, Connected):
            self._change_log(event.welcome)
        if self._cursor is None or (self._cursor, self._lineage) == self._saved:
            return
        self._unsaved += 1
        if self._events and not last and self._unsaved < CURSOR_EVERY:
            return
        try:
            self._keeping.save_cursor(self._cursor, self._lineage, back=self._cursor < (self._saved[0] or 0))
        except ChatdError:
            return  # the disk may have room later; at worst the next client shows these events again
        self._saved, self._unsaved = (self._cursor, self._lineage), 0

    def _change_log(self, welcome: Welcome) -> None:
        """The events after this one are of the welcome's log: cursor and lineage change together.

        The session did the same when the welcome came; the events since then may not be taken yet.
        """
        if self._cursor is not None:
            seq = last_common(self._cursor, self._lineage, welcome)
            self._cursor = self._cursor if seq is None else min(self._cursor, seq)
        self._lineage = tuple(welcome.lineage) or self._lineage

    # -- within

    @property
    def _over(self) -> bool:
        return self._closed or self._error is not None

    def _call(self, function: Callable[[], None]) -> None:
        with self._changed:
            if self._error is not None:
                raise _again(self._error)
            if self._closed:
                raise ChatdError("E607", "the client was closed", "start it again")
            self._engine.call(function)


def _check_size(frame: JsonObject) -> None:
    """Raise E401 or E402 for what does not fit a frame, here rather than on the I/O thread."""
    try:
        encode(frame)
    except UnicodeEncodeError:
        raise ChatdError("E402", "the text is not valid Unicode", "write it again") from None
    except ValueError:
        raise ChatdError("E401", "the message is too long to be sent") from None


def _again(error: ChatdError) -> ChatdError:
    """A fresh copy: one exception must not be raised in several threads."""
    return ChatdError(error.code, error.reason, error.fix)
