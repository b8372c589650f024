"""Commands are listed without being imported, and importing one brings nothing that it does not need."""

from __future__ import annotations

import json
import subprocess
import sys

import click
import pytest

from chatctl.chat import cli as chat
from chatctl.cli import cli as chatctl
from chatd.cli.root import main as chatd
from chatd.console.command_table import CommandTable, SummaryGroup, TableEntry, TableGroup

ROOTS = {
    "chat": ("chatctl.chat", "cli"),
    "chatctl": ("chatctl.cli", "cli"),
    "chatd": ("chatd.cli.root", "main"),
}
TREES: dict[str, click.Group] = {"chat": chat, "chatctl": chatctl, "chatd": chatd}
# Neither a help text nor the version needs any of them.
HEAVY = (
    "apsw",
    "cryptography",
    "prompt_toolkit",
    "psutil",
    "pydantic",
    "sqlite3",
    "ssl",
    "tkinter",
    "chatctl.client",
    "chatctl.model",
    "chatctl.terminal",
    "chatctl.window",
    "chatd.hub",
    "chatd.store",
    "chatd.supervisor",
    "chatd.worker",
)
LOADED = """
import json, sys
from importlib import import_module
from chatd.console import output, streams
streams.prepare()
module, name, program, *arguments = sys.argv[1:]
sys.argv = [program, *arguments]
code = output.run(getattr(import_module(module), name), program)
print(json.dumps([code, sorted(sys.modules)]))
"""


def loaded(program: str, *arguments: str) -> set[str]:
    """The modules that a command line imports; it must succeed."""
    command = [sys.executable, "-c", LOADED, *ROOTS[program], program, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    code, modules = json.loads(done.stdout.splitlines()[-1])
    assert code == 0, done.stderr
    return set(modules)


def heavy(modules: set[str]) -> list[str]:
    return [name for name in HEAVY if name in modules or any(m.startswith(f"{name}.") for m in modules)]


@pytest.mark.parametrize("program", ROOTS)
@pytest.mark.parametrize("argument", ["--help", "--version"])
def test_help_and_version_import_no_command(program: str, argument: str) -> None:
    modules = loaded(program, argument)
    assert heavy(modules) == []
    assert not any(name.startswith(("chatctl.admin.", "chatctl.scripts.")) for name in modules)


@pytest.mark.parametrize("group", ["user", "room", "role", "server"])
def test_help_of_a_group_imports_no_command(group: str) -> None:
    assert heavy(loaded("chatctl", group, "--help")) == []


@pytest.mark.parametrize("command", ["kick", "users", "stats", "top"])
def test_help_of_a_command_imports_that_command_only(command: str) -> None:
    modules = loaded("chatctl", command, "--help")
    assert heavy(modules) == []
    assert (
        len({name for name in modules if name.startswith("chatctl.admin.")} - {"chatctl.admin.top_format"})
        == 1
    )


def test_a_command_of_chat_imports_neither_window_nor_line_client() -> None:
    unneeded = {
        "apsw",
        "prompt_toolkit",
        "psutil",
        "tkinter",
        "chatctl.terminal",
        "chatctl.window",
        "chatd.hub",
    }
    assert unneeded & set(heavy(loaded("chat", "send", "--help"))) == set()


def groups(path: str, command: click.Command) -> list[tuple[str, TableGroup]]:
    found = [(path, command)] if isinstance(command, TableGroup) else []
    if isinstance(command, click.Group):
        for name, child in command.commands.items():
            found += groups(f"{path} {name}", child)
    return found


GROUPS = [item for name, root in TREES.items() for item in groups(name, root)]


@pytest.mark.parametrize(("path", "group"), GROUPS, ids=[path for path, _ in GROUPS])
def test_summaries_are_those_of_the_commands(path: str, group: TableGroup) -> None:
    for name, stub in group.table.outline().items():
        command = group.commands[name]
        assert stub.get_short_help_str(1000) == command.get_short_help_str(1000), f"{path} {name}"
        assert stub.hidden == command.hidden, f"{path} {name}"


@pytest.mark.parametrize(("path", "group"), GROUPS, ids=[path for path, _ in GROUPS])
def test_help_and_completion_list_what_a_group_of_loaded_commands_would(path: str, group: TableGroup) -> None:
    plain = SummaryGroup(group.name, dict(group.commands), params=group.params)
    context, plain_context = (click.Context(command, info_name=path) for command in (group, plain))
    formatter, plain_formatter = context.make_formatter(), plain_context.make_formatter()
    group.format_commands(context, formatter)
    plain.format_commands(plain_context, plain_formatter)
    assert formatter.getvalue() == plain_formatter.getvalue()
    items, plain_items = (
        [(item.value, item.help) for item in command.shell_complete(of, "")]
        for command, of in ((group, context), (plain, plain_context))
    )
    assert items == plain_items


@pytest.mark.parametrize(
    ("program", "word", "told"),
    [
        ("chat", "explain", "chatctl explain"),
        ("chatctl", "doctor", "chat doctor"),
        ("chatctl", "init", "chatd init"),
    ],
)
def test_a_command_of_another_program_is_named(program: str, word: str, told: str) -> None:
    with pytest.raises(click.UsageError, match=told):
        TREES[program].main([word], standalone_mode=False)


def test_a_table_is_a_mapping_of_commands() -> None:
    table = CommandTable({"users": TableEntry("chatctl.admin.people:users", "List.")})
    extra = click.Command("extra")
    table["extra"] = extra
    assert list(table) == ["users", "extra"]
    assert len(table) == 2
    assert table["users"] is chatctl.commands["users"]
    assert table.get("absent") is None
    del table["users"], table["extra"]
    assert not table
    with pytest.raises(KeyError):
        table["users"]
