"""How chatd's commands speak: data on stdout, everything else on stderr, exit codes that tell the truth."""

from __future__ import annotations

import json
import os
import sys
from typing import Any, NoReturn

import click

from chatd.errors import ChatdError

# The table of docs/operations.md, "Exit codes".
EXIT_FAILED = 1
EXIT_USAGE = 2
EXIT_NOT_FOUND = 3
EXIT_NOT_PERMITTED = 4
EXIT_UNREACHABLE = 5
EXIT_WARNINGS = 7
_EXIT_OF = {"E404": EXIT_NOT_FOUND, "E405": EXIT_NOT_FOUND, "E412": EXIT_NOT_FOUND} | {
    "E603": EXIT_UNREACHABLE,
    "E611": EXIT_UNREACHABLE,
}


def emit_json(value: dict[str, Any]) -> None:
    """One JSON document on stdout."""
    click.echo(json.dumps({"schema": 1, **value}, ensure_ascii=False, indent=2))


def note(text: str) -> None:
    """Something for the person, not for a pipe."""
    click.echo(text, err=True)


def fail(error: ChatdError) -> NoReturn:
    """Say what happened, why and what to do; leave with the code for it."""
    lines = error.reason.splitlines() or [""]
    note(f"error: {lines[0]} ({error.code})")
    for line in lines[1:]:
        note(f"       {line}")
    if error.fix:
        note(f"       {error.fix}")
    sys.exit(_EXIT_OF.get(error.code, EXIT_FAILED))


class Command(click.Group):
    """A group whose commands end in a sentence, never in a traceback."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except ChatdError as error:
            fail(error)
        except (click.exceptions.ClickException, click.exceptions.Exit, click.Abort):
            raise
        except BrokenPipeError:
            # The reader of our output has gone (head, less). Nothing is to be said, not even at exit.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            sys.exit(EXIT_FAILED)
        except KeyboardInterrupt:
            raise click.Abort from None
        except Exception as error:
            if os.environ.get("CHATD_DEBUG"):
                raise
            note(f"error: {type(error).__name__}: {error} (E500)")
            note("       this is a mistake of chatd; CHATD_DEBUG=1 shows where it happened")
            sys.exit(EXIT_FAILED)
