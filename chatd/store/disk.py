"""Writes to the data folder that SQLite does not do."""

from __future__ import annotations

import fcntl
import os
from os import fdatasync, pwrite
from pathlib import Path

from chatd.crashpoints import crash_point
from chatd.errors import ChatdError

_CHUNK_BYTES = 1024 * 1024


def lock_file(fd: int, reason: str, fix: str = "") -> None:
    """Lock a file or folder until ``fd`` is closed. Raises E604 if another process has locked it."""
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise ChatdError("E604", reason, fix) from None


def write_synced(fd: int, data: bytes, offset: int) -> None:
    """Overwrite an existing part of a file; durable when this returns. Raises OSError."""
    if pwrite(fd, data, offset) != len(data):
        raise OSError("short write")
    crash_point("store.mark.written")
    fdatasync(fd)


def rewrite(path: Path) -> None:
    """Rewrite a file with its own bytes and sync it, if it exists. Raises OSError.

    After a failed fsync, Linux still returns the written data but marks the pages clean: they are not on the
    disk, and no later fsync writes them (PostgreSQL's "fsyncgate"). Rewriting makes them dirty again.
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
