"""The supervisor's end of logging: the only writer of the log files.

    server.log       everything
    connections.log  category connections
    security.log     category security: what unknown peers can cause
    audit.log        category audit: moderation, and security events of admitted users
    errors.log       category errors, and every record of level error or above

A full or broken disk neither raises nor blocks: records are dropped and counted, and once there is space
again their number is logged.
"""

from __future__ import annotations

import errno
import itertools
import logging
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from chatd.config.sections import LoggingSection
from chatd.durable_files import give_to_folder_owner
from chatd.errors import ChatdError
from chatd.logs.logger import FILE_LINE, JsonLines, category_of, dropped_record
from chatd.logs.systemd_journal import Journal, open_journal

MODE: Final = 0o640
RETRY_SECONDS: Final = 1.0
"""Pause after a failed write, so that a full disk does not cost a system call per record."""
SEVERE: Final = frozenset(("error", "critical"))


def make_folder(folder: Path) -> None:
    """Make a folder for log files if there is none. Raises OSError, also for a link to a folder that is gone.

    Such a link usually leads to a disk that is not mounted, where a new folder would be hidden later.
    """
    if folder.is_symlink() and not folder.exists():
        raise OSError(errno.ENOENT, f"the link {folder} leads nowhere")
    if not folder.is_dir():
        folder.mkdir(mode=0o750, parents=True, exist_ok=True)


class LogFile:
    """One file, rotated to NAME.1 .. NAME.``backups`` before it exceeds ``max_bytes``.

    Not logging.handlers.RotatingFileHandler: that formats LogRecords, while most lines here come formatted
    from children; it leaves a cut line behind when the disk fills up, prints errors to stderr, has no pause
    after a failure, and never rotates with 0 backups. Only its renaming loop would be left in use.
    """

    def __init__(
        self,
        path: Path,
        max_bytes: int,
        backups: int,
        drop_notice: Callable[[int], bytes],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._path = path
        self._max_bytes = max_bytes
        self._backups = backups
        self._drop_notice = drop_notice
        self._clock = clock
        self._fd = -1
        self._size = 0
        self._retry_at = 0.0
        self._check_at = 0.0
        self._unreported = 0
        self.dropped = 0
        self.problem = ""  # why the last record could not be written

    def write(self, line: bytes) -> None:
        """Append one line, newline included, or count it as dropped."""
        try:
            if self._clock() < self._retry_at:
                raise BlockingIOError
            self._make_ready(len(line))
            if self._unreported:
                self._append(self._drop_notice(self._unreported))
                self._unreported = 0
            self._append(line)
            self.problem = ""
        except BlockingIOError:
            self._count_drop()
        except OSError as error:
            self._count_drop()
            self.problem = f"{self._path}: {error.strerror or error}"
            self._retry_at = self._clock() + RETRY_SECONDS

    def reopen(self) -> None:
        """Continue in the file that now has the name, after the old one was moved away."""
        self.close()
        self._retry_at = 0.0

    def close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def _count_drop(self) -> None:
        self.dropped += 1
        self._unreported += 1

    def _make_ready(self, length: int) -> None:
        now = self._clock()
        if self._fd >= 0 and now >= self._check_at:
            self._check_at = now + RETRY_SECONDS
            # Deleted, perhaps with its folder: nobody could read what is written there. A file that was
            # moved away keeps its name's place until `reopen`.
            if not os.fstat(self._fd).st_nlink:
                self.close()
        if self._fd < 0:
            self._open()
        if self._size and self._size + length > self._max_bytes:
            self._rotate()
            self._open()

    def _open(self) -> None:
        self.close()
        make_folder(self._path.parent)
        self._fd = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, MODE)
        give_to_folder_owner(self._fd, self._path.parent)
        self._size = os.fstat(self._fd).st_size

    def _rotate(self) -> None:
        paths = [self._path, *(Path(f"{self._path}.{n}") for n in range(1, self._backups + 1))]
        for newer, older in reversed(list(itertools.pairwise(paths))):
            if newer.exists():
                newer.replace(older)
        if not self._backups:
            self._path.unlink(missing_ok=True)

    def _append(self, line: bytes) -> None:
        written = os.write(self._fd, line)
        if written < len(line):  # the disk filled up: remove the partial line
            os.ftruncate(self._fd, self._size)
            raise OSError("short write")
        self._size += written


class LogFiles:
    """All log files of one daemon, for the supervisor's thread only.

    While no supervisor runs, a command may write instead, with the lock of `chatd.supervisor.pid_lock`.
    """

    def __init__(self, home: Path, settings: LoggingSection, process: str = "supervisor") -> None:
        """``process`` is the name in the records. Raises ChatdError E606 if the folder cannot be created."""
        self.format = JsonLines(process, FILE_LINE).format
        self._home = home
        self._files: list[LogFile] = []
        self._journal: Journal | None = None
        # A command that writes while no supervisor runs is no service of systemd's.
        self._is_daemon = process == "supervisor"
        self._dropped_before = 0
        self.configure(settings)

    def configure(self, settings: LoggingSection) -> None:
        """Apply new settings. Raises ChatdError E606 and keeps the old ones."""
        directory = self._home / settings.directory
        try:
            make_folder(directory)
        except OSError as error:
            raise ChatdError("E606", f"{directory}: {error.strerror}") from error
        names = (
            *(settings.file, settings.connections_file, settings.errors_file),
            *(settings.security_file, settings.audit_file),
        )
        # Several names may be the same file; it has one writer and gets each record once.
        paths = [directory / name for name in names]
        files = {path: self._file(path, settings) for path in paths}
        self.close()
        self._dropped_before = self.dropped
        self._files = list(files.values())
        if self._is_daemon:
            self._journal = open_journal(settings.journal, os.environ)
        self._all, self._connections, self._errors, self._security, self._audit = (files[p] for p in paths)

    @property
    def dropped(self) -> int:
        """Number of records that could not be written, over all files; the journal's are its own loss."""
        return self._dropped_before + sum(file.dropped for file in self._files)

    @property
    def problem(self) -> str:
        """Why records are being lost now; "" if they are not."""
        return next((file.problem for file in self._files if file.problem), "")

    def write(self, line: str, level: str, category: str) -> None:
        """Write one line of printable ASCII to the files of its level and category."""
        data = line.encode("ascii", "backslashreplace") + b"\n"
        targets = {self._all: None}
        if category == "connections":
            targets[self._connections] = None
        if category == "security":
            targets[self._security] = None
        if category == "audit":
            targets[self._audit] = None
        if category == "errors" or level in SEVERE:
            targets[self._errors] = None
        for file in targets:
            file.write(data)
        if self._journal is not None:
            self._journal.send(line, level, category)

    def reopen(self) -> None:
        for file in self._files:
            file.reopen()

    def close(self) -> None:
        for file in self._files:
            file.close()
        if self._journal is not None:
            self._journal.close()
            self._journal = None

    def _file(self, path: Path, settings: LoggingSection) -> LogFile:
        return LogFile(path, settings.max_bytes, settings.backups, self._drop_notice)

    def _drop_notice(self, count: int) -> bytes:
        return self.format(dropped_record(count)).encode("ascii") + b"\n"


class FilesHandler(logging.Handler):
    """Writes the supervisor's own records to the files."""

    def __init__(self, files: LogFiles) -> None:
        super().__init__()
        self._files = files

    def emit(self, record: logging.LogRecord) -> None:
        try:
            line = self._files.format(record)
        except Exception:  # noqa: BLE001 - see PipeHandler.emit
            return
        self._files.write(line, record.levelname.lower(), category_of(record))
