"""The child's end of logging: writes whole lines to a pipe without ever blocking."""

from __future__ import annotations

import logging
import os

from chatd.logs.logger import PIPE_LINE, PREFIX, JsonLines, dropped_record, level_number


class PipeHandler(logging.Handler):
    """Writes records to the log pipe ``fd``; drops and counts records while it is full.

    A non-blocking write of at most PIPE_BUF bytes is atomic (POSIX write(2)), so no record is cut. Once the
    pipe has space again, a ``log_dropped`` record says how many are missing.
    """

    def __init__(self, fd: int, name: str) -> None:
        super().__init__()
        os.set_blocking(fd, False)
        self._fd = fd
        self.setFormatter(JsonLines(name, PIPE_LINE))
        self.dropped = 0

    def emit(self, record: logging.LogRecord) -> None:  # the caller holds the handler's lock
        try:
            has_space = not self.dropped or self._report_dropped()
            written = has_space and self._write(self.format(record))
        except Exception:  # noqa: BLE001 - a field whose str() fails must not break the code that logs it
            written = False
        if not written:
            self.dropped += 1

    def _report_dropped(self) -> bool:
        if not self._write(self.format(dropped_record(self.dropped))):
            return False
        self.dropped = 0
        return True

    def _write(self, line: str) -> bool:
        try:
            os.write(self._fd, line.encode("ascii") + b"\n")
        except OSError:  # full, or the supervisor is gone and this process is about to end
            return False
        return True


def setup_child_logging(fd: int, name: str, level: str) -> PipeHandler:
    """Send all of this process's log records into the pipe ``fd``, as records of process ``name``."""
    handler = PipeHandler(fd, name)
    root = logging.getLogger()
    root.handlers[:] = [handler]
    set_level(level)
    return handler


def set_level(level: str) -> None:
    """Set the lowest level to log, "debug" to "error" in any case; libraries log from ``warning``."""
    logging.getLogger(PREFIX.rstrip(".")).setLevel(level_number(level))
    logging.getLogger().setLevel(logging.WARNING)
