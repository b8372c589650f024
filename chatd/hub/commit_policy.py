"""When to commit: at once while it is quiet, after a short gathering while it is busy.

A commit costs the same for one event as for twenty. So does what follows it: a write to each worker, a
wake-up there, and one record, one TLS write and one `send` for each connection.
"""

from __future__ import annotations

import time
from collections.abc import Callable

# A batch of this size is committed at once. After a smaller one the loop leaves its links unread until
# the next batch is due: waking for a single request meets cold caches and costs as much as five in a row.
FULL_BATCH = 64
# After a gathering that gained nothing, commit this many batches at once. A client that waits for each
# answer before it sends its next message would only be slowed down.
PAUSE_COMMITS = 16


class CommitPolicy:
    """``seconds``: the least time between two commits; 0 commits at once. Asked every loop iteration."""

    def __init__(self, seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self.seconds = seconds
        self._clock = clock
        self._last_commit = float("-inf")
        self._due: float | None = None
        self._size_when_gathering_began = 0
        self._pause = 0
        self._last_was_small = True

    def sleep_seconds(self, size: int) -> float:
        """Return for how many seconds the loop may leave its links unread; ``size``: events in the batch."""
        return self.wait_seconds(size) if self._last_was_small else 0.0

    def wait_seconds(self, size: int) -> float:
        """Return for how many seconds a batch of ``size`` events may still grow; 0 means commit now."""
        if not size or size >= FULL_BATCH or self._pause:
            return 0.0
        now = self._clock()
        if self._due is None:
            due = self._last_commit + self.seconds
            if due <= now:
                return 0.0
            self._due, self._size_when_gathering_began = due, size
        return max(0.0, self._due - now)

    def committed(self, size: int) -> None:
        """Note that a batch of ``size`` events was committed."""
        if not size:
            return
        self._last_was_small = size < FULL_BATCH
        if self._pause:
            self._pause -= 1
        elif self._due is not None and size <= self._size_when_gathering_began:
            self._pause = PAUSE_COMMITS
        self._due = None
        self._last_commit = self._clock()
