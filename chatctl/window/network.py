"""Connects the client library's threads with the window's loop, which never waits.

Events and replies become calls in a bounded queue that the loop empties. While the queue is full the
library is not read, so that a flood stays where it belongs: in the server's outbox.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any

from chatctl.client import AnyEvent, Client, Sent
from chatctl.model.paging import RequestFunction
from chatd.errors import ChatdError

QUEUE_LIMIT = 512
DRAIN_SECONDS = 2.0
# The part of the loop's time that `poll` may take, so that a flood delays neither keys nor drawing.
POLL_SECONDS = 0.02
_REQUEST_THREADS = 3

Failed = Callable[[ChatdError], None]


@dataclass(frozen=True)
class PendingReply:
    """A request to await in a coroutine of `Controller.spawn`; ``work`` sends it, on a thread."""

    kind: str
    fields: dict[str, Any]
    work: Callable[[RequestFunction], Any]

    def __await__(self) -> Generator[PendingReply, Any, Any]:
        return (yield self)


class NetworkThread:
    """One client as seen from one loop: `poll` runs what has arrived, on the caller's thread."""

    def __init__(
        self,
        client: Client,
        on_event: Callable[[AnyEvent], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.client = client
        self._clock = clock
        self._on_event = on_event
        self._calls: queue.Queue[Callable[[], None]] = queue.Queue(QUEUE_LIMIT)
        self._closing = threading.Event()
        self._requests = ThreadPoolExecutor(_REQUEST_THREADS, thread_name_prefix="window-request")
        # A single thread of their own keeps messages in order, and no request delays them.
        self._messages = ThreadPoolExecutor(1, thread_name_prefix="window-send")
        self._events = threading.Thread(target=self._read_events, name="window-events", daemon=True)

    def start(self) -> None:
        """Connect, in the background."""
        self.client.start()
        self._events.start()

    def poll(self, limit: int = 200, seconds: float = POLL_SECONDS) -> bool:
        """Run at most ``limit`` arrived calls, for about ``seconds``; return whether there were any."""
        until = self._clock() + seconds
        for count in range(limit):
            if self._clock() > until:
                return True
            try:
                call = self._calls.get_nowait()
            except queue.Empty:
                return count > 0
            call()
        return True

    def submit(self, pending: PendingReply, done: Callable[[Any], None], failed: Failed) -> None:
        """Send a request; later `poll` gives its result to ``done`` or its refusal to ``failed``."""
        self._submit(self._requests, partial(pending.work, self.client.request), done, failed)

    def send(
        self,
        done: Callable[[Sent], None],
        failed: Failed,
        to: str,
        body: str,
        *,
        kind: str = "text",
        reply_to: int | None = None,
    ) -> None:
        """Send a message; ``done`` gets it once it is in the outbox, ``failed`` why it cannot be there."""
        work = partial(self.client.send, to, body, kind=kind, reply_to=reply_to)
        self._submit(self._messages, work, done, failed)

    def edit(self, done: Callable[[Sent], None], failed: Failed, room: str, seq: int, body: str) -> None:
        """Replace a message's text; see `send`."""
        self._submit(self._messages, partial(self.client.edit, room, seq, body), done, failed)

    def close(self) -> None:
        """Give unsent messages a moment, then end every thread. The next run sends the others."""
        # First: nobody empties the queue any more, so no thread may wait for it.
        self._closing.set()
        self._messages.shutdown(wait=True)
        self.client.close(drain=DRAIN_SECONDS if self.client.connected else 0.0)
        self._requests.shutdown(wait=False, cancel_futures=True)
        if self._events.ident is not None:
            self._events.join()

    def _read_events(self) -> None:
        for event in self.client.events():
            self._hand_over(partial(self._on_event, event))
            if self._closing.is_set():
                return

    def _submit(
        self, pool: ThreadPoolExecutor, work: Callable[[], Any], done: Callable[[Any], None], failed: Failed
    ) -> None:
        if not self._closing.is_set():
            pool.submit(self._run, work, done, failed)

    def _run(self, work: Callable[[], Any], done: Callable[[Any], None], failed: Failed) -> None:
        try:
            result = work()
        except ChatdError as error:
            self._hand_over(partial(failed, error))
        else:
            self._hand_over(partial(done, result))

    def _hand_over(self, call: Callable[[], None]) -> None:
        while not self._closing.is_set():
            try:
                self._calls.put(call, timeout=0.2)
            except queue.Full:
                continue
            return
