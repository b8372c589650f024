"""Reserved space on the log's disk, so that a hub can start when the disk is full.

`data/reserve` has allocated blocks. A hub that cannot write its log releases them and ends. The next hub
starts in that space, answers reads, and refuses writes until the reserve can be allocated again.
"""

from __future__ import annotations

import errno
import os
from pathlib import Path

from chatd.store.database import storage_errors

RESERVE_NAME = "reserve"
# Enough for a start (some WAL pages), some days of log files without chat, and a distance of about 10,000
# messages between "disk full" and "space again".
RESERVE_BYTES = 8 * 1024 * 1024
_NO_SPACE = (errno.ENOSPC, errno.EDQUOT)


def take_reserve(data: Path) -> bool:
    """Allocate the reserve if it is missing; return False without space for twice its size.

    Allocates blocks instead of asking how many are free: quotas and blocks kept for root count as free.
    Raises E504 if that fails for another reason.
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
            # Do not keep a part of it: reads and log files need that space.
            release_reserve(data)
            if error.errno not in _NO_SPACE:
                raise
            return False
        finally:
            os.close(fd)


def release_reserve(data: Path) -> None:
    """Release the space. Never raises: it runs when other writes have failed."""
    try:
        (data / RESERVE_NAME).unlink(missing_ok=True)
    except OSError:
        return
