"""``chatd client-bundle``: hand the clients out as files that need nothing but Python."""

from __future__ import annotations

import platform
import sys
from pathlib import Path

import click

from chatd.cli.client_files import PROGRAMS, build
from chatd.console import output
from chatd.console.arguments import ANY_NAME
from chatd.console.pasting import pasteable
from chatd.console.shell_completion import complete_folders

_SUFFIX = ".pyz"


@click.command("client-bundle")
@click.argument("path", metavar="[DIR|FILE.pyz]", type=ANY_NAME, default=".", shell_complete=complete_folders)
def client_bundle(path: str) -> None:
    """Write chat.pyz and chatctl.pyz into DIR (default: here), or only chat as FILE.pyz.

    Members run the file with the Python they have: python3 chat.pyz join HOST:PORT/CODE. It is made of what
    is installed here, without a network, for this kind of machine and this version of Python.
    """
    given = Path(path)
    targets = (
        {"chat": given} if given.suffix == _SUFFIX else {name: given / (name + _SUFFIX) for name in PROGRAMS}
    )
    for program, target in targets.items():
        target.parent.mkdir(parents=True, exist_ok=True)
        build(program, target)
        output.line(str(target))
    version = f"{sys.version_info[0]}.{sys.version_info[1]}"
    output.note(
        f"for Python {version} on {platform.system()} {platform.machine()}; give it to a member, then:"
    )
    output.note(f"  {pasteable('python3', targets['chat'].name)} join HOST:PORT/CODE")
