"""``chatctl check``: what an admin should see to, as far as a client can tell."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

import click
from cryptography import x509

from chatctl.connecting import App, connecting
from chatd.codes import CODES
from chatd.console.cluster_text import cluster_findings
from chatd.console.findings import Finding, report
from chatd.pki.authority import CA_WARNING_DAYS
from chatd.pki.identity import Identity
from chatd.proto.frames import JsonObject
from chatd.proto.text import visible


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
    return report(remarks, as_json=app.as_json)


def authority_remarks(identity: Identity, now: datetime) -> Iterator[Finding]:
    """Say when the CA of this identity ends, for all devices at once."""
    ca = x509.load_pem_x509_certificate(identity.ca_pem.encode("ascii"))
    days = (ca.not_valid_after_utc - now).days
    if days >= CA_WARNING_DAYS:
        yield Finding("ok", "cert", f"the CA is valid for {days} days")
        return
    yield Finding("warn", "cert", f"the CA ends in {days} days", "W112", "on the box: chatd ca rotate")


def server_remarks(stats: JsonObject) -> Iterator[Finding]:
    """Say what the server reports of itself."""
    if not stats.get("writable", True):
        yield _remark("fail", "disk", "the disk is full, and the server only reads", "E504")
    else:
        yield Finding("ok", "disk", "the log can be written")
    down = [row for row in stats["processes"] if row.get("state") != "running"]
    for row in down:
        name, state = (visible(str(row.get(key)), newlines=False) for key in ("name", "state"))
        yield _remark("fail", "process", f"{name} is {state}", "E609")
    if not down:
        yield Finding("ok", "process", f"all {len(stats['processes'])} processes run")
    if (cluster := stats.get("cluster")) is not None:
        yield from cluster_findings(cluster)
    if any(row.get("ca_key") is False for row in stats["processes"]):
        text = f"{CODES['W118'].summary}: nobody can join, and no certificate is renewed"
        yield _remark("warn", "keys", text, "W118")


def _remark(level: str, area: str, text: str, code: str) -> Finding:
    return Finding(level, area, text, code, f"on the box: {CODES[code].fix}")
