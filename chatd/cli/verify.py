"""``chatd verify``: recompute the whole event log."""

from __future__ import annotations

import sys

import click

from chatd.cli.output import EXIT_FAILED, emit_json, note
from chatd.config.home import Home
from chatd.store.verify import verify as verify_log


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.pass_obj
def verify(home: Home, as_json: bool) -> None:
    """Recompute every link of the event log's hash chain; works while the server runs.

    Exit code 0: every entry is what it was when it was acknowledged; 1: damage, and where.
    """
    home.require_initialised()
    shown = sys.stderr.isatty()

    def progress(seq: int) -> None:
        if shown:
            click.echo(f"\rverified up to {seq}", nl=False, err=True)

    report = verify_log(home.data, full=True, progress=progress)
    if shown:
        note("")
    if as_json:
        emit_json(report._asdict())
    elif report.ok:
        click.echo(f"ok    {report.head} events, all of them what they were")
    else:
        where = f" at event {report.bad_seq}" if report.bad_seq is not None else ""
        click.echo(f"fail  damage{where}: {report.reason}")
        note("do not delete anything; see docs/operations.md, Damage")
    if not report.ok:
        sys.exit(EXIT_FAILED)


COMMANDS: list[click.Command] = [verify]
