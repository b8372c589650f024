"""The supervisor's end of a child's output: records from the log pipe, any text from stderr."""

from __future__ import annotations

import json
from collections import deque
from typing import Final

from chatd.logs.line_buffer import LineBuffer
from chatd.logs.logfiles import LogFiles
from chatd.logs.logger import CATEGORIES, PIPE_LINE, get_log

KEPT_LINES: Final = 20
STDERR_LINE: Final = 2000

log = get_log("errors")


class ChildCapture:
    """Passes one child's records to the log files.

    Children are not trusted: anything but a record of this child becomes the text of a ``stderr`` record, so
    a broken or hijacked child cannot forge records of another process.
    """

    def __init__(self, child: str, files: LogFiles) -> None:
        self.child = child
        self._files = files
        self._log_lines = LineBuffer(PIPE_LINE)
        self._err_lines = LineBuffer(STDERR_LINE)
        self.last_stderr: deque[str] = deque(maxlen=KEPT_LINES)

    def log_data(self, data: bytes) -> None:
        """Take bytes from the log pipe; ``b""`` at its end."""
        for line in _lines(self._log_lines, data):
            self._pass_on(line)

    def stderr_data(self, data: bytes) -> None:
        """Take bytes from stdout or stderr; ``b""`` at the end."""
        for line in _lines(self._err_lines, data):
            self._log_text(line)

    def _pass_on(self, line: bytes) -> None:
        route = _route(line, self.child)
        if route is None:
            self._log_text(line)
        else:
            level, category = route
            self._files.write(line.decode("ascii"), level, category)

    def _log_text(self, line: bytes) -> None:
        text = line.decode("utf-8", "backslashreplace")
        shown = "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)
        self.last_stderr.append(shown)
        log.warning("stderr", child=self.child, text=text)


def _lines(buffer: LineBuffer, data: bytes) -> list[bytes]:
    if data:
        return [line for line in buffer.feed(data) if line]
    last = buffer.take_partial()
    return [last] if last else []


def _route(line: bytes, child: str) -> tuple[str, str] | None:
    """The level and category of a record; None if the line is not a record of ``child``."""
    if not line.isascii() or not line.decode("ascii").isprintable():
        return None
    try:
        record = json.loads(line)
    except (ValueError, RecursionError):
        return None
    if not isinstance(record, dict) or record.get("proc") != child or record.get("cat") not in CATEGORIES:
        return None
    return str(record.get("level")), str(record["cat"])
