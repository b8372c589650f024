"""A thread that waits for the disk, so that the ordering loop decides the next batch meanwhile."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from queue import SimpleQueue

# Events from which a batch is worth a change of threads and back (about 0.1 ms).
OVERLAP_EVENTS = 32
# From then on the loop waits for the disk, too: its heartbeat must not go on for a hub that hangs.
PATIENCE_SECONDS = 1.0


class Committer:
    """Runs one commit at a time. ``fileno`` is readable when `end` does not have to wait."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.busy = False
        self._clock = clock
        self._began = 0.0
        self._jobs: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._results: SimpleQueue[BaseException | None] = SimpleQueue()
        self._wake = os.eventfd(0, os.EFD_CLOEXEC)
        self._thread = threading.Thread(target=self._run, name="commit", daemon=True)
        self._thread.start()

    def fileno(self) -> int:
        """For the selector."""
        return self._wake

    def begin(self, commit: Callable[[], None]) -> None:
        """Run ``commit`` on the thread; `end` before the next one."""
        self.busy = True
        self._began = self._clock()
        self._jobs.put(commit)

    @property
    def slow(self) -> bool:
        """Whether it has been running for long."""
        return self.busy and self._clock() - self._began > PATIENCE_SECONDS

    def end(self) -> None:
        """Wait until it has run. Raises what it has raised."""
        os.eventfd_read(self._wake)
        self.busy = False
        error = self._results.get()
        if error is not None:
            raise error

    def close(self) -> None:
        """End the thread after the commit it is at."""
        self._jobs.put(None)
        self._thread.join()
        os.close(self._wake)

    def _run(self) -> None:
        while (commit := self._jobs.get()) is not None:
            error: BaseException | None = None
            try:
                commit()
            except BaseException as raised:  # noqa: BLE001 - handed to the loop, which ends with it
                error = raised
            self._results.put(error)
            os.eventfd_write(self._wake, 1)
