"""Make a consistent, verified, temporary copy of the event log for a backup."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, NamedTuple

import apsw

from chatd.errors import ChatdError
from chatd.store.chain import point_at
from chatd.store.database import (
    DATABASE_NAME,
    connect_reader,
    damaged,
    head_seq,
    meta_int,
    query,
    storage_errors,
)
from chatd.store.disk import lock_file
from chatd.store.entry import Point
from chatd.store.mark import Mark, MarkFile, read_mark
from chatd.store.migrations import schema_version
from chatd.store.sealed_file import unusable
from chatd.store.snapshots import SnapshotCheck
from chatd.store.verifier import verify

COPY_NAME = ".backup"
_SIZE = "SELECT page_count * page_size FROM pragma_page_count, pragma_page_size"
# Space to leave free on the disk of a running server beside the copy.
SPARE_BYTES = 64 * 1024 * 1024
_STEPS_BETWEEN_CALLS = 100_000  # of SQLite's virtual machine, a few ms: lets Ctrl-C interrupt a copy

# The current step, how much of it is done, of how much (0: unknown).
BackupProgress = Callable[[str, int, int], None]


class LogCopy(NamedTuple):
    """A verified copy of the log. The file is already unlinked; closing it deletes it."""

    file: BinaryIO
    size: int
    schema: int
    epoch: int
    head: Point


def require_space(folder: Path, size: int) -> None:
    """Raise E613 unless ``size`` bytes and SPARE_BYTES are free on the disk of ``folder``; E606."""
    try:
        free = shutil.disk_usage(folder).free
    except OSError as error:
        raise ChatdError("E606", f"{folder}: {error.strerror}") from None
    if free < size + SPARE_BYTES:
        missing = (size + SPARE_BYTES - free) // 1_000_000 + 1
        raise unusable(f"the disk of {folder} needs {missing} MB more free space", "free some space")


@contextmanager
def copied_log(
    data: Path, progress: BackupProgress, agrees: SnapshotCheck | None = None
) -> Iterator[LogCopy]:
    """Copy the log in ``data`` and verify every entry of the copy; a hub may write meanwhile.

    ``agrees`` checks its snapshot: see `verify`.

    The copy is in ``data/.backup`` (0700) while SQLite needs a name for it. Raises E604 if another backup is
    running, E610 for a damaged log, E613 if space is missing, E504.
    """
    with storage_errors("copy the event log"):
        folder_fd = os.open(data, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    folder = data / COPY_NAME
    try:
        lock_file(folder_fd, f"another backup of {data.parent} is being made", "wait until it is done")
        try:
            shutil.rmtree(folder, ignore_errors=True)  # left by a killed backup
            copy = _copy(data, folder, progress, agrees)
        finally:
            shutil.rmtree(folder, ignore_errors=True)
        with copy.file:
            yield copy
    finally:
        os.close(folder_fd)


def _copy(data: Path, folder: Path, progress: BackupProgress, agrees: SnapshotCheck | None) -> LogCopy:
    with storage_errors("copy the event log"):
        mark = read_mark(data)  # before the copy, which then reaches at least this mark
        if not (data / DATABASE_NAME).exists():
            raise damaged(f"{DATABASE_NAME} is missing")
        folder.mkdir(mode=0o700)
        _vacuum(data, folder / DATABASE_NAME, progress)
        if mark is not None:
            write_mark(folder, mark)
    check_log(folder, progress, agrees)
    with storage_errors("copy the event log"):
        connection = connect_reader(folder)
        try:
            schema, epoch = schema_version(connection), meta_int(connection, "epoch")
            head = point_at(connection, head_seq(connection))
        finally:
            connection.close()
        file = (folder / DATABASE_NAME).open("rb")
        return LogCopy(file, os.fstat(file.fileno()).st_size, schema, epoch, head)


def _vacuum(data: Path, target: Path, progress: BackupProgress) -> None:
    # SQLite would create it readable by others, but accepts an existing empty file.
    os.close(os.open(target, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
    connection = connect_reader(data)
    try:
        (total,) = query(connection, _SIZE)[0]
        require_space(data, total)

        def report() -> bool:
            progress("copying the log", min(target.stat().st_size, total), total)
            return False

        connection.set_progress_handler(report, _STEPS_BETWEEN_CALLS)
        connection.execute("VACUUM INTO ?", (str(target),))
    except apsw.FullError:
        raise unusable(f"the disk of {data} is full", "free some space") from None
    finally:
        connection.close()


def write_mark(folder: Path, mark: Mark) -> None:
    """Write the mark of a log that no process has open. Raises OSError."""
    marks = MarkFile(folder)
    try:
        marks.write(mark)
    finally:
        marks.close()


def check_log(data: Path, progress: BackupProgress, agrees: SnapshotCheck | None = None) -> None:
    """Raise E610 unless every entry and the snapshot are intact and the log reaches its mark."""
    report = verify(
        data,
        full=True,
        agrees=agrees,
        progress=lambda seq: progress("verifying the log, event", seq, 0),
    )
    if not report.ok:
        raise damaged(f"the event log is damaged: {report.reason}")
