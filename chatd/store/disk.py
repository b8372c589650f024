"""The few writes to the disk that SQLite does not do for us."""

from __future__ import annotations

import os
from os import fdatasync, pwrite
from pathlib import Path

from chatd.crashpoints import crash_point

_CHUNK_BYTES = 1024 * 1024


def write_synced(fd: int, data: bytes, offset: int) -> None:
    """Write into an existing part of a file; durable when this returns. Raises OSError."""
    if pwrite(fd, data, offset) != len(data):
        raise OSError("short write")
    crash_point("store.mark.written")
    fdatasync(fd)


def write_again(path: Path) -> None:
    """Write a file's own bytes over it and sync it; nothing to do without the file. Raises OSError.

    After a failed fsync Linux shows what was written but counts it as clean: it is not on the disk,
    and no later fsync puts it there (PostgreSQL's "fsyncgate"). Writing makes it dirty again.
    """
    try:
        fd = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return
    try:
        offset = 0
        while chunk := os.pread(fd, _CHUNK_BYTES, offset):
            if pwrite(fd, chunk, offset) != len(chunk):
                raise OSError("short write")
            offset += len(chunk)
        if offset:
            fdatasync(fd)
    finally:
        os.close(fd)


def sync_folder(folder: Path) -> None:
    """Make the names of new files in ``folder`` durable; their contents alone are not enough."""
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
