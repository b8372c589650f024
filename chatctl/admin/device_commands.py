"""Devices and their certificates: lists of them."""

from __future__ import annotations

import click

from chatctl.connecting import App, connecting, duration
from chatd.console import output
from chatd.proto.frames import JsonObject

DEVICE_COLUMNS: output.Columns = {
    "device": str,
    "state": str,
    "issued": output.moment,
    "ends": output.moment,
    "seen": output.moment,
    "sessions": output.plain,
}


@click.command("list")
@click.argument("user", required=False)
@connecting
def list_devices(app: App, user: str | None) -> None:
    """List your own devices, or those of USER, with their certificates.

    A column says when each was last seen since the server's last start.
    """
    from chatctl.model.paging import list_all

    with app.client() as client:
        # Of others it takes the permission user.list.
        other = {} if user in (None, client.identity.user) else {"user": user}
        kind = "certificates" if other else "devices"
        found = list_all(client.request, kind, "certificates", "device", **other)
    app.show({"certificates": found}, lambda: output.table(found, DEVICE_COLUMNS))


@click.command("list")
@click.argument("user", required=False)
@click.option("--expiring", type=duration, help="Only those that expire within so long, such as 7d.")
@connecting
def list_certificates(app: App, user: str | None, expiring: int | None) -> None:
    """List the certificates of all devices, or of those of USER: serial number, dates, who let them in."""
    chosen: JsonObject = {"user": user, "expiring": expiring}
    fields = {name: value for name, value in chosen.items() if value is not None}
    result = app.ask_pages("certificates", "certificates", "device", **fields)
    columns: output.Columns = {
        "user": str,
        "device": str,
        "serial": str,
        "issued": output.moment,
        "ends": output.moment,
        "state": str,
        "by": output.plain,
    }
    app.show(result, lambda: output.table(result["certificates"], columns))
