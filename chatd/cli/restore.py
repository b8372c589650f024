"""``chatd restore``: recreate a server from a backup."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

import click

from chatd.cli.addresses import client_address, split_address
from chatd.cli.audit_lines import note_act
from chatd.cli.backup import check_certificates, check_manifest, signature_line
from chatd.cli.backup_files import (
    exit_on_signals,
    open_backup,
    passphrase_option,
    read_limited,
)
from chatd.cli.node_files import cluster_section
from chatd.cli.options import json_option
from chatd.cli.setup import (
    choose_port,
    make_folders,
    missing_folders,
    remove_folders,
)
from chatd.config.home import Home, resolve_home
from chatd.config.loading import load_settings, write_settings
from chatd.console import output
from chatd.console.arguments import ANY_NAME, NamedPath
from chatd.console.pasting import chatd_command
from chatd.console.progress import progress_bar
from chatd.durable_files import sync_folder
from chatd.errors import ChatdError
from chatd.hub.recovery import snapshot_agrees
from chatd.pki.authority import Authority, load_roots
from chatd.pki.record_key import MISSING, load_record_key, replace_record_key
from chatd.store.archive import LOG_NAME, Archive, Manifest
from chatd.store.branches import begin_branch
from chatd.store.log_copy import BackupProgress, check_log, require_space
from chatd.store.mark import MARK_NAME
from chatd.store.sealed_file import unusable
from chatd.supervisor.pid_lock import PidLock

_STAGING = ".restore"
_MARK = f"data/{MARK_NAME}"
# Installed first and last: with the first, `chatd init` refuses the folder, and without the last,
# `chatd start` does. A partly restored home is thus never used by mistake.
_FIRST, _LAST = "certs/ca.key", "certs/ca.pem"
_FIRST_WITHOUT_CA_KEY = "config/settings.json"
_RECORD = ("certs/record.key", "certs/record.pem")  # also when they are not in the backup
_FILES_OF_A_HOME = (_FIRST, _LAST, "config/settings.json", LOG_NAME, _MARK)


class RestoredKeys(NamedTuple):
    """Fingerprints: of the CA, of the record key that signed the backup ("": none), of the one in use."""

    ca: str
    signer: str
    record: str
    created: bool


@click.command()
@click.argument("file", type=NamedPath(path_type=Path, dir_okay=False))
@click.option(
    "--home",
    "home_option",
    metavar="DIR",
    type=ANY_NAME,
    help="Folder to restore to; same as chatd --home DIR restore.",
)
@click.option("--listen", metavar="HOST[:PORT]", help="Where to listen. Default: as in the backup.")
@click.option(
    "--address",
    "addresses",
    multiple=True,
    metavar="HOST[:PORT]",
    help="Address for clients; repeatable. Default: as in the backup.",
)
@passphrase_option
@json_option
@click.pass_obj
def restore(
    home: Home,
    file: Path,
    home_option: str | None,
    listen: str | None,
    addresses: tuple[str, ...],
    passphrase_file: str | None,
    as_json: bool,
) -> None:
    """Recreate a server from a backup: same CA, same history, no user needs a new identity.

    The folder must not be a home yet. The whole backup is verified before any file is put in place.
    """
    if home_option is not None:
        home = resolve_home(home_option, os.environ, Path.cwd())
    _refuse_existing_home(home)
    with exit_on_signals(), open_backup(file, passphrase_file) as archive, _staging_folder(home) as staging:
        signer = check_manifest(archive)
        with progress_bar() as progress:
            ca = _unpack(archive, staging, progress)
        record, created = _provide_record_key(staging.certs)
        _leave_cluster(staging.path)
        if listen or addresses:
            _readdress(staging.path, listen, addresses)
        _install(staging.path, home.path, archive.manifest)
    note_act(home.path, "restored", file=str(file.absolute()), head=archive.manifest.head)
    keys = RestoredKeys(ca, signer, record, created)
    _show(home, archive.manifest, keys, as_json, readdressed=bool(listen or addresses))


def _refuse_existing_home(home: Home) -> None:
    for name in _FILES_OF_A_HOME:
        if os.path.lexists(home.path / name):
            raise ChatdError("E602", f"{home.path} is in use: it contains {name}", "choose another --home")


@contextmanager
def _staging_folder(home: Home) -> Iterator[Home]:
    """Yield a folder to work in, with the home locked. On failure, remove all folders made here."""
    # Inside the home, because a user who may write to /var/lib/chatd may not write to /var/lib.
    staging = Home(home.path / _STAGING)
    missing: list[Path] = []
    try:
        missing = missing_folders(home)
        make_folders(home)
        lock = PidLock(home.data)
        try:
            _refuse_existing_home(home)
            shutil.rmtree(staging.path, ignore_errors=True)  # left by a restore that was killed
            staging.path.mkdir(mode=0o700)
            yield staging
        finally:
            shutil.rmtree(staging.path, ignore_errors=True)
            lock.release()
    except BaseException as error:
        remove_folders(missing)
        if isinstance(error, OSError):
            reason = f"{error.filename or home.path}: {error.strerror}"
            raise ChatdError("E606", reason) from None
        raise


def _unpack(archive: Archive, staging: Home, progress: BackupProgress) -> str:
    """Unpack the backup into the staging folder, verify it, and return the CA's fingerprint."""
    manifest = archive.manifest
    require_space(staging.path, manifest.size)
    archive.read(staging.path, progress)
    names = [member.name for member in manifest.members if member.name.startswith("certs/")]
    certificates = {name: read_limited(staging.path / name) for name in names}
    ca = check_certificates(load_roots(staging.certs), certificates)
    if ca != manifest.ca:
        raise unusable("the CA in the backup is not the one in its manifest")
    archive.write_mark(staging.data)
    check_log(staging.data, progress, snapshot_agrees)
    # Events after the backup had the same numbers; clients must be able to tell the two apart.
    begin_branch(staging.data, manifest.head)
    return ca


