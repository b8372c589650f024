"""Terminal output and exit codes of all three programs: data goes to stdout, everything else to stderr."""

from __future__ import annotations

import errno
import io
import json
import os
import sys
import traceback
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, TextIO

import click

from chatd.console import streams
from chatd.console.folders import state_root
from chatd.console.table_lines import line_width, table_lines
from chatd.errors import ChatdError
from chatd.proto.text import visible

# The exit codes of chat, chatctl and chatd; docs/chatctl.md and docs/operations.md list them.
OK, FAILED, USAGE, NOT_FOUND, NOT_PERMITTED, UNREACHABLE, PARTLY, WARNINGS, NOT_SHOWN, HELD = range(10)
INTERRUPTED = 130
# Version of the JSON output, in its field "schema".
SCHEMA = 1

_EXIT_CODES = {
    "E106": UNREACHABLE,
    "E404": NOT_FOUND,
    "E405": NOT_FOUND,
    "E410": NOT_FOUND,
    "E412": NOT_FOUND,
    "E603": UNREACHABLE,
    "E607": UNREACHABLE,
    "E611": UNREACHABLE,
    "E615": NOT_SHOWN,
    "E630": UNREACHABLE,
}


# The traceback of the last bug, in the person's state folder.
TRACEBACK = "traceback.txt"


class OutputEndedError(Exception):
    """Nothing can be written to standard output any more: a command that only prints ends here."""


def exit_code(error: ChatdError) -> int:
    """The exit code for an error."""
    if error.code.startswith(("E2", "E3")):
        return NOT_PERMITTED
    return _EXIT_CODES.get(error.code, FAILED)


def run(command: click.Command, name: str, *, context: Any = None, not_permitted: int = NOT_PERMITTED) -> int:
    """Run a command line and return its exit code; print errors on stderr, never a traceback.

    ``context`` becomes click's ``obj``. ``not_permitted`` replaces the exit code 4: chatd's own commands
    act with the operator's authority, so scripts see a refusal there as a plain failure.
    """
    name_command("")
    code = _carry_out(command, name, context, not_permitted)
    sys.stdout.flush()
    error = streams.lost()
    if error is None:
        return code
    if not streams.reader_left():
        done = "" if code == OK else "write the output elsewhere"
        show_error(ChatdError("E615", f"standard output: {error.strerror}", done))
    return NOT_SHOWN if code == OK else code


def _carry_out(command: click.Command, name: str, context: Any, not_permitted: int) -> int:
    try:
        result = command.main(prog_name=name, standalone_mode=False, obj=context)
        return result if isinstance(result, int) else OK
    except OutputEndedError:
        return OK
    except (click.exceptions.Abort, KeyboardInterrupt):
        return INTERRUPTED
    except click.ClickException as error:
        show_usage(error)
        return error.exit_code
    except ChatdError as error:
        show_error(error)
        code = exit_code(error)
        return not_permitted if code == NOT_PERMITTED else code
    except OSError as error:
        if isinstance(error.filename, str | bytes):
            show_error(ChatdError("E606", f"{os.fsdecode(error.filename)}: {error.strerror}"))
        elif error.errno == errno.ENOENT:  # getcwd(3)
            show_error(ChatdError("E606", "the current folder is gone", "change to another one: cd"))
        else:
            show_bug(error)
        return FAILED
    except Exception as error:  # noqa: BLE001 - the last resort: one line instead of a traceback
        show_bug(error)
        return FAILED


def show_usage(error: click.ClickException) -> None:
    """Print click's explanation of a wrong command line."""
    text = io.StringIO()
    error.show(file=text)
    for explanation in text.getvalue().splitlines():
        note(explanation)


def show_bug(error: BaseException) -> None:
    """Print an unexpected exception in one line, and keep its traceback; with CHATD_DEBUG=1, print that."""
    for text in bug_lines(error):
        note(text)


def bug_lines(error: BaseException) -> list[str]:
    """Return what to show of an unexpected exception; keep its traceback."""
    trace = "".join(traceback.format_exception(error))
    if os.environ.get("CHATD_DEBUG") == "1":
        return trace.splitlines()
    words = str(error).rstrip(".")
    return [f"error: this is a bug: {type(error).__name__}: {words}. {_keep(trace)}; please report it"]


def _keep(trace: str) -> str:
    """Write the traceback of the last bug to the person's own folder; say where it is."""
    try:
        folder = state_root(os.environ)
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        path = folder / TRACEBACK
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
        with os.fdopen(os.open(path, flags, 0o600), "w", encoding="utf-8", errors="backslashreplace") as file:
            file.write(trace)
    except (OSError, ChatdError):
        return "CHATD_DEBUG=1 prints the traceback"
    return f"The traceback is in {path}"


