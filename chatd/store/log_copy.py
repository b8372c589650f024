"""A backup's own copy of the event log: consistent, verified, and gone afterwards."""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, NamedTuple

import apsw

from chatd.errors import ChatdError
from chatd.store.database import DATABASE_NAME, connect_reader, damaged, meta_int, query, storage_errors
from chatd.store.entry import Point
from chatd.store.mark import Mark, MarkFile, read_mark
from chatd.store.migrations import schema_version
from chatd.store.sealed_file import unusable
from chatd.store.verifier import point_at, verify

COPY_NAME = ".backup"
_SIZE = "SELECT page_count * page_size FROM pragma_page_count, pragma_page_size"
# Left free on the disk of a running server when a copy of its log is made there.
SPARE_BYTES = 64 * 1024 * 1024
_STEPS_BETWEEN_LOOKS = 100_000  # of SQLite's machine: a few ms, so that Ctrl-C works during a copy

BackupProgress = Callable[
    [str, int, int], None
]  # what is being done, how much of it, of how much (0: unknown)


class LogCopy(NamedTuple):
    """A verified copy of the log; the file has no name any more and ends with its descriptor."""

    file: BinaryIO
    size: int
    schema: int
    epoch: int
    head: Point


def require_space(folder: Path, size: int) -> None:
    """Raises E613 unless ``size`` bytes and some to spare are free on the disk of ``folder``; E606."""
    try:
        free = shutil.disk_usage(folder).free
    except OSError as error:
        raise ChatdError("E606", f"{folder}: {error.strerror}") from None
    if free < size + SPARE_BYTES:
        short = (size + SPARE_BYTES - free) // 1_000_000 + 1
        raise unusable(f"{short} MB are missing on the disk of {folder}", "free some space")


@contextmanager
def copied_log(data: Path, progress: BackupProgress) -> Iterator[LogCopy]:
    """Copy the log in ``data`` and verify every entry of the copy; the hub may write meanwhile.

    The copy lies in ``data/.backup`` (0700) for as long as SQLite needs a name for it. Raises E604 when
    another backup is being made, E610 for a damaged log, E613 without space, E504.
    """
    with storage_errors("copy the event log"):
        folder_fd = os.open(data, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    folder = data / COPY_NAME
    try:
        _lock(folder_fd, data)
        try:
            shutil.rmtree(folder, ignore_errors=True)  # of a backup that was killed
            copy = _copy(data, folder, progress)
        finally:
            shutil.rmtree(folder, ignore_errors=True)
        with copy.file:
            yield copy
    finally:
        os.close(folder_fd)


def _lock(folder_fd: int, data: Path) -> None:
    try:
        fcntl.flock(folder_fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise ChatdError(
            "E604", f"another backup of {data.parent} is being made", "wait until it is done"
        ) from None


def _copy(data: Path, folder: Path, progress: BackupProgress) -> LogCopy:
    with storage_errors("copy the event log"):
        mark = read_mark(data)  # before the copy: the log only moves further ahead of it
        if not (data / DATABASE_NAME).exists():
            raise damaged(f"{DATABASE_NAME} is missing")
        folder.mkdir(mode=0o700)
        _vacuum(data, folder / DATABASE_NAME, progress)
        if mark is not None:
            write_mark(folder, mark)
    check_log(folder, progress)
    with storage_errors("copy the event log"):
        connection = connect_reader(folder)
        try:
            schema, epoch = schema_version(connection), meta_int(connection, "epoch")
            head = point_at(connection, query(connection, "SELECT coalesce(max(seq), 0) FROM events")[0][0])
        finally:
            connection.close()
        file = (folder / DATABASE_NAME).open("rb")
        return LogCopy(file, os.fstat(file.fileno()).st_size, schema, epoch, head)


def _vacuum(data: Path, target: Path, progress: BackupProgress) -> None:
    # SQLite would create it readable for all; it does take an empty file.
    os.close(os.open(target, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
    connection = connect_reader(data)
    try:
        total = query(connection, "SELECT page_count * page_size FROM pragma_page_count, pragma_page_size")[
            0
        ][0]
        require_space(data, total)

        def look() -> bool:
            progress("copying the log", min(target.stat().st_size, total), total)
            return False

        connection.set_progress_handler(look, _STEPS_BETWEEN_LOOKS)
        connection.execute("VACUUM INTO ?", (str(target),))
    except apsw.FullError:
        raise unusable(f"the disk of {data} is full", "free some space") from None
    finally:
        connection.close()


def write_mark(folder: Path, mark: Mark) -> None:
    """Set the high-water mark of a log that nobody has open. Raises OSError."""
    marks = MarkFile(folder)
    try:
        marks.write(mark)
    finally:
        marks.close()


def check_log(data: Path, progress: BackupProgress) -> None:
    """Raises E610 unless every entry is what it was and the log reaches its mark."""
    report = verify(data, full=True, progress=lambda seq: progress("verifying the log, event", seq, 0))
    if not report.ok:
        raise damaged(f"the event log is damaged: {report.reason}")
