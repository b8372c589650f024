"""The one background thread of a client: it owns the connection and the session's state.

Everybody else reaches it through `Engine.call`, a queue with a wake-up socket, and hears from it
through the `Owner`'s methods, which are called without any lock held.
"""

from __future__ import annotations

import os
import select
import socket
import sys
import threading
import traceback
from collections import deque
from collections.abc import Callable
from typing import Protocol

from chatctl.client._notices import AnyEvent, Disconnected
from chatctl.client._session import Ended, Session
from chatctl.client._transport import Transport
from chatd.errors import ChatdError
from chatd.proto.frames import decode, encode, split

# Silence in which a server is given up; in a storm of logins each step of one waits its turn over there.
CONNECT_TIMEOUT = 10.0
# For all of a login, whatever is heard.
LOGIN_LIMIT = 30.0
BACKOFF_BASE = 0.25
BACKOFF_LIMIT = 30.0
# A session that held this long was a good one: the next attempts start again with short delays.
GOOD_SESSION = 5.0
# Who we are is judged the same way on the next attempt; connecting again cannot help.
FINAL = frozenset(
    {"E107", "E608"} | {f"E{code}" for code in (200, 201, 202, 203, 205, 206, 207, 208, 209, 210)}
)


class Owner(Protocol):
    """Whom the engine tells. Called on the engine's thread."""

    def on_events(self, events: list[AnyEvent]) -> None: ...
    def on_ended(self, error: ChatdError) -> None: ...
    def has_room(self, *, urgent: bool = False) -> bool: ...


