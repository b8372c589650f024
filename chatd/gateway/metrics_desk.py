"""The server's metrics, asked of the hub at most twice a second however many monitors ask."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from chatd.errors import ChatdError
from chatd.proto.frames import JsonObject

# The metrics, or that there are none, are told to everybody who asks within this time: asking costs the hub
# nothing more, and no thread waits for a second time-out.
FRESH_SECONDS = 0.5


class MetricsDesk:
    """`ask` is for any thread. ``ask_hub`` returns the hub's metrics or raises ChatdError."""

    def __init__(
        self, ask_hub: Callable[[], JsonObject], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._ask_hub = ask_hub
        self._clock = clock
        # Held while the hub is asked: who asks meanwhile gets the same answer.
        self._lock = threading.Lock()
        self._last: JsonObject | ChatdError = {}
        self._last_at = float("-inf")

    def ask(self) -> JsonObject:
        """Return the metrics. Raises ChatdError while the hub does not answer."""
        with self._lock:
            if self._clock() - self._last_at >= FRESH_SECONDS:
                try:
                    self._last = self._ask_hub()
                except ChatdError as error:
                    self._last = error
                self._last_at = self._clock()
            last = self._last
        if isinstance(last, ChatdError):
            raise ChatdError(last.code, last.reason, last.fix)
        return last
