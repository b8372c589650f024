"""One log record = one JSON object on one line of printable ASCII.

    log = get_log("security")
    log.warning("login_refused", user="bob", code="E207", address="192.0.2.7")

Every process numbers its records before it tries to write them, so a gap in ``n`` proves that some are
missing. Callers never log message bodies or keys; bytes are logged as their length only.
"""

from __future__ import annotations

import itertools
import json
import logging
import time
import traceback
from typing import Final, Literal, get_args

from chatd.errors import ChatdError

Category = Literal["server", "connections", "security", "audit", "errors"]

CATEGORIES: Final = frozenset(get_args(Category))
PREFIX: Final = "chatd."

PIPE_LINE: Final = 4096
"""Longest line of a child, newline included: PIPE_BUF, so that a write to the pipe is atomic."""
FILE_LINE: Final = 64 * 1024
"""Longest line of the supervisor, whose STATS lines name every process."""

SEVERITIES: Final = {"critical": 2, "error": 3, "warning": 4, "info": 6, "debug": 7}
"""Levels as syslog and the journal number them (RFC 5424, 6.2.1)."""
DEFAULT_SEVERITY: Final = 6

MAX_ITEMS: Final = 80
MAX_VALUES: Final = 2000
"""Both are enough for a STATS line with 64 workers."""
MAX_DEPTH: Final = 3
MAX_FRAMES: Final = 12
# A record that is too long is formatted again with shorter texts; the last limit always fits.
TEXT_LIMITS: Final = (2000, 400, 80, 16)
RESERVED: Final = frozenset(("at", "n", "proc", "level", "cat", "event"))
SAFE_INTEGER: Final = 2**53


class Log:
    """Writes records of one category, with keywords as fields. Thread-safe."""

    def __init__(self, category: str) -> None:
        self._logger = logging.getLogger(PREFIX + category)

    def debug(self, event: str, /, **fields: object) -> None:
        self._write(logging.DEBUG, event, fields)

    def info(self, event: str, /, **fields: object) -> None:
        self._write(logging.INFO, event, fields)

    def warning(self, event: str, /, **fields: object) -> None:
        self._write(logging.WARNING, event, fields)

    def error(self, event: str, /, **fields: object) -> None:
        self._write(logging.ERROR, event, fields)

    def exception(self, event: str, /, **fields: object) -> None:
        """Log an error with the type and traceback of the exception being handled."""
        self._write(logging.ERROR, event, fields, with_exception=True)

    def _write(self, level: int, event: str, fields: dict[str, object], with_exception: bool = False) -> None:
        if self._logger.isEnabledFor(level):
            extra = {"event": event, "fields": fields}
            self._logger.log(level, "%s", event, extra=extra, exc_info=with_exception)


def get_log(category: Category) -> Log:
    if category not in CATEGORIES:
        raise ValueError(f"no log category {category!r}")
    return Log(category)


class JsonLines(logging.Formatter):
    """Formats the records of process ``name``; lines are shorter than ``limit`` bytes."""

    def __init__(self, name: str, limit: int = PIPE_LINE) -> None:
        super().__init__()
        self._name = name
        self._limit = limit
        self._numbers = itertools.count(1)  # next() is atomic, so no lock

    def format(self, record: logging.LogRecord) -> str:
        head: dict[str, object] = {
            "at": rfc3339(record.created),
            "n": next(self._numbers),
            "proc": self._name,
            "level": record.levelname.lower(),
            "cat": category_of(record),
        }
        event, fields = _event_and_fields(record)
        line = ""
        for text_limit in TEXT_LIMITS:
            line = dump(head | {"event": event[:text_limit]} | _clean_fields(fields, text_limit))
            if len(line) < self._limit:
                return line
        return dump(head | {"event": event[: TEXT_LIMITS[-1]], "clipped": len(line)})


def category_of(record: logging.LogRecord) -> str:
    """The category of a record; records of libraries count as ``server``."""
    category = record.name.removeprefix(PREFIX)
    return category if category in CATEGORIES else "server"


