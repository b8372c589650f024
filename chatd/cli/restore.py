"""``chatd restore``: the same server again, from a backup."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click

from chatd.cli.backup import check_certificates
from chatd.cli.backup_files import (
    ended_by_signals,
    opened,
    passphrase_option,
    read_passphrase,
    read_small,
    shown_progress,
)
from chatd.cli.setup import join_address, split_address
from chatd.config.home import Home, resolve_home
from chatd.config.loading import load_settings, write_settings
from chatd.console import output
from chatd.durable_files import sync_folder
from chatd.errors import ChatdError
from chatd.pki.authority import Authority
from chatd.store.archive import LOG_NAME, Archive, Manifest
from chatd.store.branches import begin_branch
from chatd.store.log_copy import BackupProgress, check_log, require_space
from chatd.store.mark import MARK_NAME
from chatd.store.sealed_file import unusable
from chatd.supervisor.pid_lock import PidLock

_STAGING = ".restore"
_MARK = f"data/{MARK_NAME}"
# With the first one in its place `chatd init` refuses the folder, without the last one `chatd start` does:
# nobody goes on by mistake with a home that was restored by half.
_FIRST, _LAST = "certs/ca.key", "certs/ca.pem"
_MARKS_OF_A_HOME = (_FIRST, _LAST, "config/settings.json", LOG_NAME, _MARK)


@click.command()
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@click.option("--home", "home_option", metavar="DIR", help="Where to; the same as chatd --home DIR restore.")
@click.option("--listen", metavar="HOST[:PORT]", help="Where to listen on this box. Default: as before.")
@click.option(
    "--address",
    "addresses",
    multiple=True,
    metavar="HOST[:PORT]",
    help="Where clients find the server from now on; repeatable. Default: as before.",
)
@passphrase_option
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
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
    """Make the server of a backup again: same authority, same history, nobody needs a new identity.

    The folder must not be a home yet. Everything is verified before anything gets its place.
    """
    if home_option is not None:
        home = resolve_home(home_option, os.environ, Path.cwd())
    _refuse_a_home(home)
    passphrase = read_passphrase(passphrase_file)
    with ended_by_signals(), opened(file, passphrase) as archive, _prepared(home) as staging:
        with shown_progress() as progress:
            ca = _unpack(archive, staging, progress)
        if listen or addresses:
            _readdress(staging.path, listen, addresses)
        _install(staging.path, home.path, archive.manifest)
    _tell(home, archive.manifest, ca, as_json, moved=bool(listen or addresses))


def _refuse_a_home(home: Home) -> None:
    for name in _MARKS_OF_A_HOME:
        if os.path.lexists(home.path / name):
            raise ChatdError("E602", f"{home.path} is in use: there is {name}", "choose another --home")


@contextmanager
def _prepared(home: Home) -> Iterator[Home]:
    """A folder in the home to work in, while no chatd can start there; leaves no trace of a failure."""
    # Not beside the home: who may write to /var/lib/chatd may not write to /var/lib.
    staging = Home(home.path / _STAGING)
    made: list[Path] = []
    done = False
    try:
        for folder in (home.path, home.certs, home.config, home.logs, home.data, home.run):
            if not folder.exists():
                folder.mkdir(
                    mode=0o700 if folder in (home.certs, home.data, home.run) else 0o755, parents=True
                )
                made.append(folder)
        lock = PidLock(home.run)
        try:
            _refuse_a_home(home)
            shutil.rmtree(staging.path, ignore_errors=True)  # of a restore that was killed
            staging.path.mkdir(mode=0o700)
            yield staging
            done = True
        finally:
            shutil.rmtree(staging.path, ignore_errors=True)
            lock.release()
    except OSError as error:
        raise ChatdError("E606", f"{error.filename or home.path}: {error.strerror}") from None
    finally:
        if not done:
            for folder in reversed(made):
                shutil.rmtree(folder, ignore_errors=True)


def _unpack(archive: Archive, staging: Home, progress: BackupProgress) -> str:
    """Write everything into the staging folder and verify it; the CA's fingerprint."""
    manifest = archive.manifest
    require_space(staging.path, manifest.size)
    archive.read(staging.path, progress)
    names = [member.name for member in manifest.members if member.name.startswith("certs/")]
    certificates = {name: read_small(staging.path / name) for name in names}
    ca = check_certificates(Authority.load(staging.certs), certificates)
    if ca != manifest.ca:
        raise unusable("the authority in the backup is not the one that its manifest names")
    archive.write_mark(staging.data)
    check_log(staging.data, progress)
    # What was said after the backup had these numbers too: clients must be able to tell.
    begin_branch(staging.data, manifest.head)
    return ca


def _readdress(staging: Path, listen: str | None, addresses: tuple[str, ...]) -> None:
    """Put other addresses into the restored settings. Raises E600."""
    tree = load_settings(staging, {}).model_dump(mode="json")
    server = tree["server"]
    if listen:
        server["host"], server["port"] = split_address(listen, server["port"])
    if addresses:
        server["addresses"] = [join_address(*split_address(a, server["port"])) for a in addresses]
    (staging / "config" / "settings.json").write_text(json.dumps(tree))
    write_settings(staging, load_settings(staging, {}))


def _install(staging: Path, home: Path, manifest: Manifest) -> None:
    """Move the files to their places; back out if one of them cannot go there. Raises E606, OSError."""
    sync_folder(home)
    between = [member.name for member in manifest.members if member.name not in (_FIRST, _LAST)]
    placed: list[Path] = []
    try:
        for name in (_FIRST, *between, _MARK, _LAST):
            target = home / name
            if os.path.lexists(target):
                raise ChatdError("E606", f"{target} exists already", "move it away or choose another --home")
            target.parent.mkdir(mode=0o700, exist_ok=True)
            (staging / name).rename(target)
            placed.append(target)
            sync_folder(target.parent)
    except BaseException:
        for target in placed:
            target.unlink(missing_ok=True)
        raise


def _tell(home: Home, manifest: Manifest, ca: str, as_json: bool, *, moved: bool) -> None:
    if as_json:
        told = manifest.model_dump(include={"server", "made", "head", "ca"})
        output.json_document({"home": str(home.path), **told})
        return
    click.echo(f"restored {home.path} as {manifest.server}, as of {manifest.made}")
    click.echo(f"CA fingerprint  {ca}")
    click.echo(f"log             {manifest.head} events, all of them what they were")
    option = "" if home.path == Path.cwd() else f" --home {home.path}"
    output.note("the server that the backup was made of must not run any more, not even for a moment")
    if moved:
        output.note(f"then: chatd{option} cert renew   (the certificate names the old addresses)")
    output.note(f"next: chatd{option} check, then chatd{option} start")


COMMANDS: list[click.Command] = [restore]
