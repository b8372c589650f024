"""``chatd verify``: verify the whole event log, or an export of it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click

from chatd.cli.export import check_file
from chatd.cli.heads import SignatureState, flat, heads_option, judge_signature, trust_option
from chatd.cli.options import json_option
from chatd.config.home import Home
from chatd.console import output
from chatd.console.arguments import NamedPath
from chatd.console.progress import progress_bar
from chatd.hub.recovery import snapshot_agrees
from chatd.pki.record_key import Trust, known_signers, signer_of, verify_head
from chatd.proto.signatures import EXPORT_DOMAIN, SignedHead
from chatd.store.export_verifier import ExportReport
from chatd.store.mark import read_mark
from chatd.store.verifier import VerifyReport
from chatd.store.verifier import verify as verify_log


@click.command()
@click.option(
    "--export",
    "file",
    metavar="FILE",
    type=NamedPath(path_type=Path, dir_okay=False),
    help="Verify a file written by chatd export instead; needs no home.",
)
@heads_option
@trust_option
@json_option
@click.pass_obj
def verify(
    home: Home, file: Path | None, heads: Sequence[list[SignedHead]], trust: Trust | None, as_json: bool
) -> int:
    """Recompute the event log's whole hash chain; works while the server runs.

    With --head, also show that the log was neither rolled back nor rewritten since that head was printed.
    Exit code 0: every entry is as it was acknowledged; 1: damage, with its place, or a head or signature that
    does not fit.
    """
    if file is not None:
        return _verify_export(file, flat(heads), trust, as_json)
    if trust is not None and not heads:
        raise click.UsageError("--trust needs --head or --export")
    home.require_initialised()
    report = _verify_home(home, flat(heads), trust)
    if as_json:
        output.json_document(report._asdict())
    elif report.ok:
        output.line(f"ok    {report.head} events, all intact")
        if heads:
            output.line(f"      contains all heads given: {len(flat(heads))}")
    else:
        where = f" at event {report.bad_seq}" if report.bad_seq is not None else ""
        output.line(f"fail  {report.reason}" if heads else f"fail  damage{where}: {report.reason}")
        output.note("delete nothing; see docs/operations.md, Damage")
    return output.OK if report.ok else output.FAILED


def _verify_home(home: Home, heads: Sequence[SignedHead], trust: Trust | None) -> VerifyReport:
    if heads:
        signers = [signer for signer in known_signers(home.certs) if trust is None or trust.accepts(signer)]
        try:
            for head in heads:
                verify_head(head, signers, trust.keys if trust else ())
        except ValueError as error:
            return VerifyReport(False, 0, 0, None, str(error))
    total = _known_length(home.data)
    with progress_bar() as progress:
        return verify_log(
            home.data,
            full=True,
            agrees=snapshot_agrees,
            progress=lambda seq: progress("verifying", seq, total),
            heads=heads,
        )


def _verify_export(file: Path, heads: Sequence[SignedHead], trust: Trust | None, as_json: bool) -> int:
    report = check_file(file, heads)
    state = _judge(report, heads, trust) if report.ok else SignatureState("none", "")
    ok = report.ok and state.state != "bad"
    if as_json:
        values = report._asdict() | {"ok": ok, "signature": state._asdict()}
        values["reason"] = report.reason or (state.text if state.state == "bad" else "")
        del values["signed"]
        output.json_document(values)
    elif not report.ok:
        output.line(f"fail  line {report.bad_line}: {report.reason}")
    elif not ok:
        output.line(f"fail  {state.text}")
    else:
        _show_export(report, state, heads)
    return output.OK if ok else output.FAILED


def _judge(report: ExportReport, heads: Sequence[SignedHead], trust: Trust | None) -> SignatureState:
    """Judge the signature of an intact export, and those of the kept heads that it contains."""
    state = judge_signature(
        report.signature,
        EXPORT_DOMAIN + report.signed,
        server=report.header["server"],
        at=report.header["made"],
        trust=trust,
    )
    if state.state == "bad":
        return state
    signers = [] if report.signature is None else [signer_of(report.signature)]
    try:
        for head in heads:
            verify_head(head, signers, trust.keys if trust else ())
    except ValueError as error:
        return SignatureState("bad", str(error))
    return state


def _show_export(report: ExportReport, state: SignatureState, heads: Sequence[SignedHead]) -> None:
    counts = f"{report.shown} with their text, {report.erased} redacted, {report.withheld} withheld"
    output.line(f"ok    events {report.first} to {report.head} of {report.header['server']}: {counts}")
    output.line(f"      head {report.head} {report.header['head']['chain']}")
    if report.later:
        output.line(f"      {report.later} of them redacted later, which this file does not prove")
    if heads:
        output.line(f"      contains all heads given: {len(heads)}")
    output.line(f"      {state.text}")
    if state.state == "unknown":
        output.note("compare this CA fingerprint with the one you know, or check it: --trust WHO")
    elif state.state == "none":
        output.note("compare this head with the one you got over another channel")


def _known_length(data: Path) -> int:
    """Return the number of events in the mark, for the progress bar; 0 if it cannot be read."""
    try:
        mark = read_mark(data)
    except OSError:
        return 0
    return mark.point.seq if mark is not None else 0
