"""Ask before what cannot be undone."""

from __future__ import annotations

import sys

import click

from chatd.console import output


def confirm(question: str, *, yes: bool) -> None:
    """Ask on the terminal whether to continue, unless ``yes``; raises click.Abort for no.

    Without a terminal it is a usage error: continuing would turn a script's slip into damage.
    """
    if yes:
        return
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise click.UsageError(f"{question} There is no terminal for the answer: add --yes.")
    click.confirm(output.shown(question), abort=True, err=True)
