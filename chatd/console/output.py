"""What the commands print and how they exit: data to stdout, all else to stderr, one table of exit codes."""

from __future__ import annotations

import json
import os
import sys
import traceback
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import click
from wcwidth import wcswidth

from chatd.errors import ChatdError
from chatd.proto.text import visible

OK, FAILED, USAGE, NOT_FOUND, NOT_PERMITTED, UNREACHABLE, PARTLY, WARNINGS = range(8)
INTERRUPTED = 130
SCHEMA = 1

_EXIT = {
    "E106": UNREACHABLE,
    "E404": NOT_FOUND,
    "E405": NOT_FOUND,
    "E410": NOT_FOUND,
    "E412": NOT_FOUND,
    "E607": UNREACHABLE,
    "E611": UNREACHABLE,
}


def exit_code(error: ChatdError) -> int:
    """The exit code that tells a script what kind of failure this is."""
    if error.code.startswith(("E2", "E3")):
        return NOT_PERMITTED
    return _EXIT.get(error.code, FAILED)


def run(command: click.Command, name: str) -> int:
    """Run a command line; its exit code. Failures become one line on stderr, never a traceback."""
    try:
        result = command.main(prog_name=name, standalone_mode=False)
        sys.stdout.flush()
        return result if isinstance(result, int) else OK
    except (click.exceptions.Abort, KeyboardInterrupt):
        return INTERRUPTED
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except ChatdError as error:
        show_error(error)
        return exit_code(error)
    except BrokenPipeError:
        # The reader of our output has gone (head, less). Nothing is to be said, not even at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED
    except Exception as error:  # noqa: BLE001 - the last resort: a sentence instead of a traceback
        show_defect(error)
        return FAILED


def show_defect(error: BaseException) -> None:
    """Print an unexpected exception in one line; with CHATD_DEBUG=1, its traceback."""
    if debugging():
        traceback.print_exception(error)
    else:
        note(f"error: a defect: {type(error).__name__}: {error}. CHATD_DEBUG=1 shows where; please report it")


def debugging() -> bool:
    return os.environ.get("CHATD_DEBUG") == "1"


def show_error(error: ChatdError) -> None:
    """What happened, why, and what to do; on stderr."""
    note(f"error: {error}")


def note(text: str) -> None:
    """A line for the person, on stderr."""
    click.echo(visible(text), err=True)


def aside(text: str) -> None:
    """A dim line for a person who looks on: on stderr where that is a terminal, else nowhere."""
    if sys.stderr.isatty():
        click.echo(click.style(visible(text), dim=not os.environ.get("NO_COLOR")), err=True)


def line(text: str) -> None:
    """A line of data for people, on stdout; nothing in it can control the terminal."""
    click.echo(visible(text))


def json_line(data: Mapping[str, Any]) -> None:
    """One JSON object a line, on stdout."""
    click.echo(json_text(data))


def json_text(data: Mapping[str, Any]) -> str:
    """An object as every command gives it, in ASCII so that no terminal can be confused by it."""
    return json.dumps({"schema": SCHEMA, **data})


def error_object(error: ChatdError) -> dict[str, str]:
    """An error as data."""
    return {"code": error.code, "reason": error.reason, "fix": error.fix}


# Key of a row, which is also the column's heading -> how its value is shown.
Columns = Mapping[str, Callable[[Any], str]]


def table(rows: Sequence[Mapping[str, Any]], columns: Columns) -> None:
    """Print ``rows`` as aligned columns under their headings."""
    cells = [[*columns]]
    cells += ([visible(show(row.get(key)), newlines=False) for key, show in columns.items()] for row in rows)
    widths = [max(_width(text) for text in column) for column in zip(*cells, strict=True)]
    for texts in cells:
        padded = (text + " " * (width - _width(text)) for text, width in zip(texts, widths, strict=True))
        click.echo("  ".join(padded).rstrip())


def _width(text: str) -> int:
    return max(wcswidth(text), 0)


def plain(value: Any) -> str:
    """A cell as it is; a dash for what is not there."""
    return "-" if value is None or value == "" else str(value)


def yes_no(value: Any) -> str:
    return "yes" if value else "no"


def joined(values: Iterable[Any]) -> str:
    return ", ".join(str(value) for value in values) or "-"


def moment(milliseconds: int | None) -> str:
    """A time of the server as RFC 3339 in UTC; "-" for none."""
    if milliseconds is None:
        return "-"
    try:
        return datetime.fromtimestamp(milliseconds // 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    except (ValueError, OverflowError, OSError):
        return str(milliseconds)
