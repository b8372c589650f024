"""The public client: connect, send, ask, and take events."""

from __future__ import annotations

import os
import random
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Self

from chatctl.client._checks import check_message, check_request, check_stored
from chatctl.client._engine import Callbacks, Engine
from chatctl.client._notices import (
    ANYWAY,
    EDIT,
    Acknowledged,
    AnyEvent,
    AnyLogged,
    CaughtUp,
    Connected,
    Disconnected,
    Refused,
    Sent,
    copy_of,
    refuse,
    wait_for,
)
from chatctl.client._renewing import Renewal
from chatctl.client._saved_state import store_in
from chatctl.client._session import ClientSession, PendingRequest, last_common
from chatctl.client._transport import Contexts, Transport
from chatd.errors import ChatdError
from chatd.pki.home_addresses import servers_of
from chatd.pki.identity import Identity
from chatd.proto.events import Isolated, Standing, Welcome
from chatd.proto.frames import INTEGER_LIMIT, JsonObject
from chatd.proto.text import dm_room

# Events that may wait for the caller; beyond that nothing is read from the server.
QUEUE_LIMIT = 10_000
# This many times more while a reply is awaited, since it comes behind the events before it.
URGENT_FACTOR = 4
# The cursor is noted for every event. It is saved, which waits for the disk, when the caller has taken all
# events, and at least after this many.
CURSOR_INTERVAL = 64


