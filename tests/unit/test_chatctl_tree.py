"""The commands of `chatctl` and `chat`: help, manual, --json, aliases."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from chatctl import chat
from chatctl import cli as chatctl
from tests.tools.manpages import PROGRAMS, runnable

MANUAL = Path(__file__).parents[2] / "docs" / "chatctl.md"
ROOTS = {"chatctl": chatctl.cli, "chat": chat.cli}


def walk(command: click.Command, path: str) -> Iterator[tuple[str, click.Command]]:
    yield path, command
    if isinstance(command, click.Group):
        for name, child in command.commands.items():
            if child.hidden:
                continue
            yield from walk(child, f"{path} {name}")


COMMANDS = [item for name, root in ROOTS.items() for item in walk(root, name)]
# Whatever names a file or folder. FILE|TEXT is a text if there is no such file.
NAMES = [
    (path, parameter)
    for program, root in PROGRAMS.items()
    for path, command in [(program, root), *runnable(program, root)]
    for parameter in command.params
    if isinstance(parameter.type, click.Path)
    or ({"FILE", "DIR"} & set(re.split(r"\W", parameter.metavar or "")) and parameter.metavar != "FILE|TEXT")
]


@pytest.mark.parametrize(("path", "command"), COMMANDS, ids=[path for path, _ in COMMANDS])
def test_commands_and_options_have_help(path: str, command: click.Command) -> None:
    assert command.help, path
    for parameter in command.params:
        if isinstance(parameter, click.Option):
            assert parameter.help, f"{path} {parameter.opts[0]}"


@pytest.mark.parametrize(("path", "command"), COMMANDS, ids=[path for path, _ in COMMANDS])
def test_command_is_in_the_manual(path: str, command: click.Command) -> None:
    text = MANUAL.read_text()
    assert f"`{path}" in text, f"docs/chatctl.md does not name {path}"
    for parameter in command.params:
        if isinstance(parameter, click.Option) and not isinstance(command, click.Group):
            assert max(parameter.opts, key=len) in text, (
                f"docs/chatctl.md does not name {parameter.opts} of {path}"
            )


@pytest.mark.parametrize(("path", "command"), COMMANDS, ids=[path for path, _ in COMMANDS])
def test_commands_have_json(path: str, command: click.Command) -> None:
    # The window has no output for programs; a completion script is for a shell.
    exempt = isinstance(command, click.Group) or path == "chat window" or command.name == "completion"
    if not exempt:
        assert "--json" in [option for parameter in command.params for option in parameter.opts], path


@pytest.mark.parametrize(("path", "parameter"), NAMES, ids=[f"{path} {one.name}" for path, one in NAMES])
def test_an_empty_name_of_a_file_is_told_as_such(path: str, parameter: click.Parameter) -> None:
    with pytest.raises(click.UsageError, match="empty"):
        parameter.type.convert("", parameter, None)


def test_short_and_long_names_are_the_same_command() -> None:
    commands = dict(COMMANDS)
    for name in ("kick", "ban", "unban", "bans", "mute", "mutes", "unmute", "revoke"):
        assert commands[f"chatctl {name}"] is commands[f"chatctl user {name}"]
    assert commands["chatctl users"] is commands["chatctl user list"]
    for group in ("user", "room", "role", "invite", "held", "hook", "guest", "device", "cert"):
        assert f"chatctl {group} list" in commands
    assert commands["chatctl rooms"] is commands["chatctl room list"]
    assert chatctl.cli.commands["freeze"].hidden
    assert chatctl.cli.commands["freeze"].callback is chatctl.cli.commands["hold"].callback
    assert commands["chatctl stats"] is commands["chatctl server stats"]
