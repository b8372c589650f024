"""``chatd export``: the event log as a file that anyone can verify, and its verification."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO

import click

from chatd.cli.audit_lines import note_act
from chatd.cli.backup_files import create_new, exit_on_signals, refuse_existing, utc_now
from chatd.cli.heads import NO_KEY
from chatd.cli.options import json_option
from chatd.config.home import Home
from chatd.config.loading import load_settings
from chatd.console import output
from chatd.console.arguments import NamedPath
from chatd.console.moments import Moment
from chatd.console.progress import progress_bar
from chatd.errors import ChatdError
from chatd.pki.record_key import MISSING, load_record_key
from chatd.proto.signatures import EXPORT_DOMAIN, SignedHead
from chatd.store.export_verifier import ExportReport, check_export
from chatd.store.record_export import Choice, export

# A body has at most 64 KiB, and JSON within JSON escapes its quotes; an export has no longer lines.
MAX_LINE_BYTES = 512 * 1024


@click.command("export")
@click.option(
    "--room", metavar="ROOM", help="Include bodies of this room only; other events keep their hashes."
)
@click.option("--since", type=Moment(), help="Start at T: RFC 3339, a date, or an age (30m, 2h, 7d).")
@click.option("--until", type=Moment(), help="End before T.")
@click.option(
    "-o",
    "--output",
    "file",
    metavar="FILE",
    required=True,
    type=NamedPath(path_type=Path, dir_okay=False),
    help="File to write; must not exist.",
)
@json_option
@click.pass_obj
def export_command(
    home: Home, room: str | None, since: int | None, until: int | None, file: Path, as_json: bool
) -> None:
    """Write the event log as JSON Lines that anyone can verify; works while the server runs.

    The first line names the log and the part exported; every other line is one event with its hashes; the
    last is the signature of the first. docs/export.md has a verifier in plain Python; `chatd verify --export
    FILE` does the same.
    """
    home.require_initialised()
    refuse_existing(file)
    choice = Choice(room if room is None or room[:1] in "#@*" else f"#{room}", since, until)
    server = load_settings(home.path, os.environ).server.name
    events, with_body, found = 0, 0, False
    header: dict[str, Any] = {}
    signed = b""
    made, record = utc_now(), load_record_key(home.certs)
    with exit_on_signals(), progress_bar() as progress, create_new(file) as target:
        for line in export(
            home.data,
            server,
            choice,
            made,
            lambda n, total: progress("exporting", n, total),
            signed=record is not None,
        ):
            text = json.dumps(line, separators=(",", ":")).encode()
            target.write(text + b"\n")
            if not header:
                header, signed = line, text
                continue
            events += 1
            with_body += "body" in line
            found = found or line["room"] == choice.room
        if choice.room and not found:
            raise ChatdError("E404", f"the log has no event of {choice.room} in this time", "check the name")
        if record is not None:
            signature = record.make_signature(EXPORT_DOMAIN + signed, server=server, at=made)
            target.write(signature.model_dump_json().encode() + b"\n")
    head = header["head"]
    note_act(home.path, "exported", file=str(file.absolute()), head=head["seq"], **choice._asdict())
    if as_json:
        output.json_document(
            {
                "file": str(file),
                "events": events,
                "shown": with_body,
                "head": head,
                "record_key": None if record is None else record.public.fingerprint,
            }
        )
        return
    output.line(f"exported  {events} events to {file}, {with_body} of them with their text")
    output.line(f"head      {head['seq']} {head['chain']}")
    if record is None:
        output.note(f"not signed: {NO_KEY}; {MISSING}")
        output.note("to verify the file, its recipient needs this head from you over another channel")
        return
    output.line(f"signed    with a key of the CA {record.public.ca_fingerprint}")
    output.note("to verify the file, its recipient needs this fingerprint from you over another channel")


def check_file(file: Path, heads: Sequence[SignedHead]) -> ExportReport:
    """Verify an exported file. Raises E606 if it cannot be read."""
    try:
        with file.open("rb") as source, progress_bar() as progress:
            return check_export(_lines(source), lambda n, total: progress("verifying", n, total), heads)
    except OSError as error:
        raise ChatdError("E606", f"{file}: {error.strerror}") from None


def _lines(source: BinaryIO) -> Iterator[bytes]:
    while line := source.readline(MAX_LINE_BYTES):
        yield line
