"""One at a time, and who came first before all others."""

from __future__ import annotations

import heapq
import itertools
import threading
from collections.abc import Iterator
from contextlib import contextmanager


class Turns:
    """Gives the turn to one thread at a time; of those who wait, to the one with the lowest ticket.

    For work of several steps with waiting in between. A plain lock serves the steps in any order: of
    hundreds who come together nearly all are half done until the end, and then done at the same time.
    """

    def __init__(self) -> None:
        self._tickets = itertools.count()
        # Protects the rest.
        self._lock = threading.Lock()
        self._taken = False
        self._waiting: list[tuple[int, threading.Lock]] = []

    def ticket(self) -> int:
        """The place of one who comes now, for all of its steps."""
        return next(self._tickets)

    @contextmanager
    def hold(self, ticket: int) -> Iterator[None]:
        """Wait for the turn and have it for the length of the block. Not to be nested."""
        self._wait(ticket)
        try:
            yield
        finally:
            self._pass_on()

    def _wait(self, ticket: int) -> None:
        with self._lock:
            if not self._taken:
                self._taken = True
                return
            handed_over = threading.Lock()
            handed_over.acquire()
            heapq.heappush(self._waiting, (ticket, handed_over))
        handed_over.acquire()

    def _pass_on(self) -> None:
        with self._lock:
            if self._waiting:
                heapq.heappop(self._waiting)[1].release()
            else:
                self._taken = False
