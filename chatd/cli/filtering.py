"""``chatd filter``: try the word filter of the settings."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import click

from chatd.config.home import Home
from chatd.config.loading import load_settings
from chatd.console import output
from chatd.console.command_table import SummaryGroup
from chatd.errors import ChatdError
from chatd.hub.state.rules import filter_rules
from chatd.policy.filter_rules import FilterAction
from chatd.proto.text import check_room, visible

# As much as `limits.snippet_bytes` allows for one message; the rest of a longer line is not looked at.
LINE_BYTES = 32 * 1024


@click.group("filter", cls=SummaryGroup)
def filter_group() -> None:
    """Try the word filter of the settings."""


@filter_group.command("test")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--role", default="", metavar="ROLE", help="Of the writer. Default: roles.default.")
@click.option("--room", default="", metavar="ROOM", help="Where it is written. Default: in no room.")
@click.option("--json", "as_json", is_flag=True, help="Print one object per line found.")
@click.pass_obj
def test(home: Home, file: Path, role: str, room: str, as_json: bool) -> int:
    """Say what the filter does about each line of FILE (- reads standard input).

    Nothing is sent, and the server need not run: try a change of settings.json before `chatd reload`.
    Prints the number of each line in which a word is found, what is done, and the line as it would be
    sent. The exit code is 1 if a line would be refused. Of a longer line only the first 32 KiB are tried,
    as much as a message may have.
    """
    settings = load_settings(home.path, os.environ)
    role = role or settings.roles.default
    if role not in settings.roles.permissions:
        known = ", ".join(settings.roles.permissions)
        raise ChatdError("E404", f"there is no role {role!r}", f"choose one of: {known}")
    room = check_room(f"#{room.removeprefix('#')}") if room else ""
    rules, refused = filter_rules(settings.filter), False
    for number, line in enumerate(_lines(file), 1):
        filtered = rules.judge(line, role, room)
        blocked = filtered.word(FilterAction.BLOCK) is not None
        refused = refused or blocked
        found = [{"action": one.action.value, "word": one.word} for one in filtered.found]
        if as_json and found:
            output.json_line({"line": number, "found": found, "text": None if blocked else filtered.text})
        elif found:
            what = ", ".join(f"{one['action']} {one['word']!r}" for one in found)
            sent = "" if blocked else f": {visible(filtered.text, newlines=False)}"
            output.line(f"{number:>4}  {what}{sent}")
    return int(refused)


def _lines(file: Path) -> Iterator[str]:
    """Yield the lines of a file, or of standard input for "-". Raises E606."""
    try:
        with sys.stdin.buffer if str(file) == "-" else file.open("rb") as source:
            whole = True
            while data := source.readline(LINE_BYTES):
                if whole:
                    yield data.decode("utf-8", "replace").rstrip("\r\n")
                whole = data.endswith(b"\n")
    except OSError as error:
        raise ChatdError("E606", f"{file}: {error.strerror}") from None
