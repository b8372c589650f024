"""``chatd ca``: the authority of this server, its key, and its successor."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path

import click
from cryptography.hazmat.primitives.serialization import Encoding

from chatd.cli.audit_lines import note_act
from chatd.cli.backup_files import (
    create_new,
    exit_on_signals,
    passphrase_option,
    read_limited,
    read_passphrase,
    refuse_existing,
)
from chatd.cli.certs import put_into_use
from chatd.cli.operator import operate
from chatd.config.home import Home
from chatd.config.loading import load_settings
from chatd.config.schema import Settings
from chatd.console import output
from chatd.console.arguments import NamedPath
from chatd.console.command_table import SummaryGroup
from chatd.console.pasting import chatd_command
from chatd.console.shell_completion import complete_files
from chatd.durable_files import PRIVATE, replace_file, sync_folder
from chatd.errors import ChatdError
from chatd.pki.authority import Authority, is_serial_of, load_ca, load_roots
from chatd.pki.ca_key import is_sealed, open_key, seal_key
from chatd.pki.issued import Issued
from chatd.pki.profiles import fingerprint
from chatd.pki.rotation import retire, rotate
from chatd.proto.frames import JsonObject

_KEPT_IN_MEMORY = "the key is off the disk, but the running server may still hold it: run chatd restart"


@click.group(cls=SummaryGroup)
def ca() -> None:
    """Replace the CA while clients go on; take its key off the server, and put it back."""


@ca.command("export")
@click.argument("file", type=NamedPath(path_type=Path, dir_okay=False))
@click.option("--remove", is_flag=True, help="Then take the key off this server; chatd ca import undoes it.")
@passphrase_option
@click.pass_obj
def export_key(home: Home, file: Path, remove: bool, passphrase_file: str | None) -> None:
    """Write the CA's key to FILE, encrypted with a passphrase.

    FILE must not exist. Without the key nobody can be added and no certificate renewed; everything else goes
    on. --remove deletes the key only after FILE has been read back and opened.
    """
    home.require_initialised()
    refuse_existing(file)
    authority = Authority.load(home.certs)
    if remove and authority.old is not None:
        reason = "the key of the old CA is here, too, until the rotation is complete"
        raise ChatdError("E606", reason, "first run: chatd ca retire")
    passphrase = read_passphrase(passphrase_file, new=True)
    with exit_on_signals():
        with create_new(file) as target:
            target.write(seal_key(authority.key, passphrase))
        open_key(read_limited(file), passphrase, authority.certificate, str(file))
    note_act(home.path, "ca_key_exported", file=str(file.absolute()), removed=remove)
    output.line(f"{file} opens with this passphrase and holds the key of the CA")
    if remove:
        _remove_key(home)
    output.note("keep it off this machine and apart from its passphrase; the CA is lost with either")


def _remove_key(home: Home) -> None:
    path = home.certs / "ca.key"
    try:
        path.unlink()
        sync_folder(home.certs)
    except OSError as error:
        raise ChatdError("E606", f"{path} cannot be removed: {error.strerror}") from None
    output.line("the CA's key is no longer on this server: nothing is issued or renewed until it is back")
    output.note(f"put it back with: {chatd_command(home.path, 'ca', 'import')} FILE")
    output.note("backups made before hold the key, and a disk may keep what was deleted")
    try:
        put_into_use(home)
    except ChatdError:
        output.note(_KEPT_IN_MEMORY)
        raise


@ca.command("import")
@click.argument("file", type=NamedPath(path_type=Path, dir_okay=False), shell_complete=complete_files)
@passphrase_option
@click.pass_obj
def import_key(home: Home, file: Path, passphrase_file: str | None) -> None:
    """Put the CA's key back from FILE, which chatd ca export wrote.

    FILE stays. The key is put in place only if it is that of certs/ca.pem.
    """
    home.require_initialised()
    certificate = load_ca(home.certs)
    pem = read_limited(file)
    passphrase = read_passphrase(passphrase_file) if is_sealed(pem) else b""
    key = open_key(pem, passphrase, certificate, str(file))
    replace_file(home.certs / "ca.key", Issued(certificate, key).key_pem, PRIVATE)
    note_act(home.path, "ca_key_imported", file=str(file.absolute()))
    output.line(f"the key of the CA {fingerprint(certificate.public_bytes(Encoding.DER))} is in place")
    if put_into_use(home):
        output.note("the running server issues and renews certificates again")


@ca.command("rotate")
@click.pass_obj
def rotate_command(home: Home) -> None:
    """Make a new CA. Clients learn of it, and move to it, by themselves; nobody is cut.

    The old and the new CA certify each other, and the server accepts devices of both until chatd ca retire.
    """
    home.require_initialised()
    new = rotate(home.certs, now=datetime.now(UTC))
    digest = fingerprint(new.certificate.public_bytes(Encoding.DER))
    note_act(home.path, "ca_rotated", fingerprint=digest)
    output.line(f"new CA fingerprint  {digest}")
    output.note("clients move to it when they are connected, within seconds or at their next start")
    output.note(f"when all have: {chatd_command(home.path, 'ca', 'retire')}, which lists those that have not")
    output.note("make a new backup: one made before restores the old CA only")
    if put_into_use(home):
        output.note("the running server uses both from now on")


@ca.command("retire")
@click.option("--force", is_flag=True, help="Also if devices have not moved: they need new identities.")
@click.pass_obj
def retire_command(home: Home, force: bool) -> None:
    """Drop the CA before the last rotation. Refuses while a device with a valid certificate needs it."""
    home.require_initialised()
    settings = load_settings(home.path, os.environ)
    left = _devices_left(home, settings)
    if left and not force:
        for device in left:
            output.note(f"still with the old CA: {device}")
        raise ChatdError(
            "E410",
            f"{len(left)} {'devices have' if len(left) > 1 else 'device has'} not moved to the new CA",
            "wait until they have been connected, revoke them, or use --force",
        )
    days = settings.security.server_certificate_days
    retire(home.certs, now=datetime.now(UTC), days=days)
    note_act(home.path, "ca_retired", devices_left=len(left))
    output.line("the old CA is no longer accepted, and its key is deleted")
    if put_into_use(home):
        output.note("the running server uses the new one only; sessions of devices that have not moved end")


def _devices_left(home: Home, settings: Settings) -> list[str]:
    """Return the devices that may log in and have no certificate of the new CA."""
    new, *others = load_roots(home.certs)
    left: list[str] = []
    page: JsonObject = {"more": bool(others), "next": ""}
    while page["more"]:
        page = operate(home.path, settings, "certificates", after=page["next"])
        left += [
            f"{row['user']}/{row['device']}"
            for row in page["certificates"]
            if row["state"] == "valid" and not is_serial_of(row["serial"], new)
        ]
    return left
