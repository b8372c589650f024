"""The child's end of logging: whole lines into a pipe, or not at all, and never waiting."""

from __future__ import annotations

import logging
import os

from chatd.logs.logger import PIPE_LINE, PREFIX, JsonLines, level_number


class PipeHandler(logging.Handler):
    """Writes records to the log pipe ``fd``; counts those that found it full.

    A non-blocking write of at most PIPE_BUF bytes is atomic (POSIX write(2)): no record is cut and
    none waits. As soon as there is room again a ``log_dropped`` record tells how many are missing.
    """

    def __init__(self, fd: int, name: str) -> None:
        super().__init__()
        os.set_blocking(fd, False)
        self._fd = fd
        self.setFormatter(JsonLines(name, PIPE_LINE))
        self.dropped = 0

    def emit(self, record: logging.LogRecord) -> None:  # the caller holds the handler's lock
        try:
            room = not self.dropped or self._tell_dropped()
            written = room and self._write(self.format(record))
        except Exception:  # noqa: BLE001 - a field whose str() fails must not fail the work that logs it
            written = False
        if not written:
            self.dropped += 1

    def _tell_dropped(self) -> bool:
        record = logging.LogRecord(PREFIX + "errors", logging.ERROR, "", 0, "", (), None)
        record.__dict__.update(event="log_dropped", fields={"count": self.dropped})
        if not self._write(self.format(record)):
            return False
        self.dropped = 0
        return True

    def _write(self, line: str) -> bool:
        try:
            os.write(self._fd, line.encode("ascii") + b"\n")
        except OSError:  # full, or the supervisor is gone and the lifeline is about to end this process
            return False
        return True


def setup_child_logging(fd: int, name: str, level: str) -> PipeHandler:
    """Send everything this process logs into the pipe ``fd`` as records of process ``name``."""
    handler = PipeHandler(fd, name)
    root = logging.getLogger()
    root.handlers[:] = [handler]
    set_level(level)
    return handler


def set_level(level: str) -> None:
    """Records below ``level`` are not made; libraries only speak up from ``warning``."""
    logging.getLogger(PREFIX.rstrip(".")).setLevel(level_number(level))
    logging.getLogger().setLevel(logging.WARNING)
