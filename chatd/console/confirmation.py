"""Ask before what cannot be undone."""

from __future__ import annotations

import sys
import termios
from typing import IO, Any

import click

from chatd.console import output


class Declined(click.ClickException):
    """The person said no; the message says what that leaves."""

    def show(self, file: IO[Any] | None = None) -> None:
        """Print the message alone: nothing has failed."""
        if self.message:
            output.note(self.message)


def confirm(
    question: str, *, yes: bool, otherwise: str = "nothing was done", default: bool | None = False
) -> None:
    """Ask on the terminal whether to continue, unless ``yes``; raises `Declined` for no.

    What was typed before the question does not answer it. ``otherwise``: what a no leaves. ``default``:
    what Enter means; None asks again. Without a terminal it is a usage error: continuing would turn a slip
    of a script into damage.
    """
    if yes:
        return
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise click.UsageError(f"{question} There is no terminal for the answer: add --yes.")
    _forget_typed()
    if not click.confirm(output.shown(question), default=default, err=True):
        raise Declined(otherwise)


def _forget_typed() -> None:
    try:
        termios.tcflush(sys.stdin, termios.TCIFLUSH)
    except (termios.error, OSError):
        pass  # a terminal that cannot forget; the question is asked all the same
