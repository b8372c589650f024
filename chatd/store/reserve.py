"""Some space on the log's disk that belongs to nobody, so that a hub can start when the disk is full.

`data/reserve` is real blocks. A hub that cannot write its log gives it up and ends; the next one has that
space to start in, answers reads, and takes no writes until the reserve can be made again.
"""

from __future__ import annotations

import errno
import os
from pathlib import Path

from chatd.store.database import storage_errors

RESERVE_NAME = "reserve"
# For a start (some pages of the write-ahead log), the log files of some days without writes, and a
# distance between "full" and "room again" of about 10,000 messages.
RESERVE_BYTES = 8 * 1024 * 1024
_NO_ROOM = (errno.ENOSPC, errno.EDQUOT)


def take_reserve(data: Path) -> bool:
    """Have the reserve in place; False when there is not room for it and as much again.

    Asks for the blocks themselves: what a file system reports as free may not be ours (quotas, blocks
    kept for root). Raises E504 when that fails for another reason.
    """
    with storage_errors("reserve space for the event log"):
        fd = os.open(data / RESERVE_NAME, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            status = os.fstat(fd)
            if status.st_size == RESERVE_BYTES <= status.st_blocks * 512:
                return True
            os.posix_fallocate(fd, 0, 2 * RESERVE_BYTES)
            os.ftruncate(fd, RESERVE_BYTES)
            return True
        except OSError as error:
            # Not kept in part: that is the space that reads and log lines go on with.
            release_reserve(data)
            if error.errno not in _NO_ROOM:
                raise
            return False
        finally:
            os.close(fd)


def release_reserve(data: Path) -> None:
    """Give the space back. Never fails: it is called when everything else does."""
    try:
        (data / RESERVE_NAME).unlink(missing_ok=True)
    except OSError:
        return
