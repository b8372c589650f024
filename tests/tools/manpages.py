"""Generate the manual pages and completion scripts from the command trees.

    python -m tests.tools.manpages        # rewrite them

tests/unit/test_manpages.py checks that they are up to date.
"""

from __future__ import annotations

import inspect
import re
from pathlib import Path

import click

from chatctl.chat import cli as chat
from chatctl.cli import cli as chatctl
from chatd import __version__
from chatd.cli.root import main as chatd
from chatd.console.shell_completion import SHELLS, script

ROOT = Path(__file__).parents[2]
PROGRAMS: dict[str, click.Command] = {"chat": chat, "chatctl": chatctl, "chatd": chatd}
_SUMMARIES = {
    "chat": "talk on a chatd server",
    "chatctl": "administer a chatd server",
    "chatd": "run a chatd server on this machine",
}
# Named as each shell expects; pyproject.toml says where they are installed.
COMPLETIONS = {
    "bash": "docs/completions/{}.bash",
    "zsh": "docs/completions/_{}",
    "fish": "docs/completions/{}.fish",
}


def generated() -> dict[Path, str]:
    """Map each generated file to its content."""
    pages = {ROOT / "docs" / "man" / f"{name}.1": page(name, root) for name, root in PROGRAMS.items()}
    scripts = {
        ROOT / COMPLETIONS[shell].format(name): script(name, root, shell).rstrip("\n") + "\n"
        for name, root in PROGRAMS.items()
        for shell in SHELLS
    }
    return pages | scripts


def page(name: str, root: click.Command) -> str:
    """Format the manual page of a program and all its commands."""
    help_ = inspect.cleandoc(root.help or "")
    lines = [
        f'.TH {name.upper()} 1 "" "chatd {__version__}" "chatd"',
        ".SH NAME",
        f"{name} \\- {_SUMMARIES[name]}",
        ".SH SYNOPSIS",
        *(_usage(path, command) for path, command in runnable(name, root)),
        ".SH DESCRIPTION",
        *_prose(help_),
        ".SH OPTIONS",
        *_options(root),
        ".TP",
        f"\\fB{_escape('-h, --help')}\\fR",
        "Show the help of the program or, after a command, of that command.",
        ".SH COMMANDS",
    ]
    for path, command in runnable(name, root):
        if command is not root:
            lines += [f".SS {_escape(path)}", _usage(path, command), ".PP"]
            lines += [*_prose(inspect.cleandoc(command.help or "")), *_options(command)]
    lines += [
        ".SH ENVIRONMENT",
        *_environment(name),
        ".SH SEE ALSO",
        *(f".BR {other} (1)" for other in PROGRAMS if other != name),
    ]
    return "\n".join(lines) + "\n"


def runnable(path: str, root: click.Command) -> list[tuple[str, click.Command]]:
    """List every runnable command with its path; a command with several paths gets the shortest."""
    found: dict[int, tuple[str, click.Command]] = {}
    _collect(path, root, found)
    return list(found.values())


def _collect(path: str, command: click.Command, found: dict[int, tuple[str, click.Command]]) -> None:
    children = command.commands if isinstance(command, click.Group) else {}
    if not isinstance(command, click.Group) or command.invoke_without_command:
        found.setdefault(id(command), (path, command))
    for name, child in sorted(children.items(), key=lambda item: isinstance(item[1], click.Group)):
        if not child.hidden:
            _collect(f"{path} {name}", child, found)


def _usage(path: str, command: click.Command) -> str:
    context = click.Context(command, info_name=path)
    words = " ".join(command.collect_usage_pieces(context))
    return f".br\n\\fB{_escape(path)}\\fR {_escape(words)}"


def _options(command: click.Command) -> list[str]:
    context = click.Context(command)
    lines = []
    for option in command.params:
        record = option.get_help_record(context) if isinstance(option, click.Option) else None
        if record is not None:
            lines += [".TP", f"\\fB{_escape(record[0])}\\fR", _escape(" ".join(record[1].split()))]
    return lines


def _prose(text: str) -> list[str]:
    lines: list[str] = []
    for paragraph in text.split("\n\n"):
        if paragraph.startswith("\b"):
            lines += [".nf", *(_escape(line) for line in paragraph.split("\n")[1:]), ".fi"]
        else:
            lines += [".PP", _escape(" ".join(paragraph.split()))]
    return lines


def _environment(name: str) -> list[str]:
    variables = {
        "CHATD_HOME": "The home, unless --home is given.",
        "CHATD_IDENTITY": "The identity file, unless --identity is given.",
        "CHATD_DEBUG": "Set to 1 to show the traceback of an internal error.",
        "NO_COLOR": "Set to any value to turn colours off.",
    }
    names = [key for key in variables if name != "chatd" or key not in ("CHATD_IDENTITY", "NO_COLOR")]
    return [line for key in names for line in (".TP", f"\\fB{key}\\fR", _escape(variables[key]))]


def _escape(text: str) -> str:
    """Escape for roff: backslashes, minus signs that can be copied, and requests at the start of a line."""
    text = text.replace("\\", "\\e").replace("-", "\\-").replace("`", "\\`").replace("'", "\\(aq")
    return re.sub(r"^\.", r"\\&.", text)


if __name__ == "__main__":
    for file, content in generated().items():
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(content, "utf-8")
