"""`chat device`: one's own devices."""

from __future__ import annotations

import click

from chatctl.connecting import App, connecting, duration
from chatctl.join_line import is_here, new_join_line, note_link, reachable_address
from chatd.console import output
from chatd.console.arguments import host_port
from chatd.console.command_table import SummaryGroup
from chatd.console.qr_code import show_qr
from chatd.proto.text import check_name


@click.group(cls=SummaryGroup)
def device() -> None:
    """Add a device of your own."""


@device.command("add")
@click.argument("name", required=False)
@click.option(
    "--code-expires", "expires", type=duration, default="1h", show_default=True,
    help="How long the line works, 1m to 1d.",
)  # fmt: skip
@click.option(
    "--server",
    type=host_port,
    metavar="HOST:PORT",
    help="Where the other device reaches the server. Default: the first address in your identity.",
)
@click.option("--qr", is_flag=True, help="Also print the line as a QR code.")
@connecting
def add(app: App, name: str | None, expires: int, server: str | None, qr: bool) -> None:
    """Print a line that makes another machine a device of yours, called NAME; it works once.

    Run the line there. Whoever runs it first becomes you on that device, so show it to nobody. The private
    key is made there. A new line ends the one before it; `chatctl revoke` by an admin ends a device.
    """
    if name is not None:
        check_name(name, "device")
    with app.client() as client:
        address = server or reachable_address(client.identity)
        line = new_join_line(client.identity, address)
        result = client.request("device_add", secret_hash=line.secret_hash, seconds=expires, device=name)
        result["command"], result["link"] = line.command, line.link(client)

    def show() -> None:
        output.line(line.command)
        note_link(result["link"])
        if qr:
            show_qr(line.command)

    app.show(result, show)
    if is_here(address):
        output.note(f"{address} can be reached on this machine only: name another with --server")