class Client:
    """The connection of one identity to its server.

    ``state``: folder for the outbox and the cursor; None keeps both in memory. ``reconnect``: False
    gives up at the first failure, after trying each server of the identity. ``live``: False for
    programs that only ask and send; they get no events of rooms. ``wait_out``: a kick or ban that ends
    within the hour is waited for instead of ending the client. ``clock`` gives monotonic seconds,
    ``rand`` a number 0 <= x < 1 for the reconnect delays.

    Attributes: ``identity``; ``connected``, whether there is a session; ``welcome``, the last session's
    welcome with the role and permissions of now, None before the first.

    A background thread does all I/O. It reconnects and sends unanswered messages again, so that a
    message is in the log once and each event is delivered once and in order, whatever breaks. All
    methods may be called from any thread. Raises E608 for an identity that names no server, E606 if
    ``state`` cannot be used.
    """

    def __init__(
        self,
        identity: Identity,
        *,
        state: Path | None = None,
        reconnect: bool = True,
        live: bool = True,
        wait_out: bool = False,
        clock: Callable[[], float] = time.monotonic,
        rand: Callable[[], float] = random.random,
    ) -> None:
        if not servers_of(identity):
            fix = "add a line before its key: server: HOST:PORT"
            raise ChatdError("E608", f"{identity.path} names no server", fix)
        self.identity = identity
        self.welcome: Welcome | None = None
        self.connected = False
        self._live = live
        self._store = store_in(state)
        # Protects all attributes below that several threads use; notified when they change.
        self._changed = threading.Condition()
        self._events: deque[AnyEvent] = deque()
        self._callback: Callable[[AnyEvent], None] | None = None
        self._error: ChatdError | None = None
        self._last_error: ChatdError | None = None
        self._closed = False
        self._unsent: dict[str, Sent] = {}
        unanswered, self._cursor, self._lineage = self._store.load()
        self._saved = (self._cursor, self._lineage)
        # The event that the caller took last and may still be working on.
        self._taken: AnyEvent | None = None
        self._unsaved = 0
        self._session = ClientSession(live=live, cursor=self._cursor, lineage=self._lineage)
        refused: list[AnyEvent] = []
        for sent in unanswered:
            self._unsent[sent.msg_id] = sent
            try:
                check_stored(sent)
            except ChatdError as error:
                # The server would end each connection, now and after every later start.
                refuse(sent, error)
                refused.append(Refused(sent, error))
            else:
                self._session.send(sent)
        self._contexts: Contexts = {}
        self._renewal = Renewal(identity, self._adopt, time.time)
        self._engine = Engine(
            Callbacks(
                self._on_events,
                self._on_ended,
                self._has_space,
                lambda: self._renewal.renew_expired(servers_of(self.identity)),
                lambda: self._renewal.poll(self._engine.server, now=self._session.take_authority_changed()),
            ),
            self._session,
            lambda: servers_of(self.identity),
            lambda address: Transport(self.identity, address, contexts=self._contexts),
            reconnect=reconnect,
            wait_out=wait_out,
            clock=clock,
            random=rand,
        )
        if refused:
            self._engine.call(lambda: self._on_events(refused))

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def start(self) -> None:
        """Start to connect, in the background. A second call does nothing."""
        with self._changed:
            if not self._closed and self._engine.ident is None:
                self._engine.start()

    def try_now(self) -> None:
        """Connect at once instead of waiting for the next attempt; `Disconnected.retry_in` tells the wait.

        Does nothing while there is a session or an attempt is under way, and after the client has ended.
        """
        with self._changed:
            if not self._over:
                self._engine.try_now()

    def wait_connected(self, timeout: float) -> Welcome:
        """Wait at most ``timeout`` seconds for a session.

        Raises the error that makes it impossible (E2xx, E607, the server's refusal); after
        ``timeout``, the last error, or E607 if there was none yet.
        """
        with self._changed:
            self._changed.wait_for(lambda: self.connected or self._error is not None, timeout)
            if self.connected and self.welcome is not None:
                return self.welcome
            raise copy_of(self._error or self._last_error or ChatdError("E607", "no connection in time"))

    def request(self, kind: str, /, *, timeout: float = 10.0, **fields: Any) -> JsonObject:
        """Send a request (docs/protocol.md, section 7) and return its result; omits fields that are None.

        Waits for a connection if there is none. Raises E101, E102, E401 or E402 at once for a request
        that cannot be sent, later the server's refusal, E611 after ``timeout`` seconds, E503 if the
        connection was cut and the request may or may not have taken effect, and the error that ended
        the client.
        """
        given = {name: value for name, value in fields.items() if value is not None}
        check_request({"type": kind, "id": INTEGER_LIMIT, **given})
        request = PendingRequest(kind, given)
        self._call(lambda: self._session.ask(request))
        try:
            return wait_for(request.reply, timeout)
        except ChatdError as error:
            if error.code == "E611" and not self.connected and self._last_error is not None:
                raise copy_of(self._last_error) from None
            raise
        finally:
            request.reply.cancel()

    def send(
        self, to: str, body: str, *, kind: str = "text", reply_to: int | None = None, anyway: bool = False
    ) -> Sent:
        """Send ``body`` to the room ``to`` ("#name", or "@name" for one user); returns at once.

        ``kind`` is "text", "action" or "snippet" (lines of a file; a long text becomes one by itself),
        ``reply_to`` the seq of a message. ``anyway``: send it although it has a forbidden word, as roles
        with ``filter.override`` may. The message is kept (on disk with ``state``) and sent again with the
        same msg_id until the server answers. Raises E401 if it is longer than any server accepts,
        E402 if it is not text, E102 for another field that no frame can hold, E409 if too many wait.
        """
        return self._hand_over(Sent(os.urandom(16).hex(), to, body, kind + ANYWAY * anyway, reply_to))

    def edit(self, room: str, seq: int, body: str) -> Sent:
        """Replace the text of this user's own message ``seq`` in ``room``; returns at once.

        ``room`` as in events ("#name", "@one,two") or "@name". ``seq`` is that of the message, also for a
        second edit. The edit is kept and sent again as a message is, and refused by the server after
        ``limits.edit_minutes``. Raises as `send` does.
        """
        if room.startswith("@") and "," not in room:
            room = dm_room(self.identity.user, room[1:])
        return self._hand_over(Sent(os.urandom(16).hex(), room, body, EDIT, seq))

    def _hand_over(self, sent: Sent) -> Sent:
        check_message(sent)
        self._store.add(sent)
        with self._changed:
            self._unsent[sent.msg_id] = sent
        try:
            self._call(lambda: self._session.send(sent))
        except ChatdError:
            self._settled(sent)
            raise
        return sent

    def next_event(self, timeout: float | None = None) -> AnyEvent | None:
        """The next event; waits at most ``timeout`` seconds (None: no limit).

        None if no event came in time, or if the client was closed or has ended and all events were
        taken. Taking an event confirms the one before it: the cursor moves past that one.
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
        """All events as they come, until `close` or until the client has ended for good."""
        while True:
            event = self.next_event()
            if event is None:
                return
            yield event

    def on_event(self, callback: Callable[[AnyEvent], None]) -> None:
        """Pass events to ``callback`` on the I/O thread instead of queueing them for `next_event`.

        It must return soon and not call `request`, which would wait for itself. Call this before `start`.
        """
        self._callback = callback

    @property
    def server(self) -> str:
        """The "host:port" of the current or last connection; empty before the first attempt."""
        return self._engine.server

    @property
    def unsent(self) -> int:
        """The number of messages that the server has not answered yet."""
        with self._changed:
            return len(self._unsent)

    @property
    def outbox(self) -> list[Sent]:
        """The messages that the server has not answered yet, oldest first, also those of earlier runs."""
        with self._changed:
            return list(self._unsent.values())

    @property
    def cursor(self) -> int | None:
        """The seq up to which the caller has taken the events; None before the first."""
        return self._cursor

    @property
    def error(self) -> ChatdError | None:
        """The error that ended this client for good; None while it has not ended."""
        return self._error

    def close(self, *, drain: float = 0.0) -> None:
        """Wait at most ``drain`` seconds for `unsent` to become 0, disconnect, end the thread.

        With ``state``, unanswered messages stay in the outbox for the next client.
        """
        with self._changed:
            if drain > 0 and self._engine.ident is not None:
                self._changed.wait_for(lambda: not self._unsent or self._over, drain)
            if self._closed:
                return
            self._closed = True
            self._changed.notify_all()
        self._engine.stop()
        self._renewal.wait()
        self._save_cursor(last=True)
        self._store.close()

    def _adopt(self, identity: Identity) -> None:
        """Use a renewed identity from the next connection on."""
        self.identity, self._contexts = identity, {}
        self._engine.identity_renewed()

    # -- the engine's callbacks, on its thread

    def _on_events(self, events: list[AnyEvent]) -> None:
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

    def _on_ended(self, error: ChatdError) -> None:
        with self._changed:
            self.connected = False
            self._error = error
            self._changed.notify_all()

    def _has_space(self, urgent: bool) -> bool:
        limit = QUEUE_LIMIT * (URGENT_FACTOR if urgent else 1)
        return not self._live or len(self._events) < limit

    def _note(self, event: AnyEvent) -> None:
        if isinstance(event, Acknowledged | Refused):
            self._settled(event.sent)
        elif isinstance(event, Connected):
            with self._changed:
                self.welcome, self.connected = event.welcome, True
                self._changed.notify_all()
        elif isinstance(event, Standing):
            with self._changed:
                self.welcome = self.welcome.with_standing(event) if self.welcome else None
        elif isinstance(event, Isolated):
            with self._changed:
                self.welcome = self.welcome.with_mark(event) if self.welcome else None
        elif isinstance(event, Disconnected):
            with self._changed:
                self.connected, self._last_error = False, event.error
                self._changed.notify_all()

    def _settled(self, sent: Sent) -> None:
        try:
            self._store.remove(sent)
        except ChatdError:
            pass  # a later client sends it again, and the server recognizes its msg_id
        with self._changed:
            self._unsent.pop(sent.msg_id, None)
            self._changed.notify_all()

    def _save_cursor(self, *, last: bool = False) -> None:
        """Move the cursor past the event taken last, and note or save it (see `CURSOR_INTERVAL`)."""
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
        seq, lineage = self._saved
        forward = seq is not None and self._cursor > seq and self._lineage == lineage
        if forward and self._events and not last and self._unsaved < CURSOR_INTERVAL:
            self._store.note_cursor(self._cursor, self._lineage)
            return
        try:
            self._store.save_cursor(self._cursor, self._lineage, back=self._cursor < (self._saved[0] or 0))
        except ChatdError:
            return  # tried again later; at worst the next client delivers these events again
        self._saved, self._unsaved = (self._cursor, self._lineage), 0

    def _change_log(self, welcome: Welcome) -> None:
        """Move cursor and lineage together to the welcome's log, to which all later events belong.

        The session did this when the welcome came; events from before may have been taken since.
        """
        if self._cursor is not None:
            seq = last_common(self._cursor, self._lineage, welcome)
            self._cursor = self._cursor if seq is None else min(self._cursor, seq)
        self._lineage = tuple(welcome.lineage) or self._lineage

    @property
    def _over(self) -> bool:
        return self._closed or self._error is not None

    def _call(self, function: Callable[[], None]) -> None:
        with self._changed:
            if self._error is not None:
                raise copy_of(self._error)
            if self._closed:
                raise ChatdError("E607", "the client was closed", "start it again")
            self._engine.call(function)
