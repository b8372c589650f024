"""`chat whoami` and `chatctl whoami`."""

from __future__ import annotations

import time
from datetime import UTC, datetime

import click

from chatctl.connecting import App, connecting
from chatd.console import output
from chatd.pki.home_addresses import servers_of
from chatd.pki.identity import Identity


def record_key_of(identity: Identity) -> str:
    """Return the record key that the certificate names, with the day: a later one comes with a renewal."""
    if not identity.record_key:
        return "the identity is older than the record key"
    return f"{identity.record_key} (as of {identity.not_before:%Y-%m-%d}, when this certificate was made)"


@click.command()
@connecting
def whoami(app: App) -> None:
    """Log in and show your user, role and rooms, and when your identity expires."""
    with app.client() as client:
        welcome = client.wait_connected(0)
        identity = client.identity
    ends = identity.not_after if identity.not_after.tzinfo else identity.not_after.replace(tzinfo=UTC)
    days = (ends - datetime.fromtimestamp(time.time(), UTC)).days
    servers = list(servers_of(identity))
    result = {
        "user": welcome.user,
        "device": welcome.device,
        "role": welcome.role,
        "permissions": welcome.permissions,
        "rooms": welcome.rooms,
        "instance": welcome.instance,
        "server": welcome.server,
        "servers": servers,
        "envelope": welcome.envelope,
        "expires": ends.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "identity": str(identity.path),
        "record_key": identity.record_key,
    }

    def print_text() -> None:
        output.line(f"{welcome.user}/{welcome.device}  role {welcome.role}  on {welcome.instance}")
        output.line(f"server    {output.joined(servers)} (chatd {welcome.version})")
        output.line(f"envelope  {'on' if welcome.envelope else 'OFF: only TLS protects this connection'}")
        output.line(f"rooms     {output.joined(welcome.rooms)}")
        output.line(f"identity  {identity.path}, expires {result['expires']} (in {days} days)")
        output.line(f"record    {record_key_of(identity)}")

    app.show(result, print_text)
