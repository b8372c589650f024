"""Between the client library's threads and the window's: nothing here ever makes the window wait.

Events and answers become calls in one bounded queue that the window's loop empties. While it is full
the library is not read on, so that a flood ends up where it belongs: in the server's outbox.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

from chatctl.client import AnyEvent, Client, Sent
from chatd.errors import ChatdError
from chatd.proto.frames import JsonObject

AHEAD_LIMIT = 512
# Pages of one list; more rooms or members than these hold are not asked for.
PAGES_LIMIT = 20
DRAIN_SECONDS = 2.0
# Of the loop's time for one turn: keys and drawing wait for no flood.
POLL_SECONDS = 0.02
_ASKING_THREADS = 3

Failed = Callable[[ChatdError], None]


class NetworkThread:
    """One client, as seen from one loop: `poll` runs what has arrived, on the caller's thread."""

    def __init__(
        self,
        client: Client,
        on_event: Callable[[AnyEvent], None],
        failed: Failed,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._clock = clock
        self._client = client
        self._on_event = on_event
        self._failed = failed
        self._calls: queue.Queue[Callable[[], None]] = queue.Queue(AHEAD_LIMIT)
        self._closing = threading.Event()
        self._asking = ThreadPoolExecutor(_ASKING_THREADS, thread_name_prefix="window-ask")
        # One thread, apart from the others: messages keep their order and wait for no request.
        self._sending = ThreadPoolExecutor(1, thread_name_prefix="window-send")
        self._pump = threading.Thread(target=self._run, name="window-events", daemon=True)

    @property
    def client(self) -> Client:
        """The client library's object."""
        return self._client

    def start(self) -> None:
        """Connect, in the background."""
        self._client.start()
        self._pump.start()

    def poll(self, limit: int = 200, seconds: float = POLL_SECONDS) -> bool:
        """Run at most ``limit`` of what has arrived, for about ``seconds``; whether anything was."""
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

    def ask(
        self, kind: str, done: Callable[[JsonObject], None], failed: Failed | None = None, **fields: Any
    ) -> None:
        """Send a request; later, in `poll`, ``done`` gets the result or ``failed`` the refusal."""
        work = partial(self._client.request, kind, **fields)
        self._submit(self._asking, work, done, failed)

    def ask_all(
        self,
        kind: str,
        key: str,
        by: str,
        done: Callable[[list[JsonObject]], None],
        failed: Failed | None = None,
        **fields: Any,
    ) -> None:
        """The same for a paged list: entries under ``key``, each named by its field ``by``."""
        self._submit(self._asking, partial(self._pages, kind, key, by, fields), done, failed)

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
        work = partial(self._client.send, to, body, kind=kind, reply_to=reply_to)
        self._submit(self._sending, work, done, failed)

    def close(self) -> None:
        """Give what is unsent a moment, then end every thread. What is left is kept for the next run."""
        # First, as nobody empties the queue any more: a thread that hands over must not wait for it.
        self._closing.set()
        self._sending.shutdown(wait=True)
        self._client.close(drain=DRAIN_SECONDS if self._client.connected else 0.0)
        self._asking.shutdown(wait=False, cancel_futures=True)
        if self._pump.ident is not None:
            self._pump.join()

    def _run(self) -> None:
        for event in self._client.events():
            self._hand_over(partial(self._on_event, event))
            if self._closing.is_set():
                return

    def _submit(
        self,
        pool: ThreadPoolExecutor,
        work: Callable[[], Any],
        done: Callable[[Any], None],
        failed: Failed | None,
    ) -> None:
        if not self._closing.is_set():
            pool.submit(self._work, work, done, failed or self._failed)

    def _work(self, work: Callable[[], Any], done: Callable[[Any], None], failed: Failed) -> None:
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

    def _pages(self, kind: str, key: str, by: str, fields: dict[str, Any]) -> list[JsonObject]:
        page = self._client.request(kind, **fields)
        entries: list[JsonObject] = list(page[key])
        for _ in range(PAGES_LIMIT):
            if not (page.get("more") and page[key]):
                break
            page = self._client.request(kind, after=page[key][-1][by], **fields)
            entries += page[key]
        return entries
