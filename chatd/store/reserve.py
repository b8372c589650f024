"""Reserved space on the log's disk, so that a hub can start when the disk is full.

`data/reserve` has allocated blocks. A hub that cannot write its log releases them and ends. The next hub
starts in that space, answers reads, and refuses writes until the reserve can be allocated again.

`data/reserve-moderation` stays meanwhile. Each act of moderation frees a step of it and is recorded there.
"""

from __future__ import annotations

import os
from pathlib import Path

from chatd.store.database import NO_SPACE, storage_errors

RESERVE_NAME = "reserve"
# Enough for a start (some WAL pages), some days of log files without chat, and a distance of about 10,000
# messages between "disk full" and "space again".
RESERVE_BYTES = 8 * 1024 * 1024
MODERATION_NAME = "reserve-moderation"
# A step holds one act: a ban changes some ten pages of 4 KiB, a role that ends a hundred memberships thirty.
MODERATION_STEP = 128 * 1024
MODERATION_BYTES = 32 * MODERATION_STEP


def take_reserve(data: Path) -> bool:
    """Allocate both reserves if they are not whole; return False without space for twice the first one.

    Allocates blocks instead of asking how many are free: quotas and blocks kept for root count as free.
    Raises E504 if that fails for another reason.
    """
    with storage_errors("reserve space for the event log"):
        try:
            _allocate(data / RESERVE_NAME, RESERVE_BYTES, 2 * RESERVE_BYTES)
            _allocate(data / MODERATION_NAME, MODERATION_BYTES, MODERATION_BYTES)
            return True
        except OSError as error:
            # Do not keep a part of it: reads and log files need that space.
            release_reserve(data)
            if error.errno not in NO_SPACE:
                raise
            return False


def _allocate(path: Path, size: int, tried: int) -> None:
    """Make a file of ``size`` allocated bytes, if there is space for ``tried``. Raises OSError."""
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        status = os.fstat(fd)
        if status.st_size == size <= status.st_blocks * 512:
            return
        try:
            os.posix_fallocate(fd, 0, tried)
        except OSError:
            os.ftruncate(fd, status.st_size)
            raise
        os.ftruncate(fd, size)
    finally:
        os.close(fd)


def spend_reserve(data: Path) -> bool:
    """Free a step of moderation's reserve; return False if nothing is left of it."""
    try:
        fd = os.open(data / MODERATION_NAME, os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        left = os.fstat(fd).st_size - MODERATION_STEP
        if left < 0:
            return False
        os.ftruncate(fd, left)
        return True
    except OSError:
        return False
    finally:
        os.close(fd)


def release_reserve(data: Path) -> None:
    """Release the space. Never raises: it runs when other writes have failed."""
    try:
        (data / RESERVE_NAME).unlink(missing_ok=True)
    except OSError:
        return
