"""``chatd user add``: make an identity file on the box."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path

import click

from chatd.cli.operator import operate
from chatd.cli.options import json_option
from chatd.config.home import Home
from chatd.config.loading import load_settings
from chatd.config.schema import Settings
from chatd.console import output
from chatd.console.numbers import number
from chatd.console.pasting import pasteable
from chatd.errors import ChatdError
from chatd.pki.authority import Authority
from chatd.pki.identity import write_identity
from chatd.pki.profiles import spki
from chatd.pki.record_key import ensure_record_key
from chatd.proto.text import check_name

# The device may be registered, so its only private key must be kept.
OUTCOME_UNKNOWN = ("E503", "E611")
# The device that `chatd init` makes for the first admin.
CONSOLE_DEVICE = "console"


@click.group()
def user() -> None:
    """Add users and their devices."""


@user.command("add")
@click.argument("name")
@click.option("--role", help="Role of a new user. Default: the setting roles.default.")
@click.option("--device", default="laptop", show_default=True, help="Name of the device.")
@click.option(
    "--out",
    type=click.Path(path_type=Path, dir_okay=False),
    help="File to write. Default: certs/identities/NAME-DEVICE.pem in the home.",
)
@click.option(
    "--days",
    type=number(1, 3650),
    default=365,
    show_default=True,
    help="Validity of the identity in days, such as 1 for a guest.",
)
@json_option
@click.pass_obj
def add(
    home: Home, name: str, role: str | None, device: str, out: Path | None, days: int, as_json: bool
) -> None:
    """Make an identity file for a user's device and register it.

    Works whether or not the server is running. The file holds the user's private key: hand it over through
    a channel you trust, then delete your copy.
    """
    home.require_initialised()
    settings = load_settings(home.path, os.environ)
    path = add_user(home, settings, name, device, role, out, days)
    if as_json:
        output.json_document({"user": name, "device": device, "identity": str(path)})
        return
    output.line(str(path))
    output.note(f"added {name}/{device}; the user runs: {pasteable('chat', '--identity', path.name)}")
    output.note(f"to try it on this machine: {pasteable('chat', '--identity', _relative_to_cwd(path))}")


def _relative_to_cwd(path: Path) -> Path:
    cwd = Path.cwd()
    return path.relative_to(cwd) if path.is_relative_to(cwd) else path


def add_user(
    home: Home,
    settings: Settings,
    name: str,
    device: str,
    role: str | None,
    out: Path | None,
    days: int = 365,
) -> Path:
    """Issue, write and register an identity; return its path.

    If that fails, no file is left, unless the outcome is unknown (E503, E611). Raises E4xx, E5xx, E6xx.
    """
    check_name(name, "user")
    check_name(device, "device")
    path = out or home.certs / "identities" / f"{name}-{device}.pem"
    if path.exists():
        fix = "choose another --out" if out else "hand that file over, or choose another --device"
        raise ChatdError("E606", f"{path} already exists", fix)
    if out is None:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    authority = Authority.load(home.certs)
    now = datetime.now(UTC)
    record, created = ensure_record_key(home.certs, authority, now=now)
    if created:
        output.note(f"created the record key {record.public.fingerprint}")
    issued = authority.issue_device(name, device, now=now, days=days, record_key=spki(record.public.key))
    write_identity(
        path,
        issued,
        authority.certificate,
        instance=settings.server.name,
        user=name,
        device=device,
        servers=settings.server.addresses,
    )
    serial = f"{issued.certificate.serial_number:x}"
    ends = round(issued.certificate.not_valid_after_utc.timestamp() * 1000)
    try:
        operate(
            home.path, settings, "user_add", user=name, device=device, serial=serial, role=role, ends=ends
        )
    except ChatdError as error:
        if error.code in OUTCOME_UNKNOWN:
            shown = f"it is valid if `chatctl whois {name}` shows the device; delete it otherwise"
            output.note(f"kept {path}: {shown}")
            raise
        path.unlink(missing_ok=True)
        raise
    return path
