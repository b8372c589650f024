"""``chatd filter``: try the word filter of the settings."""

from __future__ import annotations

import os
from pathlib import Path

import click

from chatd.config.home import Home
from chatd.config.loading import load_settings
from chatd.console import output
from chatd.console.arguments import NamedPath
from chatd.console.command_table import SummaryGroup
from chatd.console.found_words import NOTHING_FOUND, lines_of, show_found
from chatd.errors import ChatdError
from chatd.hub.state.rules import filter_rules
from chatd.policy.filter_rules import FilterAction
from chatd.proto.text import check_room


@click.group("filter", cls=SummaryGroup)
def filter_group() -> None:
    """Try the word filter of the settings."""


@filter_group.command("test")
@click.argument("file", type=NamedPath(path_type=Path))
@click.option("--role", default="", metavar="ROLE", help="Of the writer. Default: roles.default.")
@click.option("--room", default="", metavar="ROOM", help="Where it is written. Default: in no room.")
@click.option("--json", "as_json", is_flag=True, help="Print one object per line found.")
@click.pass_obj
def test(home: Home, file: Path, role: str, room: str, as_json: bool) -> int:
    """Say what the filter does about each line of FILE (- reads standard input).

    Nothing is sent, and the server need not run: try a change of settings.json before `chatd reload`.
    `chatctl filter test` tries the settings in force.
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
    rules, refused, any_found = filter_rules(settings.filter), False, False
    for number, line in enumerate(lines_of(file), 1):
        filtered = rules.judge(line, role, room)
        blocked = filtered.word(FilterAction.BLOCK) is not None
        refused = refused or blocked
        found = [{"action": one.action.value, "word": one.word} for one in filtered.found]
        if found:
            any_found = True
            show_found(number, found, None if blocked else filtered.text, as_json=as_json)
    if not any_found and not as_json:
        output.note(NOTHING_FOUND)
    return int(refused)
