"""What the disk alone takes for what a commit asks of it, without a server."""

from __future__ import annotations

import os
import time
from pathlib import Path

# A message alone makes SQLite write so much to its log; the mark is a second file.
PAGES, PAGE_BYTES, MARK_BYTES = 3, 4120, 64
LOG_BYTES = 16_000_000


def commit_ages(folder: Path, gap: float, count: int) -> list[float]:
    """Milliseconds of ``count`` commits, ascending, with ``gap`` seconds between them."""
    log = os.open(folder / "disk-log", os.O_RDWR | os.O_CREAT)
    mark = os.open(folder / "disk-mark", os.O_RDWR | os.O_CREAT)
    try:
        # As the log is in use: all of its blocks are there already.
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
    place = number * PAGES * PAGE_BYTES % (LOG_BYTES - PAGES * PAGE_BYTES)
    start = time.perf_counter()
    os.pwrite(log, os.urandom(PAGES * PAGE_BYTES), place)
    os.fdatasync(log)
    os.pwrite(mark, os.urandom(MARK_BYTES), 0)
    os.fdatasync(mark)
    return (time.perf_counter() - start) * 1e3
