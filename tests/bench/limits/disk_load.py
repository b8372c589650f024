"""Time the writes and syncs of a commit on the bare disk, without a server."""

from __future__ import annotations

import os
import time
from pathlib import Path

# A commit of one message writes this much to SQLite's log, and the mark to a second file.
PAGES, PAGE_BYTES, MARK_BYTES = 3, 4120, 64
LOG_BYTES = 16_000_000


def commit_ages(folder: Path, gap: float, count: int) -> list[float]:
    """Time ``count`` commits, ``gap`` seconds apart; return the milliseconds in ascending order."""
    log = os.open(folder / "disk-log", os.O_RDWR | os.O_CREAT)
    mark = os.open(folder / "disk-mark", os.O_RDWR | os.O_CREAT)
    try:
        # As with a log in use, all blocks are allocated.
        os.write(log, bytes(LOG_BYTES))
        os.write(mark, bytes(MARK_BYTES))
        os.fsync(log)
        os.fsync(mark)
        return sorted(_commit(log, mark, number, gap) for number in range(count))
    finally:
        os.close(log)
        os.close(mark)


def _commit(log: int, mark: int, number: int, gap: float) -> float:
    time.sleep(gap)
    offset = number * PAGES * PAGE_BYTES % (LOG_BYTES - PAGES * PAGE_BYTES)
    start = time.perf_counter()
    os.pwrite(log, os.urandom(PAGES * PAGE_BYTES), offset)
    os.fdatasync(log)
    os.pwrite(mark, os.urandom(MARK_BYTES), 0)
    os.fdatasync(mark)
    return (time.perf_counter() - start) * 1e3