def _provide_record_key(certs: Path) -> tuple[str, bool]:
    """Return the fingerprint of the record key and whether it was created, as older backups have none.

    Returns "" if the clock is wrong or the CA's key is elsewhere, as the server also runs without. Raises
    E606.
    """
    if existing := load_record_key(certs):
        return existing.public.fingerprint, False
    try:
        created = replace_record_key(certs, Authority.load(certs), now=datetime.now(UTC))
    except ChatdError as error:
        if error.code not in ("E612", "E620"):
            raise
        output.note(f"there is no record key: {error.reason}; {MISSING}")
        return "", False
    return created.public.fingerprint, True


def _leave_cluster(staging: Path) -> None:
    """Make a node of several one that is alone: the other nodes go on with the log as it is now."""
    settings = load_settings(staging, {})
    if settings.cluster.members:
        alone = cluster_section(settings, settings.cluster.node)
        write_settings(staging, settings.model_copy(update={"cluster": alone}))


def _readdress(staging: Path, listen: str | None, addresses: tuple[str, ...]) -> None:
    """Change the addresses in the restored settings. Raises E600."""
    tree = load_settings(staging, {}).model_dump(mode="json")
    server = tree["server"]
    if listen:
        server["host"], port = split_address(listen, server["port"])
        server["port"] = port or choose_port(server["host"])
    if addresses:
        server["addresses"] = [client_address(a) for a in addresses]
    (staging / "config" / "settings.json").write_text(json.dumps(tree), "utf-8")
    write_settings(staging, load_settings(staging, {}))


def _install(staging: Path, home: Path, manifest: Manifest) -> None:
    """Move the files into place, or none if one of them cannot be moved. Raises E606, OSError."""
    sync_folder(home)
    created = [name for name in _RECORD if (staging / name).exists()]
    names = dict.fromkeys([*(member.name for member in manifest.members), *created])
    first = _FIRST if _FIRST in names else _FIRST_WITHOUT_CA_KEY
    between = [name for name in names if name not in (first, _LAST)]
    installed: list[Path] = []
    try:
        for name in (first, *between, _MARK, _LAST):
            target = home / name
            if os.path.lexists(target):
                raise ChatdError("E606", f"{target} already exists", "move it away or choose another --home")
            target.parent.mkdir(mode=0o700, exist_ok=True)
            (staging / name).rename(target)
            installed.append(target)
            sync_folder(target.parent)
    except BaseException:
        for target in installed:
            target.unlink(missing_ok=True)
        raise


def _show(home: Home, manifest: Manifest, keys: RestoredKeys, as_json: bool, *, readdressed: bool) -> None:
    if as_json:
        output.json_document(
            {
                "home": str(home.path),
                **manifest.model_dump(include={"server", "made", "head", "ca"}),
                "signed_by": keys.signer or None,
                "record_key": keys.record or None,
                "record_key_created": keys.created,
            }
        )
        return
    output.line(f"restored {home.path} as {manifest.server}, as of {manifest.made}")
    output.line(f"CA fingerprint  {keys.ca}")
    output.line(signature_line(keys.signer))
    output.line(f"log             {manifest.head} events, all intact")
    if keys.created:
        output.note(f"created a record key, which the backup did not contain: {keys.record}")
    output.note(
        f"devices that joined after that are refused (E205): add each again with "
        f"{chatd_command(home.path, 'user', 'add')} NAME --device NEW"
    )
    output.note("revoke and ban again whoever lost access after that: the log does not know of it")
    output.note("do not start the original server again: two servers would share one identity")
    if readdressed:
        output.note(
            f"first: {chatd_command(home.path, 'cert', 'renew')}   (the certificate has the old addresses)"
        )
    output.note(f"next: {chatd_command(home.path, 'check')}, then {chatd_command(home.path, 'start')}")
