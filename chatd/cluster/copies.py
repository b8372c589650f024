"""Track what the other nodes have in their logs, and wait for enough copies."""

from __future__ import annotations

import os
import select
import threading
import time
from collections.abc import Callable, Iterable
from typing import Final

from chatd.errors import ChatdError

# What is redacted is kept, sealed, for a node that is away for no longer: later it lacks a part of the log.
AWAY_SECONDS: Final = 600.0
# How often the loop looks for what else is due while it waits for copies.
PUMP_SECONDS: Final = 0.05


class PeerCopies:
    """Counts copies on ``others``, of which ``needed`` must have a message before it is acknowledged.

    ``pump`` receives from the other nodes for at most so many seconds. It is called on the thread that made
    this; other threads wait for what `note` tells.
    """

    def __init__(
        self,
        others: Iterable[str],
        needed: int,
        pump: Callable[[float], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._needed = needed
        self._pump = pump
        self._clock = clock
        self._thread = threading.get_ident()
        # Node -> the last message that it has, and when it said so.
        self._has: dict[str, tuple[int, float]] = dict.fromkeys(others, (0, clock()))
        self._wake = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)

    def note(self, node: str, seq: int) -> None:
        """Note that a node has the stream up to a message in its log."""
        if node in self._has:
            self._has[node] = (seq, self._clock())
        os.eventfd_write(self._wake, 1)

    def awaited(self) -> dict[str, int]:
        """Return what each node has of the stream that is expected to follow it."""
        now = self._clock()
        return {node: seq for node, (seq, at) in list(self._has.items()) if now - at < AWAY_SECONDS}

    def wait(self, seq: int, seconds: float) -> None:
        """Wait until enough nodes have the stream up to a message. Raises E506 after so many seconds."""
        deadline = self._clock() + seconds
        while sum(has >= seq for has, _ in list(self._has.values())) < self._needed:
            left = deadline - self._clock()
            if left <= 0:
                raise ChatdError("E506", f"fewer than {self._needed + 1} nodes have what was decided")
            if threading.get_ident() == self._thread:
                self._pump(min(left, PUMP_SECONDS))
            else:
                self._sleep(left)

    def _sleep(self, seconds: float) -> None:
        select.select([self._wake], [], [], seconds)
        try:
            os.eventfd_read(self._wake)
        except BlockingIOError:
            pass

    def close(self) -> None:
        os.close(self._wake)
