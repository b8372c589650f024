"""What a child that is starting tells the supervisor, so that a long start is no silence."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

PROGRESS_SECONDS: Final = 1.0
"""How often to tell it: the supervisor waits many times as long."""


class BootProgress:
    """Sends at most one message in `PROGRESS_SECONDS`, and only when called: whoever hangs falls silent.

    Called by what does the work, never by a timer, which would speak for work that is not done.
    """

    def __init__(
        self, send: Callable[[dict[str, object]], None], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._send = send
        self._clock = clock
        self._next = clock() + PROGRESS_SECONDS

    def __call__(self) -> None:
        now = self._clock()
        if now >= self._next:
            self._next = now + PROGRESS_SECONDS
            self._send({"type": "progress"})
