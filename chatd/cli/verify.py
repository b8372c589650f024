"""``chatd verify``: verify the whole event log, or an export of it."""

from __future__ import annotations

from pathlib import Path

import click

from chatd.cli.backup_files import progress_bar
from chatd.cli.export import check_file
from chatd.cli.options import json_option
from chatd.config.home import Home
from chatd.console import output
from chatd.hub.recovery import snapshot_agrees
from chatd.store.mark import read_mark
from chatd.store.verifier import verify as verify_log


@click.command()
@click.option(
    "--export",
    "file",
    metavar="FILE",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Verify a file written by chatd export instead; needs no home.",
)
@json_option
@click.pass_obj
def verify(home: Home, file: Path | None, as_json: bool) -> int:
    """Recompute the event log's whole hash chain; works while the server runs.

    Exit code 0: every entry is as it was acknowledged; 1: damage, with its place.
    """
    if file is not None:
        return _verify_export(file, as_json)
    home.require_initialised()
    total = _known_length(home.data)
    with progress_bar() as progress:
        report = verify_log(
            home.data,
            full=True,
            agrees=snapshot_agrees,
            progress=lambda seq: progress("verifying", seq, total),
        )
    if as_json:
        output.json_document(report._asdict())
    elif report.ok:
        output.line(f"ok    {report.head} events, all intact")
    else:
        where = f" at event {report.bad_seq}" if report.bad_seq is not None else ""
        output.line(f"fail  damage{where}: {report.reason}")
        output.note("delete nothing; see docs/operations.md, Damage")
    return output.OK if report.ok else output.FAILED


def _verify_export(file: Path, as_json: bool) -> int:
    report = check_file(file)
    if as_json:
        output.json_document(report._asdict())
    elif report.ok:
        counts = f"{report.shown} with their text, {report.erased} redacted, {report.withheld} withheld"
        server = report.header.get("server")
        output.line(f"ok    events {report.first} to {report.head} of {server}: {counts}")
        output.line(f"      head {report.head} {report.header['head']['chain']}")
        if report.later:
            output.line(f"      {report.later} of them redacted later, which this file does not prove")
        output.note("compare this head with the one you got over another channel")
    else:
        output.line(f"fail  line {report.bad_line}: {report.reason}")
    return output.OK if report.ok else output.FAILED


def _known_length(data: Path) -> int:
    """Return the number of events in the mark, for the progress bar; 0 if it cannot be read."""
    try:
        mark = read_mark(data)
    except OSError:
        return 0
    return mark.point.seq if mark is not None else 0


COMMANDS: list[click.Command] = [verify]
