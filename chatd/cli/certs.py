"""``chatd cert``: the server's own certificates."""

from __future__ import annotations

import os
from datetime import UTC, datetime

import click
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from chatd.cli.audit_lines import note_act
from chatd.cli.options import json_option
from chatd.config.home import Home
from chatd.config.loading import load_settings
from chatd.config.page_address import page_hosts
from chatd.console import output
from chatd.console.command_table import SummaryGroup
from chatd.errors import ChatdError
from chatd.pki.authority import Authority, load_roots, save_issued
from chatd.pki.profiles import fingerprint, spki
from chatd.pki.record_key import MISSING, SigningKey, key_id, load_record_key, replace_record_key
from chatd.proto.signatures import TIME_FORMAT
from chatd.supervisor.control import ask

_NAMES = ("ca", "server", "envelope")


@click.group(cls=SummaryGroup)
def cert() -> None:
    """Show and renew the server's certificates. For users' identities: chatd user."""


@cert.command("show")
@json_option
@click.pass_obj
def show(home: Home, as_json: bool) -> None:
    """Show expiry and fingerprint of the CA, server and envelope certificates, and of the record key."""
    home.require_initialised()
    rows = []
    certificates = [(name, _load(home, name)) for name in _NAMES]
    certificates += [("old ca", old) for old in load_roots(home.certs)[1:]]
    for name, certificate in certificates:
        ends = certificate.not_valid_after_utc.strftime(TIME_FORMAT)
        digest = fingerprint(certificate.public_bytes(Encoding.DER))
        rows.append({"name": name, "ends": ends, "fingerprint": digest})
    record = load_record_key(home.certs)
    if as_json:
        output.json_document({"certificates": rows, "record_key": _record_json(record)})
        return
    for row in rows:
        output.line(f"{row['name']:<9} until {row['ends']}  {row['fingerprint']}")
    if record is None:
        output.line(f"record    none: {MISSING}")
        return
    ends = record.public.certificate.not_valid_after_utc.strftime(TIME_FORMAT)
    output.line(f"record    until {ends}  {record.public.fingerprint} (of the key)")


def _record_json(record: SigningKey | None) -> dict[str, str] | None:
    if record is None:
        return None
    public = record.public
    return {
        "ends": public.certificate.not_valid_after_utc.strftime(TIME_FORMAT),
        "fingerprint": public.fingerprint,
        "key_id": key_id(public.key),
        "public_key": spki(public.key).hex(),
    }


@cert.command("renew")
@click.option("--record-key", is_flag=True, help="Also replace the record key; see docs/export.md.")
@click.pass_obj
def renew(home: Home, record_key: bool) -> None:
    """Replace the server and envelope certificates and their keys, and put them into use.

    The CA stays, so no user needs a new identity. Open connections are not affected.
    """
    home.require_initialised()
    settings = load_settings(home.path, os.environ)
    authority, now = Authority.load(home.certs), datetime.now(UTC)
    bits, days = settings.security.rsa_key_size, settings.security.server_certificate_days
    save_issued(home.certs, "envelope", authority.issue_envelope(bits, now=now, days=days))
    save_issued(home.certs, "server", authority.issue_server(page_hosts(settings), now=now, days=days))
    note_act(home.path, "certificates_renewed")
    output.line("server and envelope certificates renewed")
    if record_key:
        created = replace_record_key(home.certs, authority, now=now)
        note_act(home.path, "certificates_renewed", record_key=created.public.fingerprint)
        output.line(f"record key replaced; it is now {created.public.fingerprint}")
        output.note("chat whoami shows the old one until the device's next renewal")
    if put_into_use(home):
        output.note("the running server uses them from now on")


def put_into_use(home: Home) -> bool:
    """Let the running server load the certificates and keys anew; return whether one runs."""
    try:
        ask(home.path, {"type": "reload"}, 10.0)
    except ChatdError as error:
        if error.code != "E603":
            raise
        return False
    return True


def _load(home: Home, name: str) -> x509.Certificate:
    path = home.certs / f"{name}.pem"
    try:
        return x509.load_pem_x509_certificate(path.read_bytes())
    except (OSError, ValueError) as error:
        raise ChatdError("E606", f"{path} cannot be read: {error}") from None
