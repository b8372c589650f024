"""The command tree of ``chatd``."""

from __future__ import annotations

import os
from pathlib import Path

import click

from chatd import __version__
from chatd.cli import (
    backup,
    certs,
    check,
    export,
    heads,
    lifecycle,
    restore,
    settings,
    setup,
    users,
    verify,
)
from chatd.config.home import resolve_home
from chatd.console.shell_completion import complete_folders, completion_command


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="chatd")
@click.option(
    "--home",
    metavar="DIR",
    shell_complete=complete_folders,
    help="The folder with certs/ config/ logs/ data/. Default: $CHATD_HOME, else the current folder.",
)
@click.pass_context
def main(ctx: click.Context, home: str | None) -> None:
    """Run a chatd server on this machine.

    Begin with `chatd init`, then `chatd start`. Add users with `chatd user add`. Administer a running server
    with `chatctl`. Exit codes: 0 ok, 1 failed, 2 usage, 3 not found, 5 chatd does not answer, 7 warnings of
    a check, 8 done but its output not written, 130 interrupted.
    """
    ctx.meta[lifecycle.LAUNCHED] = ctx.obj
    ctx.obj = resolve_home(home, os.environ, Path.cwd())


for module in (
    setup,
    lifecycle,
    check,
    settings,
    users,
    certs,
    verify,
    heads,
    export,
    backup,
    restore,
):
    for command in module.COMMANDS:
        main.add_command(command)
main.add_command(completion_command("chatd"))
