"""``chatctl check``: what an admin should see to, as far as a client can tell."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import NamedTuple

import click
from cryptography import x509

from chatctl.connecting import App, connecting
from chatd.codes import CODES
from chatd.console import output
from chatd.pki.authority import CA_WARNING_DAYS
from chatd.pki.identity import Identity
from chatd.pki.profiles import NEW_HOME
from chatd.proto.frames import JsonObject
from chatd.proto.text import visible

_TEXT_COLUMN = 16


class Remark(NamedTuple):
    """One line of the report; ``level`` is ok, warn or fail, ``code`` says what to do."""

    level: str
    area: str
    text: str
    code: str = ""
    fix: str = ""


@click.command()
@connecting
def check(app: App) -> int:
    """Find problems of the server, now and soon, and say how to fix them.

    On the server's box, chatd check finds more. Exit code 0: no problem; 7: warnings only; 1: a problem that
    needs action.
    """
    with app.client() as client:
        stats = client.request("stats")
        remarks = [*authority_remarks(client.identity, datetime.now(UTC)), *server_remarks(stats)]
    app.show({"findings": [remark._asdict() for remark in remarks]}, lambda: _print(remarks))
    levels = {remark.level for remark in remarks}
    return output.FAILED if "fail" in levels else output.WARNINGS if "warn" in levels else output.OK


def authority_remarks(identity: Identity, now: datetime) -> Iterator[Remark]:
    """Say when the CA of this identity ends, for all devices at once."""
    ca = x509.load_pem_x509_certificate(identity.ca_pem.encode("ascii"))
    days = (ca.not_valid_after_utc - now).days
    if days >= CA_WARNING_DAYS:
        yield Remark("ok", "cert", f"the CA is valid for {days} days")
        return
    yield Remark("warn", "cert", f"the CA ends in {days} days", "W112", NEW_HOME)


def server_remarks(stats: JsonObject) -> Iterator[Remark]:
    """Say what the server reports of itself."""
    if not stats.get("writable", True):
        yield _remark("fail", "disk", "the disk is full, and the server only reads", "E504")
    else:
        yield Remark("ok", "disk", "the log can be written")
    down = [row for row in stats["processes"] if row.get("state") != "running"]
    for row in down:
        name, state = (visible(str(row.get(key)), newlines=False) for key in ("name", "state"))
        yield _remark("fail", "process", f"{name} is {state}", "E609")
    if not down:
        yield Remark("ok", "process", f"all {len(stats['processes'])} processes run")
    if any(row.get("ca_key") is False for row in stats["processes"]):
        text = f"{CODES['W118'].summary}: nobody can join, and no certificate is renewed"
        yield _remark("warn", "keys", text, "W118")


def _remark(level: str, area: str, text: str, code: str) -> Remark:
    return Remark(level, area, text, code, f"on the box: {CODES[code].fix}")


def _print(remarks: list[Remark]) -> None:
    for remark in remarks:
        fix = f"   {remark.code}   fix: {remark.fix}" if remark.code else ""
        output.lines(f"{remark.level:<5} {remark.area:<9} {remark.text}{fix}", _TEXT_COLUMN)
