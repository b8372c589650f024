"""``chatd export``: the record as a file that a stranger can verify, and its verification."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, BinaryIO

import click

from chatd.cli.backup_files import ended_by_signals, new_file, shown_progress
from chatd.config.home import Home
from chatd.config.loading import load_settings
from chatd.console import output
from chatd.errors import ChatdError
from chatd.store.record_export import Choice, ExportReport, check_export, export

# A body has at most 64 KiB, and JSON within JSON doubles its quotes; a longer line is none of ours.
LINE_LIMIT = 512 * 1024
_AGO = re.compile(r"([1-9][0-9]{0,5})([mhd])")
_UNITS = {"m": "minutes", "h": "hours", "d": "days"}


class Moment(click.ParamType):  # type: ignore[type-arg]  # generic in newer versions of click only
    """A time as ms since 1970: RFC 3339, a date (UTC), or how long ago (30m, 2h, 7d)."""

    name = "T"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> int:
        text = str(value)
        if ago := _AGO.fullmatch(text):
            when = datetime.now(UTC) - timedelta(**{_UNITS[ago[2]]: int(ago[1])})
        else:
            try:
                when = datetime.fromisoformat(text.replace("Z", "+00:00"))
            except ValueError:
                self.fail(f"{text!r} is no time: write 2026-01-31, 2026-01-31T08:00:00Z, or 7d", param, ctx)
            when = when if when.tzinfo else when.replace(tzinfo=UTC)
        return max(0, int(when.timestamp() * 1000))


@click.command("export")
@click.option("--room", metavar="ROOM", help="Only what was said in this room; of the rest, that it was.")
@click.option("--since", type=Moment(), help="Not before T: RFC 3339, a date, or 30m, 2h, 7d ago.")
@click.option("--until", type=Moment(), help="Only what was before T.")
@click.option(
    "-o",
    "--output",
    "file",
    metavar="FILE",
    required=True,
    type=click.Path(path_type=Path, dir_okay=False),
    help="Where to; it must not exist.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.pass_obj
def export_command(
    home: Home, room: str | None, since: int | None, until: int | None, file: Path, as_json: bool
) -> None:
    """Write the event log as JSON Lines that anybody can verify; works while the server runs.

    The first line tells which log and which part of it, every other line is one event with its hashes.
    docs/export.md has a verifier of twenty lines; `chatd verify --export FILE` does the same.
    """
    home.require_initialised()
    if os.path.lexists(file):
        raise ChatdError("E606", f"{file} exists already", "choose another name")
    choice = Choice(room if room is None or room[:1] in "#@*" else f"#{room}", since, until)
    server = load_settings(home.path, os.environ).server.name
    made = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    events = shown = 0
    header: dict[str, Any] = {}
    with ended_by_signals(), shown_progress() as progress, new_file(file) as target:
        for line in export(home.data, server, choice, made, lambda n, total: progress("exporting", n, total)):
            target.write(json.dumps(line, separators=(",", ":")).encode() + b"\n")
            if not header:
                header = line
                continue
            events += 1
            shown += "body" in line
    told: dict[str, Any] = {"file": str(file), "events": events, "shown": shown, "head": header["head"]}
    if as_json:
        output.json_document(told)
        return
    click.echo(f"exported  {events} events to {file}, {shown} of them with their text")
    click.echo(f"head      {told['head']['seq']} {told['head']['chain']}")
    output.note("whoever is to check it needs the head from you, by another way than the file")


def check_file(file: Path) -> ExportReport:
    """Verify an exported file. Raises E606 when it cannot be read."""
    try:
        with file.open("rb") as source, shown_progress() as progress:
            return check_export(_lines(source), lambda n, total: progress("verifying", n, total))
    except OSError as error:
        raise ChatdError("E606", f"{file}: {error.strerror}") from None


def _lines(source: BinaryIO) -> Iterator[bytes]:
    while line := source.readline(LINE_LIMIT):
        yield line


COMMANDS: list[click.Command] = [export_command]