class _Command:
    """The command that this process carries out; "" if its errors need no name."""

    path = ""


def name_command(path: str) -> None:
    """Let errors begin with the command that they belong to, such as "chatctl kick"."""
    _Command.path = path


def error_head() -> str:
    """What an error begins with."""
    return f"{_Command.path}: error: " if _Command.path else "error: "


def show_error(error: ChatdError) -> None:
    """Print an error and its fix on stderr; a reason of several lines is indented below its first."""
    first, *more = error.reason.splitlines() or [""]
    head = error_head()
    if not more:
        note(f"{head}{error}")
        return
    note(f"{head}{first} ({error.code})")
    for text in filter(None, (*more, error.fix)):
        note(f"       {text}")


# Whatever these programs print passes `shown`, except JSON, which is ASCII, and what the line client and
# `chatctl top` draw. Files, paths and error texts may come from others.
def shown(text: str) -> str:
    """``text`` on one line, with everything escaped that could control a terminal or begin another line."""
    return streams.expressible(visible(text, newlines=False))


def write(text: str, file: TextIO | None = None) -> None:
    """Write ``text``, which is safe already, to stdout or ``file`` at once."""
    file = file or sys.stdout
    file.write(text)
    file.flush()


def flush() -> None:
    """Raise `OutputEndedError` if nothing can be written any more. For commands that print without end."""
    sys.stdout.flush()
    if streams.reader_left() or streams.lost() is not None:
        raise OutputEndedError


def note(text: str) -> None:
    """Print a line for a person, on stderr."""
    write(f"{shown(text)}\n", sys.stderr)


def aside(text: str) -> None:
    """Print a dim line on stderr if that is a terminal."""
    if sys.stderr.isatty():
        write(click.style(shown(text), dim=not os.environ.get("NO_COLOR")) + "\n", sys.stderr)


def line(text: str) -> None:
    """Print a line of data on stdout."""
    write(f"{shown(text)}\n")


def lines(text: str, indent: int) -> None:
    """Print a text that may have several lines of data; those after the first are indented."""
    for number, part in enumerate(text.splitlines()):
        line(" " * indent * (number > 0) + part)


def json_line(data: Mapping[str, Any]) -> None:
    """Print ``data`` on stdout as one line of JSON."""
    write(f"{json_text(data)}\n")


def json_document(data: Mapping[str, Any]) -> None:
    """Print ``data`` on stdout as indented JSON."""
    write(f"{json_text(data, indent=2)}\n")


def json_text(data: Mapping[str, Any], *, indent: int | None = None) -> str:
    """``data`` with its "schema" as JSON; pure ASCII, so that it cannot control a terminal."""
    return _ascii_json({"schema": SCHEMA, **data}, indent)


def json_data(data: Mapping[str, Any]) -> None:
    """Print ``data``, a document with a schema of its own, on stdout as indented JSON."""
    write(f"{_ascii_json(data, 2)}\n")


def _ascii_json(data: Mapping[str, Any], indent: int | None) -> str:
    return json.dumps(data, indent=indent).replace("\x7f", "\\u007f")


def error_object(error: ChatdError) -> dict[str, str]:
    """An error as data for JSON output."""
    return {"code": error.code, "reason": error.reason, "fix": error.fix}


# Key of a row, which is also its column's heading -> the function that formats the value.
Columns = Mapping[str, Callable[[Any], str]]


def table(rows: Sequence[Mapping[str, Any]], columns: Columns) -> None:
    """Print ``rows`` as aligned columns under their headings; "none" without rows.

    On a terminal no line is wider than that.
    """
    if not rows:
        line("none")
        return
    cells = [[*columns]]
    cells += ([shown(show(row.get(key))) for key, show in columns.items()] for row in rows)
    for text in table_lines(cells, line_width()):
        write(f"{text}\n")


def plain(value: Any) -> str:
    """A cell's text; "-" when empty."""
    return "-" if value is None or value == "" else str(value)


def yes_no(value: Any) -> str:
    return "yes" if value else "no"


def joined(values: Iterable[Any]) -> str:
    return ", ".join(str(value) for value in values) or "-"


def moment(milliseconds: int | None) -> str:
    """A server time (ms since 1970 UTC) as RFC 3339 in UTC; "-" for None."""
    if milliseconds is None:
        return "-"
    try:
        return datetime.fromtimestamp(milliseconds // 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    except (ValueError, OverflowError, OSError):
        return str(milliseconds)
