"""Help texts list commands with a whole sentence each."""

from __future__ import annotations

from collections.abc import Iterator

import click
import pytest
from click.testing import CliRunner

from chatctl import chat
from chatctl import cli as chatctl
from chatd.cli.root import main

PROGRAMS: dict[str, click.Group] = {"chatd": main, "chatctl": chatctl.cli, "chat": chat.cli}


def groups(
    program: str, group: click.Group, path: tuple[str, ...] = ()
) -> Iterator[tuple[str, tuple[str, ...]]]:
    yield program, path
    for name, child in group.commands.items():
        if isinstance(child, click.Group):
            yield from groups(program, child, (*path, name))


GROUPS = [item for program, group in PROGRAMS.items() for item in groups(program, group)]


@pytest.mark.parametrize(("program", "path"), GROUPS, ids=[" ".join((one, *path)) for one, path in GROUPS])
def test_no_command_is_described_by_half_a_sentence(program: str, path: tuple[str, ...]) -> None:
    shown = CliRunner().invoke(PROGRAMS[program], [*path, "--help"]).stdout.partition("\nCommands:\n")[2]
    assert shown
    lines = shown.rstrip().splitlines()
    ends = [line for line, after in zip(lines, [*lines[1:], "  end"], strict=True) if after[2:3] != " "]
    assert not [line for line in ends if not line.endswith(".")]
    assert "..." not in shown.replace("QUERY...", "")
