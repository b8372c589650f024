"""When to commit: at once while it is quiet; while it is busy a little later, with what comes meanwhile.

A commit costs the same for one event as for twenty, and so does all that follows from it: a write to
each worker, a wake-up there, one record, one TLS write and one `send` for each connection.
"""

from __future__ import annotations

import time
from collections.abc import Callable

# Events that are worth a commit of their own, however soon. After a commit of fewer what comes next is left
# unread until the batch is due: each wake-up for a single request finds the processor's caches full of
# something else, and costs as much as five in a row.
ENOUGH = 64
# Waiting that gained nothing is not tried again for so many commits: a client that sends its next
# message when it has the answer to the last would only be slowed down.
COMMITS_WITHOUT = 16


class Gathering:
    """``seconds`` is the least time between two commits; 0 never waits. Asked each turn of the loop."""

    def __init__(self, seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self.seconds = seconds
        self._clock = clock
        self._last = float("-inf")
        self._due: float | None = None
        self._at_first = 0
        self._without = 0
        self._few = True

    def rest(self, waiting: int) -> float:
        """Seconds in which a batch of ``waiting`` events may grow without being looked at."""
        return self.wait(waiting) if self._few else 0.0

    def wait(self, waiting: int) -> float:
        """Seconds for which a batch of ``waiting`` events may still grow; 0: commit it now."""
        if not waiting or waiting >= ENOUGH or self._without:
            return 0.0
        now = self._clock()
        if self._due is None:
            due = self._last + self.seconds
            if due <= now:
                return 0.0
            self._due, self._at_first = due, waiting
        return max(0.0, self._due - now)

    def committed(self, events: int) -> None:
        """A batch of ``events`` has been committed."""
        if not events:
            return
        self._few = events < ENOUGH
        if self._without:
            self._without -= 1
        elif self._due is not None and events <= self._at_first:
            self._without = COMMITS_WITHOUT
        self._due = None
        self._last = self._clock()
