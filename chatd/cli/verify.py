"""``chatd verify``: recompute the whole event log."""

from __future__ import annotations

from pathlib import Path

import click

from chatd.cli.backup_files import shown_progress
from chatd.cli.export import check_file
from chatd.config.home import Home
from chatd.console import output
from chatd.proto.text import visible
from chatd.store.mark import read_mark
from chatd.store.verifier import verify as verify_log


@click.command()
@click.option(
    "--export",
    "file",
    metavar="FILE",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Verify what chatd export has written instead; needs no home.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.pass_obj
def verify(home: Home, file: Path | None, as_json: bool) -> int:
    """Recompute every link of the event log's hash chain; works while the server runs.

    Exit code 0: every entry is what it was when it was acknowledged; 1: damage, and where.
    """
    if file is not None:
        return _verify_export(file, as_json)
    home.require_initialised()
    total = _length(home.data)
    with shown_progress() as progress:
        report = verify_log(home.data, full=True, progress=lambda seq: progress("verifying", seq, total))
    if as_json:
        output.json_document(report._asdict())
    elif report.ok:
        click.echo(f"ok    {report.head} events, all of them what they were")
    else:
        where = f" at event {report.bad_seq}" if report.bad_seq is not None else ""
        click.echo(f"fail  damage{where}: {report.reason}")
        output.note("do not delete anything; see docs/operations.md, Damage")
    return output.OK if report.ok else output.FAILED


def _verify_export(file: Path, as_json: bool) -> int:
    report = check_file(file)
    if as_json:
        output.json_document(report._asdict())
    elif report.ok:
        counted = f"{report.shown} with their text, {report.erased} erased, {report.withheld} withheld"
        server = visible(str(report.header.get("server")))
        click.echo(f"ok    events {report.first} to {report.head} of {server}: {counted}")
        click.echo(f"      head {report.head} {report.header['head']['chain']}")
        output.note("compare the head with the one that you were told by another way")
    else:
        click.echo(f"fail  line {report.bad_line}: {report.reason}")
    return output.OK if report.ok else output.FAILED


def _length(data: Path) -> int:
    """How many events there are at least; 0 when that cannot be told, which the verification then says."""
    try:
        mark = read_mark(data)
    except OSError:
        return 0
    return mark.point.seq if mark is not None else 0


COMMANDS: list[click.Command] = [verify]
