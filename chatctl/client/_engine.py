"""A client's background thread: it owns the connection and the session's state.

Other threads reach it through `Engine.call`, a queue with a wake-up socket. It reports through the
callbacks it was given, which it calls without holding any lock.
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
from typing import NamedTuple

from chatctl.client._dialing import OF_ADDRESS, Address, Lookups, Race
from chatctl.client._notices import AnyEvent, Connected, Disconnected
from chatctl.client._server_choice import ServerChoice
from chatctl.client._session import ByeReceived, ClientSession
from chatctl.client._transport import Transport
from chatd.errors import ChatdError
from chatd.proto.events import Isolated
from chatd.proto.frames import decode, encode, split

# Longest silence during a login: when many clients log in at once, each step waits for its turn.
SILENCE_LIMIT = 10.0
# Longest time for a whole login.
LOGIN_LIMIT = 30.0
BACKOFF_BASE = 0.25
# Not 2: on average a client is back after half of what the server was away, and not after all of it.
BACKOFF_GROWTH = 1.5
BACKOFF_LIMIT = 30.0
# The longest time that a client waits until a kick or ban ends. For a longer one nobody keeps it open.
WAIT_LIMIT = 3600
# After a session of at least this length the delays start small again.
GOOD_SESSION = 5.0
# Errors that connecting again cannot change: the server judges this client the same way next time.
FINAL = frozenset(
    {"E608", *OF_ADDRESS} | {f"E{code}" for code in (200, 201, 202, 203, 205, 206, 207, 208, 210)}
)


class _CutOff(Exception):
    """The server is cut off from its cluster, and another may not be. ``begun``: the caller had a session."""

    def __init__(self, *, begun: bool) -> None:
        super().__init__()
        self.begun = begun


class Callbacks(NamedTuple):
    """Functions that the engine calls on its thread.

    ``on_events`` takes the session's events in order, ``on_ended`` the error after which there is no
    further connection. ``has_space(urgent)`` tells whether the caller can take more events.
    ``before_connecting`` is called before each round of attempts, and ``while_connected`` often during a
    session; both must return soon.
    """

    on_events: Callable[[list[AnyEvent]], None]
    on_ended: Callable[[ChatdError], None]
    has_space: Callable[[bool], bool]
    before_connecting: Callable[[], None]
    while_connected: Callable[[], None]


class Engine(threading.Thread):
    """Connects to one of ``servers()`` with ``dial``, runs ``session`` over the connection, reconnects.

    ``clock`` gives monotonic seconds, ``random`` a number 0 <= x < 1.
    """

    def __init__(
        self,
        callbacks: Callbacks,
        session: ClientSession,
        servers: Callable[[], tuple[str, ...]],
        dial: Callable[[Address], Transport],
        *,
        reconnect: bool,
        wait_out: bool,
        clock: Callable[[], float],
        random: Callable[[], float],
    ) -> None:
        super().__init__(name="chat-client", daemon=True)
        self._callbacks = callbacks
        self._session = session
        self._servers = servers
        self._dial = dial
        self._reconnect = reconnect
        self._wait_out = wait_out
        self._clock = clock
        self._random = random
        self._calls: deque[Callable[[], None]] = deque()
        self._wake_in, self._wake_out = socket.socketpair()
        self._wake_in.setblocking(False)
        self._wake_out.setblocking(False)
        self._lookups = Lookups(self.wake)
        self._choice = ServerChoice(random)
        self._race: Race[Transport] | None = None  # the round of attempts under way, or the last one
        self._transport: Transport | None = None
        self._ready: set[int] = set()
        self.server = servers()[0]  # the one that answered last
        self._stopping = False
        self._ended = False
        self._delays = 0  # delays since the last good session
        self._next_try = 0.0
        self._deadline = self._login_deadline = 0.0
        self._opened_at = 0.0
        self._has_newer_identity = False

    def call(self, function: Callable[[], None]) -> None:
        """Run ``function`` on the engine's thread soon, after those queued before it."""
        self._calls.append(function)
        self.wake()

    def wake(self) -> None:
        """Make the loop run another iteration."""
        try:
            self._wake_out.send(b"x")
        except OSError:
            pass  # full: it wakes up anyway; closed: the thread has ended

    def identity_renewed(self) -> None:
        """Note that the next connection uses a newer identity, so that the end of this one is not final."""
        self.call(self._expect_newer_identity)

    def _expect_newer_identity(self) -> None:
        self._has_newer_identity = True

    def try_now(self) -> None:
        """End the wait before the next attempt, if there is one."""
        self.call(self._end_wait)

    def _end_wait(self) -> None:
        self._next_try = self._clock()

    def stop(self) -> None:
        """End the connection and the thread; waits for it unless called on it."""
        self._stopping = True
        if self.ident is None:
            self._finish()
            return
        self.wake()
        if threading.current_thread() is not self:
            self.join()

    def run(self) -> None:
        """The thread's function. A bug in it ends the client with E614: callers must not wait forever."""
        try:
            while not (self._stopping or self._ended):
                self._iterate()
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

    def _iterate(self) -> None:
        self._run_calls()
        now = self._clock()
        try:
            if self._transport is None and now >= self._next_try:
                self._connect(now)
            self._ready = self._wait(self._send_and_tick(now))
            transport = self._transport
            if transport is not None and (transport.failed or transport.fileno() in self._ready):
                self._receive(transport, transport.open, transport.advance())
        except _CutOff as cut_off:
            self._leave(begun=cut_off.begun)
        except ByeReceived as bye:
            self._lost(bye.error, retry=bye.retry, after=bye.after)
        except ChatdError as error:
            self._failed(error)

    def _run_calls(self) -> None:
        while self._calls:
            self._calls.popleft()()

    def _wait(self, timeout: float) -> set[int]:
        """Wait for I/O or a wake-up; returns the descriptors that are ready."""
        poller = select.poll()
        poller.register(self._wake_in, select.POLLIN)
        if self._transport is not None:
            self._register(poller, self._transport)
            if self._transport.failed:
                timeout = 0.0
        elif self._race is not None:
            for attempt in self._race.attempts:
                poller.register(attempt, select.POLLIN | attempt.wants_write * select.POLLOUT)
        ready = {descriptor for descriptor, _ in poller.poll(timeout * 1000)}
        if self._wake_in.fileno() in ready:
            self._drain_wake()
        return ready

    def _register(self, poller: select.poll, transport: Transport) -> None:
        # A client that does not read makes the server hold back. A reply comes behind the events
        # before it, so a caller who waits for one and takes no events gets more space.
        reading = not transport.open or self._callbacks.has_space(self._session.awaits_reply)
        events = reading * select.POLLIN | transport.wants_write * select.POLLOUT
        if events:
            poller.register(transport, events)
        if not reading:
            self._session.not_reading(self._clock())

    def _drain_wake(self) -> None:
        try:
            while self._wake_in.recv(4096):
                pass
        except BlockingIOError:
            pass

    def _send_and_tick(self, now: float) -> float:
        """Check the timeouts and send what is due; returns the seconds the loop may wait."""
        transport = self._transport
        if transport is None:
            return self._race.wait_seconds(now) if self._race else max(self._next_try - now, 0.0)
        if not transport.open:
            if now >= self._deadline:
                limit = LOGIN_LIMIT if now >= self._login_deadline else SILENCE_LIMIT
                raise ChatdError("E607", f"{transport.server} did not answer within {limit:.0f} seconds")
            return self._deadline - now
        self._callbacks.while_connected()
        if self._choice.leaves(transport.server, self._servers(), now):
            raise _CutOff(begun=True)
        timeout = min(self._session.tick(now), self._choice.seconds(now))
        if frames := self._session.outgoing(now, space=self._callbacks.has_space(False)):
            transport.send(encode(frame) for frame in frames)
        return timeout

    def _receive(self, transport: Transport, was_open: bool, payloads: list[bytes]) -> None:
        now = self._clock()
        if transport.open and not was_open:
            self._session.opened(now)
            self._opened_at = now
        elif not was_open:
            self._deadline = min(now + SILENCE_LIMIT, self._login_deadline)
        for payload in payloads:
            for frame in split(payload):
                if events := self._session.receive(decode(frame), now):
                    self._heed(transport.server, events, now)
                    self._callbacks.on_events(events)

    def _heed(self, server: str, events: list[AnyEvent], now: float) -> None:
        """Note whether the server is cut off from its cluster. Raises _CutOff to go on to another one."""
        for event in events:
            if isinstance(event, Isolated):
                self._choice.told(event.reason, now)
            elif isinstance(event, Connected) and self._choice.welcomed(
                server, event.welcome.isolated, self._servers(), now
            ):
                raise _CutOff(begun=False)

    # -- connecting

    def _connect(self, now: float) -> None:
        """Start or continue a round of attempts."""
        if self._race is None:
            self._callbacks.before_connecting()
            self._has_newer_identity = False
            servers = self._choice.order(self._servers(), now)
            self._race = Race(servers, self._lookups.start, self._dial, now)
        found = self._race.advance(now, self._ready)
        if found is not None:
            self._transport, payloads = found
            self.server = self._transport.server
            self._login_deadline = now + LOGIN_LIMIT
            self._receive(self._transport, False, payloads)

    def _failed(self, error: ChatdError) -> None:
        """Go on after an error, unless every address has failed and none will do better next time."""
        told: ChatdError | None = error
        if error.code in OF_ADDRESS and self._race is not None and not self._session.online:
            told = self._race.failed_at(error)
        self._lost(told or error, retry=told is None or told.code not in FINAL)

    def _lost(self, error: ChatdError, *, retry: bool, after: int | None = None) -> None:
        """End the connection; plan the next attempt or end the client."""
        now = self._clock()
        retry = retry or self._has_newer_identity
        had_session = self._session.online
        if had_session and now - self._opened_at >= GOOD_SESSION:
            self._delays = 0
        self._hang_up()
        put_out = self._wait_out and not retry and after is not None and 0 <= after <= WAIT_LIMIT
        others = not put_out and not had_session and self._race is not None and self._race.has_more
        if not others:
            self._race = None
        if not put_out and not (retry and (self._reconnect or others)):
            self._callbacks.on_events([Disconnected(error, None)])
            self._end(error)
            return
        delay = 0.0
        if put_out:
            # A second more, because the server rounds, and others come back at the same time.
            delay = (after or 0) + 1.0 + self._random()
        elif not others:
            # Full jitter: after a restart of the server its clients come back spread over time.
            grown = BACKOFF_BASE * BACKOFF_GROWTH ** min(self._delays, 16)
            delay = self._random() * min(BACKOFF_LIMIT, grown)
            self._delays += 1
        self._next_try = now + delay
        self._callbacks.on_events([Disconnected(error, delay)])

    def _leave(self, *, begun: bool) -> None:
        """Go on to another server at once. The caller hears of it if the session had begun."""
        self._hang_up()
        self._race = None
        self._next_try = self._clock()
        if begun:
            error = ChatdError("E506", self._choice.reason, "nothing: another address is tried")
            self._callbacks.on_events([Disconnected(error, 0.0)])

    def _hang_up(self) -> None:
        if self._race is not None:
            self._race.close()
        if self._transport is not None:
            self._transport.close()
            self._transport = None
        self._session.closed()

    def _end(self, error: ChatdError) -> None:
        if not self._ended:
            self._ended = True
            # In this order: after on_ended no call is added, and those added before fail here.
            self._callbacks.on_ended(error)
            self._run_calls()
            self._session.abandon(error)
