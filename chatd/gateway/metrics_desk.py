"""The server's metrics: asked of the hub by the loop, waited for by the connections' threads."""

from __future__ import annotations

import os
import queue
import time
from collections.abc import Callable
from concurrent.futures import Future

from chatd.errors import ChatdError
from chatd.link.hub_desk import HubDesk
from chatd.proto.frames import JsonObject

# The hub answers in a millisecond; a restart of it takes less than half a second.
WAIT_SECONDS = 3.0
# Metrics are given to everybody who asks within this time, so that asking costs the hub nothing more.
FRESH_SECONDS = 0.5


class MetricsDesk:
    """`ask` is for any thread; all else is for the loop, whose selector watches `fileno`."""

    def __init__(self, hub: HubDesk, clock: Callable[[], float] = time.monotonic) -> None:
        self._hub = hub
        self._clock = clock
        self._asked: queue.SimpleQueue[Future[JsonObject]] = queue.SimpleQueue()
        self._wake = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self._last: JsonObject | None = None
        self._last_at = 0.0
        # Those who wait for an answer that was asked for already.
        self._waiting: list[Future[JsonObject]] = []

    def fileno(self) -> int:
        return self._wake

    def ask(self) -> JsonObject:
        """Return the metrics. Raises ChatdError E502, E503 or E611 while the hub does not answer."""
        future: Future[JsonObject] = Future()
        self._asked.put(future)
        os.eventfd_write(self._wake, 1)
        try:
            return future.result(WAIT_SECONDS)
        except TimeoutError:
            raise ChatdError("E611", "the hub does not answer") from None

    def take(self) -> None:
        """Ask the hub for everybody who has asked since."""
        os.eventfd_read(self._wake)
        while True:
            try:
                future = self._asked.get_nowait()
            except queue.Empty:
                return
            if self._last is not None and self._clock() - self._last_at < FRESH_SECONDS:
                future.set_result(self._last)
                continue
            self._waiting.append(future)
            if len(self._waiting) == 1:
                self._hub.ask("metrics", [], self._answered)

    def _answered(self, answer: JsonObject | ChatdError) -> None:
        waiting, self._waiting = self._waiting, []
        if not isinstance(answer, ChatdError):
            self._last, self._last_at = answer, self._clock()
        for future in waiting:
            if isinstance(answer, ChatdError):
                future.set_exception(answer)
            else:
                future.set_result(answer)