def dropped_record(count: int) -> logging.LogRecord:
    """A record that says that ``count`` records were dropped."""
    record = logging.LogRecord(PREFIX + "errors", logging.ERROR, "", 0, "", (), None)
    record.__dict__.update(event="log_dropped", fields={"count": count})
    return record


def rfc3339(seconds: float) -> str:
    """Format Unix time as UTC with milliseconds, such as 2026-01-31T14:02:11.042Z."""
    whole, millis = divmod(int(seconds * 1000), 1000)
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(whole)) + f".{millis:03}Z"


def dump(value: object) -> str:
    """Encode as JSON in printable ASCII, which escapes C1 and bidi controls, U+2028 and U+2029."""
    return json.dumps(value, ensure_ascii=True, separators=(",", ":")).replace("\x7f", "\\u007f")


def level_number(level: str) -> int:
    """The number of a level's name, in any case; unknown names count as ``info``."""
    return logging.getLevelNamesMapping().get(level.upper(), logging.INFO)


def _event_and_fields(record: logging.LogRecord) -> tuple[str, dict[str, object]]:
    fields = getattr(record, "fields", None)
    if isinstance(fields, dict):
        event, fields = str(getattr(record, "event", "")), dict(fields)
    else:
        event, fields = "library", {"logger": record.name, "text": record.getMessage()}
    if record.exc_info and record.exc_info[1] is not None:
        fields.update(_describe(record.exc_info[1]))
    return event, fields


def _describe(error: BaseException) -> dict[str, object]:
    """The type and frames of an exception. Its text only for types that never quote user data: int("...")
    and many others quote their argument, which may be a message body."""
    frames = traceback.extract_tb(error.__traceback__)[-MAX_FRAMES:]
    text = str(error) if isinstance(error, (ChatdError, OSError)) else ""
    where = [f"{frame.filename}:{frame.lineno} {frame.name}" for frame in frames]
    return {"error": type(error).__qualname__, "error_text": text, "trace": where}


def _clean_fields(fields: dict[str, object], text_limit: int) -> dict[str, object]:
    cleaner = _Cleaner(text_limit)
    pairs = itertools.islice(fields.items(), MAX_ITEMS)
    return {_key(key): cleaner.clean(value, MAX_DEPTH) for key, value in pairs}


def _key(key: str) -> str:
    return f"field_{key}" if key in RESERVED else key[:40]


class _Cleaner:
    """Converts the values of one record to JSON types, at most MAX_VALUES in all."""

    def __init__(self, text_limit: int) -> None:
        self._text_limit = text_limit
        self._left = MAX_VALUES

    def clean(self, value: object, depth: int) -> object:
        self._left -= 1
        if value is None or isinstance(value, bool):
            return value
        if isinstance(value, int):
            safe = -SAFE_INTEGER <= value <= SAFE_INTEGER
            return int(value) if safe else hex(value)[: self._text_limit]
        if isinstance(value, float):
            return round(value, 6) if value - value == 0 else repr(value)  # inf and NaN are not JSON
        if isinstance(value, (bytes, bytearray, memoryview)):
            return f"<{len(value)} bytes>"
        return self._compound(value, depth)

    def _compound(self, value: object, depth: int) -> object:
        if isinstance(value, (dict, list, tuple, set, frozenset)) and (depth == 0 or self._left <= 0):
            return "..."
        if isinstance(value, dict):
            pairs = itertools.islice(value.items(), MAX_ITEMS)
            return {str(key)[:40]: self.clean(item, depth - 1) for key, item in pairs}
        if isinstance(value, (list, tuple, set, frozenset)):
            return [self.clean(item, depth - 1) for item in itertools.islice(value, MAX_ITEMS)]
        text = value if isinstance(value, str) else str(value)
        return text if len(text) <= self._text_limit else text[: self._text_limit] + "..."
