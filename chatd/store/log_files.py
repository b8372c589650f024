"""The files of the event log: whether they are there, and whether they are still the same."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from chatd.errors import ChatdError
from chatd.store.database import DATABASE_NAME, LONG_WAL_PAGES, PAGE_BYTES, damaged
from chatd.store.disk import lock_file
from chatd.store.mark import MARK_NAME, Mark, read_mark

LOCK_NAME = "hub.lock"
LOST = ".lost"
LOG_MISSING = (
    "mount the disk with the data folder, or restore a backup; chatd init --new-log begins an empty log"
)
FILES_GONE = "stop chatd, put the files back or restore a backup, then start it"


def require_log(data: Path) -> None:
    """Raise E610 if there is no event log in ``data``."""
    path = data / DATABASE_NAME
    try:
        missing = path.stat().st_size == 0
    except FileNotFoundError:
        missing = True
    if missing:
        raise damaged(f"there is no event log: {path} is missing or empty", LOG_MISSING)


def set_aside_rest(data: Path) -> list[Path]:
    """Rename what is left of a log whose database is missing or empty, so that a new one can begin there."""
    rest = [Path(path) for path in log_paths(data) if Path(path).exists()]
    return [path.rename(path.with_name(f"{path.name}{LOST}")) for path in rest]


def wal_held(data: Path) -> str:
    """A sentence about a write-ahead log that a long read keeps from being emptied; "" for a short one."""
    name = f"{DATABASE_NAME}-wal"
    try:
        size = (data / name).stat().st_size
    except OSError:
        return ""
    if size < LONG_WAL_PAGES * PAGE_BYTES:
        return ""
    return f"{name} has {size // 1_000_000} MB: a program keeps events.db open for reading"


def log_paths(data: Path) -> tuple[str, ...]:
    """The paths of the files that hold what is acknowledged."""
    return tuple(str(data / name) for name in (DATABASE_NAME, f"{DATABASE_NAME}-wal", MARK_NAME))


def inodes(paths: Sequence[str]) -> tuple[int, ...]:
    """The inode numbers of files, 0 for one that is missing."""
    found = []
    for path in paths:
        try:
            found.append(os.stat(path).st_ino)  # noqa: PTH116 - for each commit; pathlib takes twice as long
        except FileNotFoundError:
            found.append(0)
    return tuple(found)


def lock_log(data: Path) -> int:
    """Lock the lock file, which is never deleted. Raises E604."""
    fd = os.open(data / LOCK_NAME, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        lock_file(fd, f"another process has the event log in {data} open")
    except ChatdError:
        os.close(fd)
        raise
    return fd


def existing_mark(data: Path) -> Mark | None:
    """Read the mark. Raises E610 if it belongs to a database that is missing."""
    mark = read_mark(data)
    if mark is not None and mark.point.seq and not (data / DATABASE_NAME).exists():
        raise damaged(f"{DATABASE_NAME} is missing; it held {mark.point.seq} entries")
    return mark
