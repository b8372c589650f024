"""``chatd user add``: make an identity file on the box."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from itertools import zip_longest
from pathlib import Path

import click

from chatd.cli.operator import OUTCOME_UNKNOWN, operate_all
from chatd.cli.options import json_option
from chatd.cli.user_revoke import revoke
from chatd.config.home import Home
from chatd.config.loading import load_settings
from chatd.config.schema import Settings
from chatd.console import output
from chatd.console.arguments import NamedPath
from chatd.console.command_table import SummaryGroup
from chatd.console.numbers import duration, number
from chatd.console.pasting import pasteable
from chatd.console.progress import progress_bar
from chatd.console.shell_completion import complete_files
from chatd.console.user_list import Mistakes, NewDevice, read_list
from chatd.durable_files import PRIVATE, create_file, sync_files
from chatd.errors import ChatdError
from chatd.hub.recovery import Outcome
from chatd.pki.authority import Authority, load_chain
from chatd.pki.identity import identity_content
from chatd.pki.profiles import DeviceName, key_hash_of, spki
from chatd.pki.record_key import ensure_record_key
from chatd.pki.rollover import crosses_of
from chatd.proto.frames import JsonObject
from chatd.proto.text import check_name

# The device that `chatd init` makes for the first admin.
CONSOLE_DEVICE = "console"


@click.group(cls=SummaryGroup)
def user() -> None:
    """Add users and their devices, revoke devices."""


user.add_command(revoke)


@user.command("add")
@click.argument("name", required=False)
@click.option("--role", help="Role of a new user. Default: the setting roles.default.")
@click.option("--device", default="laptop", show_default=True, help="Name of the device.")
@click.option(
    "--out",
    type=NamedPath(path_type=Path, dir_okay=False),
    help="File to write. Default: certs/identities/NAME-DEVICE.pem in the home.",
)
@click.option(
    "--file",
    "listed",
    metavar="FILE",
    type=NamedPath(path_type=Path, dir_okay=False),
    shell_complete=complete_files,
    help="Add all users of a CSV file with the columns name,role,device; - reads standard input.",
)
@click.option(
    "--days",
    type=number(1, 3650),
    default=365,
    show_default=True,
    help="Validity of the identity in days, such as 1 for a guest.",
)
@click.option(
    "--ends",
    metavar="DURATION",
    type=duration,
    help="For a guest: how long from now until sessions, rooms and certificate end, such as 48h.",
)
@click.option("--sponsor", metavar="USER", help="The user who may extend the guest's time, and is reminded.")
@json_option
@click.pass_obj
def add(
    home: Home,
    name: str | None,
    role: str | None,
    device: str,
    out: Path | None,
    listed: Path | None,
    days: int,
    ends: int | None,
    sponsor: str | None,
    as_json: bool,
) -> None:
    """Make an identity file for a user's device and register it.

    Works whether or not the server is running. The file holds the user's private key: hand it over through
    a channel you trust, then delete your copy.

    With --file instead of NAME, one user on each line. Only the name is required: --role and --device are for
    lines without them. A first line with the word "name" orders the columns. If any line is wrong, nothing is
    done.
    """
    home.require_initialised()
    settings = load_settings(home.path, os.environ)
    if listed is not None:
        if name is not None or out is not None or ends is not None:
            raise click.UsageError("--file replaces NAME and --out, and does not go with --ends.")
        _add_listed(home, settings, read_list(listed, role, device), days, as_json=as_json)
        return
    if name is None:
        raise click.UsageError("Give a NAME, or --file FILE.")
    if sponsor is not None and ends is None:
        raise click.UsageError("--sponsor goes with --ends.")
    guest = None if ends is None else {"guest_seconds": ends, "sponsor": sponsor}
    path = add_user(home, settings, name, device, role or ("guest" if guest else None), out, days, guest)
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
    guest: JsonObject | None = None,
) -> Path:
    """Issue, write and register an identity; return its path. ``guest``: fields of the request for a guest.

    If that fails, no file is left, unless the outcome is unknown (E503, E611). Raises E4xx, E5xx, E6xx.
    """
    check_name(name, "user")
    check_name(device, "device")
    path = out or home.identity_file(name, device)
    if path.exists():
        fix = "choose another --out" if out else "hand that file over, or choose another --device"
        raise ChatdError("E606", f"{path} already exists", fix)
    if out is None:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    request = Issuing(home, settings, days).write(path, name, device, role) | (guest or {})
    [outcome] = _register(home, settings, {path: request})
    if isinstance(outcome, ChatdError):
        if outcome.code in OUTCOME_UNKNOWN:
            shown = f"it is valid if `chatctl whois {name}` shows the device; delete it otherwise"
            output.note(f"kept {path}: {shown}")
        raise outcome
    return path


class Issuing:
    """Issues identities with the keys of a home, which are loaded once."""

    def __init__(self, home: Home, settings: Settings, days: int) -> None:
        self._settings = settings
        self._days = days
        self._now = datetime.now(UTC)
        self._authority = Authority.load(home.certs)
        record, created = ensure_record_key(home.certs, self._authority, now=self._now)
        if created:
            output.note(f"created the record key {record.public.fingerprint}")
        self._record_key = spki(record.public.key)
        self._crosses = crosses_of(self._authority.certificate, load_chain(home.certs))

    def write(self, path: Path, user: str, device: str, role: str | None, *, sync: bool = True) -> JsonObject:
        """Issue and write one identity; return the request that registers it. Raises E6xx.

        ``sync`` as for `durable_files.create_file`.
        """
        issued = self._authority.issue_device(
            user, device, now=self._now, days=self._days, record_key=self._record_key
        )
        name = DeviceName(self._settings.server.name, user, device)
        content = identity_content(
            issued,
            self._authority.certificate,
            *self._crosses,
            name=name,
            servers=self._settings.server.client_addresses,
        )
        create_file(path, content, PRIVATE, sync=sync)
        serial = f"{issued.certificate.serial_number:x}"
        ends = round(issued.certificate.not_valid_after_utc.timestamp() * 1000)
        key = key_hash_of(issued.certificate)
        return _request(user, device, role, serial) | {"ends": ends, "key": key}


def _request(name: str, device: str, role: str | None, serial: str) -> JsonObject:
    return {"type": "user_add", "user": name, "device": device, "serial": serial, "role": role}


def _register(
    home: Home,
    settings: Settings,
    requests: Mapping[Path, JsonObject],
    progress: Callable[[int], None] = lambda done: None,
) -> list[Outcome]:
    """Register written identities, and delete the files of those that are not registered for certain."""
    outcomes: list[Outcome] = []
    try:
        outcomes = operate_all(home.path, settings, [*requests.values()], progress)
    finally:
        for path, outcome in zip_longest(requests, outcomes):
            refused = isinstance(outcome, ChatdError) and outcome.code not in OUTCOME_UNKNOWN
            if outcome is None or refused:
                path.unlink(missing_ok=True)
    return outcomes


def _add_listed(home: Home, settings: Settings, listed: list[NewDevice], days: int, *, as_json: bool) -> None:
    """Add all devices of a list, after each of its lines has been judged."""
    paths = [home.identity_file(new.user, new.device) for new in listed]
    with progress_bar() as draw:
        _judge(home, settings, listed, paths, lambda done: draw("checking", done, len(listed)))
        home.identities.mkdir(mode=0o700, parents=True, exist_ok=True)
        issuing = Issuing(home, settings, days)
        requests: dict[Path, JsonObject] = {}
        try:
            for path, new in zip(paths, listed, strict=True):
                requests[path] = issuing.write(path, new.user, new.device, new.role, sync=False)
                draw("writing", len(requests), len(listed))
            sync_files(home.identities, requests)
        except BaseException:
            for path in requests:
                path.unlink(missing_ok=True)
            raise
        outcomes = _register(home, settings, requests, lambda done: draw("registering", done, len(listed)))
    _show_added(listed, paths, outcomes, as_json=as_json)


def _judge(
    home: Home,
    settings: Settings,
    listed: list[NewDevice],
    paths: list[Path],
    progress: Callable[[int], None],
) -> None:
    """Refuse the list if any of its lines would be refused."""
    mistakes = Mistakes()
    for new, path in zip(listed, paths, strict=True):
        if path.exists():
            mistakes.note(new.where, ChatdError("E606", f"{path} already exists"))
    mistakes.refuse()
    trials = [_request(new.user, new.device, new.role, "0") | {"dry_run": True} for new in listed]
    outcomes = operate_all(home.path, settings, trials, progress)
    for new, outcome in zip(listed, outcomes, strict=False):
        if isinstance(outcome, ChatdError):
            if outcome.code in OUTCOME_UNKNOWN:
                raise outcome
            mistakes.note(new.where, outcome)
    mistakes.refuse()


def _show_added(
    listed: list[NewDevice], paths: list[Path], outcomes: list[Outcome], *, as_json: bool
) -> None:
    """Print the paths of the new identities. Raises the first error after that."""
    errors = [outcome for outcome in outcomes if isinstance(outcome, ChatdError)]
    added = [
        (new, path)
        for new, path, outcome in zip(listed, paths, outcomes, strict=False)
        if not isinstance(outcome, ChatdError)
    ]
    if as_json:
        rows = [{"user": new.user, "device": new.device, "identity": str(path)} for new, path in added]
        output.json_document({"users": rows})
    else:
        for _, path in added:
            output.line(str(path))
    output.note(f"added {len(added)} of {len(listed)} devices")
    for new, path, outcome in zip(listed, paths, outcomes, strict=False):
        if isinstance(outcome, ChatdError) and outcome.code in OUTCOME_UNKNOWN:
            output.note(f"kept {path}: it is valid if `chatctl whois {new.user}` shows the device")
    if errors:
        raise errors[0]
