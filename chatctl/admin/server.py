"""The server as a whole: stats, announcements, error codes."""

from __future__ import annotations

import sys
import time

import click

from chatctl.connecting import App, connecting
from chatd.codes import ALSO, CODES
from chatd.console import format as fmt
from chatd.console import output
from chatd.console.cluster_text import cluster_findings, cluster_lines
from chatd.console.numbers import number
from chatd.proto.frames import JsonObject

_CLEAR = "\x1b[H\x1b[2J"


@click.command()
@click.option("--watch", is_flag=True, help="Repeat until Ctrl-C.")
@click.option(
    "--interval",
    type=number(0.2, 3600),
    default=2.0,
    show_default=True,
    help="Seconds between repeats, with --watch.",
)
@connecting
def stats(app: App, watch: bool, interval: float) -> None:
    """Show connections, messages and all processes of the server.

    With --watch and --json, print one JSON object per line.
    """
    with app.client(reconnect=watch) as client:
        while True:
            result = client.request("stats")
            if watch and not app.as_json and sys.stdout.isatty():
                output.write(_CLEAR)
            _show(app, result)
            if not watch:
                return
            output.flush()
            time.sleep(interval)


def _show(app: App, result: JsonObject) -> None:
    app.show(result, lambda: _print_stats(result))


def _print_stats(result: JsonObject) -> None:
    connections, messages, box = result["connections"], result["messages"], result.get("box") or {}
    output.line(f"{result['server']}  chatd {result['version']}  up {fmt.duration(result['uptime'])}")
    now, total, limit = (connections[name] for name in ("now", "total", "limit"))
    output.line(f"connections    {now} now, {total} in total, {limit} at most")
    counts = ", ".join(
        f"{messages[name]} {name}" for name in ("accepted", "delivered", "filtered", "refused")
    )
    output.line(f"messages       {counts}; last in the log: {result['head']}")
    if not result.get("writable", True):
        output.line("DISK FULL      the server only reads; free disk space (E504)")
    if any(row.get("ca_key") is False for row in result["processes"]):
        output.line("CA KEY AWAY    nobody can join and nothing is renewed (W118)")
    cluster = result.get("cluster")
    if cluster is not None:
        for line in cluster_lines(cluster):
            output.line(line)
        for finding in cluster_findings(cluster):
            if finding.level != "ok":
                output.line(f"{finding.level.upper():<14} {finding.text} ({finding.code}). {finding.fix}")
    output.line(f"crypto errors  {result['crypto_errors']}")
    output.line(f"rooms, users   {result['rooms']}, {result['users']}")
    if box:
        output.line(f"box            {fmt.box(box)}")
    if result["processes"]:
        output.line("")
        for line in fmt.processes(result["processes"]):
            output.line(line)


@click.command()
@click.argument("text", nargs=-1, required=True)
@connecting
def announce(app: App, text: tuple[str, ...]) -> None:
    """Announce TEXT to everybody on the server."""
    result = app.ask("announce", body=" ".join(text))
    app.show(result, lambda: output.line(f"announced as {result['seq']}"))


@click.command()
@click.argument("code")
@click.option("--json", "as_json", is_flag=True, help="Print JSON (with schema: 1) for programs.")
def explain(code: str, as_json: bool) -> int:
    """Explain an error or warning CODE such as E204 and what to do. Needs no server."""
    typed = code.upper()
    code = next((one for one in (typed, f"E{typed}", f"W{typed}") if one in CODES), code)
    entry = CODES.get(code)
    if entry is None:
        output.note(f"error: there is no code {code}; docs/protocol.md lists all codes")
        return output.NOT_FOUND
    if as_json:
        output.json_line({"code": code, **entry._asdict()})
    else:
        output.line(f"{code}  {entry.name}")
        output.line(f"what happened: {entry.summary}")
        output.line(f"what to do: {entry.fix}")
        if also := ALSO.get(code):
            output.line(f"or: {also}")
    return output.OK
