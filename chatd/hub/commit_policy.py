"""When and where to commit: at once while the processes have time, after a gathering when they have not.

A commit costs the same for one event as for twenty. So does what follows it: a write to each worker, a
wake-up there, and one record, one TLS write and one `send` for each connection. Gathering ends early when
arrivals pause: senders that wait for their answers send nothing more.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from queue import SimpleQueue

from chatd.link.arrivals import Arrivals

# A batch of this size is committed at once. After a smaller one the loop leaves its links unread until
# the next batch is due: waking for a single request meets cold caches and costs as much as five in a row.
FULL_BATCH = 64
# Below this share of the busiest process nothing waits for a commit; at the other the window is longest.
QUIET_SHARE = 0.3
FULL_SHARE = 0.9
# Unread bytes that hold about as many short messages.
FULL_BYTES = 16 * 1024
# After a gathering that gained nothing, commit this many batches at once. A client that waits for each
# answer before it sends its next message would only be slowed down.
PAUSE_COMMITS = 16
# A batch this large is committed on the thread; the change of threads and back costs about 0.1 ms.
OVERLAP_EVENTS = 32
# After this long the loop waits for the commit too, so that a hub that hangs misses its heartbeat.
PATIENCE_SECONDS = 1.0


def window_seconds(share: float, longest: float) -> float:
    """Return the window at this share of the busiest process (`chatd.child.busyness`; ADR 45)."""
    return longest * min(1.0, max(0.0, (share - QUIET_SHARE) / (FULL_SHARE - QUIET_SHARE)))


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
        self._arrivals = Arrivals()
        self._unread = 0

    def arrived(self, count: int) -> None:
        """Note that ``count`` events were decided since the last call."""
        if count:
            self._arrivals.arrived(count, self._clock())

    def look(self, unread: int) -> None:
        """Take a look at the unread links; ``unread``: bytes that have arrived on them."""
        if unread > self._unread:
            self._arrivals.seen(self._clock())
        self._unread = unread
        if unread >= FULL_BYTES:
            self._due = self._clock()

    def sleep_seconds(self, size: int) -> float:
        """Return for how many seconds the loop may leave its links unread before it calls `look`.

        ``size``: events in the batch.
        """
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
        pause_at = self._arrivals.pause_at
        if pause_at <= now:
            self._due = now  # whatever the next read brings belongs to this batch
        return max(0.0, min(self._due, pause_at) - now)

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
        self._unread = 0
        self._arrivals.answered()
        self._last_commit = self._clock()


class CommitThread:
    """Waits for the disk while the loop decides the next batch. Runs one commit at a time.

    ``fileno`` becomes readable when the commit has run.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.busy = False
        self._clock = clock
        self._began = 0.0
        self._commits: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._results: SimpleQueue[BaseException | None] = SimpleQueue()
        self._wake = os.eventfd(0, os.EFD_CLOEXEC)
        self._thread = threading.Thread(target=self._run, name="commit", daemon=True)
        self._thread.start()

    def fileno(self) -> int:
        return self._wake

    def begin(self, commit: Callable[[], None]) -> None:
        """Run ``commit`` on the thread. Call `end` before the next one."""
        self.busy = True
        self._began = self._clock()
        self._commits.put(commit)

    @property
    def overdue(self) -> bool:
        """Whether the commit has been running for over `PATIENCE_SECONDS`."""
        return self.busy and self._clock() - self._began > PATIENCE_SECONDS

    def end(self) -> None:
        """Wait until the commit has run. Raises what the commit raised."""
        os.eventfd_read(self._wake)
        self.busy = False
        error = self._results.get()
        if error is not None:
            raise error

    def close(self) -> None:
        """End the thread after its current commit."""
        self._commits.put(None)
        self._thread.join()
        os.close(self._wake)

    def _run(self) -> None:
        while (commit := self._commits.get()) is not None:
            error: BaseException | None = None
            try:
                commit()
            except BaseException as raised:  # noqa: BLE001 - raised again by `end`, in the loop
                error = raised
            self._results.put(error)
            os.eventfd_write(self._wake, 1)
