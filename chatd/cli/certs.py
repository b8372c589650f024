"""``chatd cert``: the server's own certificates."""

from __future__ import annotations

import os
from datetime import UTC, datetime

import click
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from chatd.cli.setup import split_address
from chatd.config.home import Home
from chatd.config.loading import load_settings
from chatd.console import output
from chatd.errors import ChatdError
from chatd.pki.authority import Authority, save_issued
from chatd.pki.profiles import fingerprint
from chatd.supervisor.control import ask

_NAMES = ("ca", "server", "envelope")


@click.group()
def cert() -> None:
    """The server's certificates. People's identities: chatd user."""


@cert.command("show")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.pass_obj
def show(home: Home, as_json: bool) -> None:
    """Show the CA's, the server's and the envelope's certificate: fingerprint and end."""
    home.require_initialised()
    rows = []
    for name in _NAMES:
        certificate = _load(home, name)
        ends = certificate.not_valid_after_utc.strftime("%Y-%m-%dT%H:%M:%SZ")
        mark = fingerprint(certificate.public_bytes(Encoding.DER))
        rows.append({"name": name, "ends": ends, "fingerprint": mark})
    if as_json:
        output.json_document({"certificates": rows})
        return
    for row in rows:
        click.echo(f"{row['name']:<9} until {row['ends']}  {row['fingerprint']}")


@cert.command("renew")
@click.pass_obj
def renew(home: Home) -> None:
    """Make new server and envelope certificates with new keys, and put them in use.

    The CA stays, so that nobody needs a new identity. Open connections go on undisturbed.
    """
    home.require_initialised()
    settings = load_settings(home.path, os.environ)
    authority, now = Authority.load(home.certs), datetime.now(UTC)
    hosts = [split_address(address, 0)[0] for address in settings.server.addresses]
    save_issued(home.certs, "envelope", authority.issue_envelope(settings.security.rsa_key_size, now=now))
    save_issued(home.certs, "server", authority.issue_server(hosts, now=now))
    click.echo("server and envelope certificates renewed")
    try:
        ask(home.path, {"type": "reload"}, 10.0)
        output.note("the running server uses them from now on")
    except ChatdError as error:
        if error.code != "E603":
            raise


def _load(home: Home, name: str) -> x509.Certificate:
    path = home.certs / f"{name}.pem"
    try:
        return x509.load_pem_x509_certificate(path.read_bytes())
    except (OSError, ValueError) as error:
        raise ChatdError("E606", f"{path} cannot be read: {error}") from None


COMMANDS: list[click.Command] = [cert]