class Engine(threading.Thread):
    """Connects to ``servers`` in turn through ``dial``, runs ``session`` on it, and connects again."""

    def __init__(
        self,
        owner: Owner,
        session: Session,
        servers: tuple[str, ...],
        dial: Callable[[str], Transport],
        *,
        reconnect: bool,
        clock: Callable[[], float],
        random: Callable[[], float],
    ) -> None:
        super().__init__(name="chat-client", daemon=True)
        self._owner = owner
        self._session = session
        self._servers = servers
        self._dial = dial
        self._reconnect = reconnect
        self._clock = clock
        self._random = random
        self._calls: deque[Callable[[], None]] = deque()
        self._wake_in, self._wake_out = socket.socketpair()
        self._wake_in.setblocking(False)
        self._wake_out.setblocking(False)
        self._transport: Transport | None = None
        self.server = ""  # of the present or last attempt
        self._stopping = False
        self._ended = False
        self._attempt = 0  # servers tried since the last good session
        self._rounds = 0  # delays since then
        self._next_try = 0.0
        self._deadline = self._login_until = 0.0
        self._opened_at = 0.0

    def call(self, function: Callable[[], None]) -> None:
        """Have a function called on the engine's thread, soon; after those before it."""
        self._calls.append(function)
        self.wake()

    def wake(self) -> None:
        """Let the loop look again."""
        try:
            self._wake_out.send(b"x")
        except OSError:
            pass  # full: it will wake anyway; closed: the thread is over

    def stop(self) -> None:
        """End the connection and the thread, and wait for it unless called from it."""
        self._stopping = True
        if self.ident is None:
            self._finish()
            return
        self.wake()
        if threading.current_thread() is not self:
            self.join()

    def run(self) -> None:
        """The thread. A defect in here must not leave everybody waiting for ever."""
        try:
            while not (self._stopping or self._ended):
                self._turn()
        except Exception as error:  # noqa: BLE001
            if os.environ.get("CHATD_DEBUG") == "1":
                traceback.print_exc(file=sys.stderr)
            fix = "report this; CHATD_DEBUG=1 shows where it happened"
            self._end(ChatdError("E614", f"the client failed: {type(error).__name__}: {error}", fix))
        finally:
            self._finish()

    def _finish(self) -> None:
        self._hang_up()
        self._end(ChatdError("E607", "the client was closed", "start it again"))
        self._wake_in.close()
        self._wake_out.close()

    # -- the loop

    def _turn(self) -> None:
        self._run_calls()
        now = self._clock()
        try:
            if self._transport is None and now >= self._next_try:
                self._open(now)
            wait = self._look_after(now)
            if self._wait(wait) and self._transport is not None:
                self._read(self._transport)
        except Ended as goodbye:
            self._lost(goodbye.error, retry=goodbye.retry)
        except ChatdError as error:
            self._lost(error, retry=error.code not in FINAL)

    def _run_calls(self) -> None:
        while self._calls:
            self._calls.popleft()()

    def _wait(self, timeout: float) -> bool:
        """Wait for something to do; whether the connection is ready."""
        poller = select.poll()
        poller.register(self._wake_in, select.POLLIN)
        transport = self._transport
        if transport is not None:
            # Not reading is what tells a server that its client is behind; it then holds back.
            # Somebody who takes no events because he waits for an answer, which is behind them, gets it.
            reading = not transport.open or self._owner.has_room(urgent=self._session.waited_for)
            events = reading * select.POLLIN | transport.wants_write * select.POLLOUT
            if events:
                poller.register(transport, events)
            if not reading:
                self._session.not_reading(self._clock())
            if transport.failed:
                timeout = 0.0
        woken = {descriptor for descriptor, _ in poller.poll(timeout * 1000)}
        if self._wake_in.fileno() in woken:
            self._drain_wake()
        return transport is not None and (transport.failed or transport.fileno() in woken)

    def _drain_wake(self) -> None:
        try:
            while self._wake_in.recv(4096):
                pass
        except BlockingIOError:
            pass

    def _look_after(self, now: float) -> float:
        """Time-outs and what is to be sent; seconds the loop may sleep."""
        transport = self._transport
        if transport is None:
            return max(self._next_try - now, 0.0)
        if not transport.open:
            if now >= self._deadline:
                limit = LOGIN_LIMIT if now >= self._login_until else CONNECT_TIMEOUT
                raise ChatdError("E607", f"{transport.server} did not answer within {limit:.0f} seconds")
            return self._deadline - now
        wait = self._session.tick(now)
        if frames := self._session.outgoing(now, room=self._owner.has_room()):
            transport.send(encode(frame) for frame in frames)
        return wait

    def _read(self, transport: Transport) -> None:
        was_open = transport.open
        payloads = transport.advance()
        now = self._clock()
        if transport.open and not was_open:
            self._session.opened(now)
            self._opened_at = now
        elif not was_open:
            self._deadline = min(now + CONNECT_TIMEOUT, self._login_until)
        for payload in payloads:
            for frame in split(payload):
                if events := self._session.receive(decode(frame), now):
                    self._owner.on_events(events)

    # -- connecting

    def _open(self, now: float) -> None:
        self.server = self._servers[self._attempt % len(self._servers)]
        self._attempt += 1
        self._deadline, self._login_until = now + CONNECT_TIMEOUT, now + LOGIN_LIMIT
        self._transport = self._dial(self.server)

    def _lost(self, error: ChatdError, *, retry: bool) -> None:
        now = self._clock()
        had_session = self._session.online
        if had_session and now - self._opened_at >= GOOD_SESSION:
            self._attempt = self._rounds = 0
        self._hang_up()
        next_server = not had_session and self._attempt % len(self._servers) != 0
        if not retry or not (self._reconnect or next_server):
            self._owner.on_events([Disconnected(error, None)])
            self._end(error)
            return
        delay = 0.0
        if not next_server:
            # Full jitter: after a restart of the server its clients come back spread over time.
            delay = self._random() * min(BACKOFF_LIMIT, BACKOFF_BASE * 2 ** min(self._rounds, 16))
            self._rounds += 1
        self._next_try = now + delay
        self._owner.on_events([Disconnected(error, delay)])

    def _hang_up(self) -> None:
        if self._transport is not None:
            self._transport.close()
            self._transport = None
        self._session.closed()

    def _end(self, error: ChatdError) -> None:
        if not self._ended:
            self._ended = True
            # In this order: after on_ended nobody adds a call, and what was added before is failed here.
            self._owner.on_ended(error)
            self._run_calls()
            self._session.abandon(error)
