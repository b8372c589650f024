"""``chatd backup``: the whole server in one file, sealed with a passphrase."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

import click
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, load_pem_private_key

from chatd import __version__
from chatd.cli.audit_lines import note_act
from chatd.cli.backup_files import (
    create_new,
    exit_on_signals,
    open_backup,
    passphrase_option,
    read_limited,
    read_passphrase,
    refuse_existing,
    utc_now,
)
from chatd.cli.heads import judge_signature
from chatd.cli.options import json_option
from chatd.config.home import Home
from chatd.console import output
from chatd.console.arguments import NamedPath
from chatd.console.command_table import SummaryGroup
from chatd.console.progress import progress_bar
from chatd.errors import ChatdError
from chatd.hub.recovery import snapshot_agrees
from chatd.pki.authority import instance_of, load_ca, load_roots
from chatd.pki.profiles import PARSE_ERRORS, check_issuer, fingerprint
from chatd.pki.record_key import Trust, load_record_key
from chatd.store.archive import Archive, Facts, Manifest, write_backup
from chatd.store.log_copy import copied_log, require_space
from chatd.store.sealed_file import unusable

_PAIRS = ("ca", "server", "envelope")


@click.group(cls=SummaryGroup)
def backup() -> None:
    """Back up this server to one sealed file; chatd restore reads it."""


@backup.command("create")
@click.argument("file", type=NamedPath(path_type=Path, dir_okay=False))
@click.option("--with-identities", is_flag=True, help="Include the identity files in certs/identities.")
@passphrase_option
@json_option
@click.pass_obj
def create(home: Home, file: Path, with_identities: bool, passphrase_file: str | None, as_json: bool) -> None:
    """Back up the log, the CA, the certificates and the settings; works while the server runs.

    FILE must not exist. Anyone who has FILE and the passphrase can impersonate this server: keep them
    apart.
    """
    home.require_initialised()
    refuse_existing(file)
    passphrase = read_passphrase(passphrase_file, new=True)
    with (
        exit_on_signals(),
        progress_bar() as progress,
        copied_log(home.data, progress, snapshot_agrees) as log,
    ):
        require_space(file.absolute().parent, log.size)
        files = _files(home, with_identities)
        ca = load_ca(home.certs)
        facts = Facts(
            __version__, instance_of(ca), utc_now(), check_certificates(load_roots(home.certs), files)
        )
        record = load_record_key(home.certs)
        sign = None if record is None else partial(record.make_signature, server=facts.server, at=facts.made)
        with create_new(file) as target:
            manifest = write_backup(target, passphrase, facts, files, log, progress, sign=sign)
    path = str(file.absolute())
    note_act(home.path, "backed_up", file=path, head=manifest.head, identities=with_identities)
    key = "" if record is None else record.public.fingerprint
    _show(manifest, key, as_json, file=str(file), bytes=file.stat().st_size)
    if not as_json:
        held = "the CA's key" if "certs/ca.key" in files else "the server's keys, but not the CA's"
        output.note(f"store it away from this machine and apart from its passphrase: it holds {held}")


@backup.command("show")
@click.argument("file", type=NamedPath(path_type=Path, dir_okay=False))
@passphrase_option
@json_option
def show(file: Path, passphrase_file: str | None, as_json: bool) -> None:
    """Verify that FILE is complete, and show what it contains. Writes nothing."""
    with open_backup(file, passphrase_file) as archive, progress_bar() as progress:
        key = check_manifest(archive)
        archive.read(None, progress)
    _show(archive.manifest, key, as_json, file=str(file), bytes=file.stat().st_size)


def check_manifest(archive: Archive) -> str:
    """Return the fingerprint of the record key that signed the manifest, "" if none did. Raises E613.

    The key must be certified by the CA that the manifest names.
    """
    manifest = archive.manifest
    if archive.signature is None:
        return ""
    trust = Trust((manifest.ca,))
    made = judge_signature(
        archive.signature, archive.signed, server=manifest.server, at=manifest.made, trust=trust
    )
    if made.state != "trusted":
        raise unusable(f"the backup's manifest was changed: {made.text}", "take another copy of the backup")
    return made.key


def signature_line(key: str) -> str:
    """The line about the signature of a backup, for people."""
    return f"record key      {key or 'none: not signed, so the passphrase alone vouches for this backup'}"


def _show(manifest: Manifest, key: str, as_json: bool, **more: object) -> None:
    if as_json:
        output.json_document({**more, **manifest.model_dump(exclude={"format"}), "record_key": key or None})
        return
    output.line(f"backup          {more['file']} ({more['bytes']} bytes)")
    output.line(f"server          {manifest.server}, chatd {manifest.version}, {manifest.made}")
    output.line(f"CA fingerprint  {manifest.ca}")
    output.line(signature_line(key))
    output.line(f"log             {manifest.head} events, all intact")
    output.line(f"files           {len(manifest.members)}, {manifest.size} bytes")


def _files(home: Home, with_identities: bool) -> dict[str, bytes]:
    """Return settings, certificates and keys by their paths in the home. Raises E606, E613."""
    folders = [home.certs, home.identities] if with_identities and home.identities.is_dir() else [home.certs]
    try:
        found = [path for folder in folders for path in sorted(folder.iterdir())]
    except OSError as error:
        raise ChatdError("E606", f"{error.filename}: {error.strerror}") from None
    paths = [home.settings_file, *(path for path in found if path.suffix in (".pem", ".key"))]
    return {str(path.relative_to(home.path)): read_limited(path) for path in paths}


def check_certificates(roots: Sequence[x509.Certificate], files: Mapping[str, bytes]) -> str:
    """Check that a CA issued every certificate and that its key fits; return the first CA's fingerprint.

    The CA's own key may be kept elsewhere. Raises E613.
    """
    ca = roots[0]
    for name in _PAIRS:
        try:
            certificate = x509.load_pem_x509_certificate(files[f"certs/{name}.pem"])
            check_issuer(certificate, *roots)
            if name == "ca" and "certs/ca.key" not in files:
                continue
            key = load_pem_private_key(files[f"certs/{name}.key"], None)
        except KeyError as error:
            raise unusable(f"{error.args[0]} is missing") from None
        except PARSE_ERRORS:
            raise unusable(f"certs/{name}.pem or .key is damaged, or from another CA") from None
        if key.public_key() != certificate.public_key() or (name == "ca" and certificate != ca):
            raise unusable(f"certs/{name}.pem and certs/{name}.key do not match", "try again")
    return fingerprint(ca.public_bytes(Encoding.DER))
