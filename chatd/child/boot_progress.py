"""Report progress of a long start to the supervisor, which ends a child that says nothing."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

PROGRESS_SECONDS: Final = 1.0
"""Pause between two reports; the supervisor waits many times as long."""


class BootProgress:
    """Sends at most one message in `PROGRESS_SECONDS`, and only when called.

    Call it from the code that does the work. A timer would report progress of a child that hangs.
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
