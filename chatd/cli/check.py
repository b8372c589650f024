"""``chatd check``: find problems and say how to fix them."""

from __future__ import annotations

import os
import resource
import shutil
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import apsw
import click
from cryptography import x509
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from chatd.cli.addresses import is_wildcard, split_address
from chatd.cli.check_authority import authority_findings
from chatd.cli.check_cluster import cluster_findings
from chatd.cli.check_ports import port_findings
from chatd.cli.lifecycle import lost_log_lines
from chatd.cli.options import json_option
from chatd.codes import CODES
from chatd.config.home import Home
from chatd.config.loading import load_settings
from chatd.config.page_address import page_hosts
from chatd.config.schema import Settings
from chatd.console.findings import Finding, report
from chatd.console.pasting import chatd_command, pasteable
from chatd.errors import ChatdError
from chatd.pki.authority import host_name, load_roots
from chatd.pki.home_name import refuse_other_name
from chatd.pki.identity import read_identity
from chatd.pki.profiles import NEW_HOME
from chatd.pki.record_key import load_record_key
from chatd.store.database import DATABASE_NAME, LOCKED_FIX
from chatd.store.entry import Entry
from chatd.store.log_files import require_log, wal_held
from chatd.store.verifier import verify
from chatd.supervisor.control import ask
from chatd.supervisor.listeners import was_stopped

# Earlier versions of SQLite can lose committed data in WAL mode (the WAL-reset bug).
SAFE_SQLITE = (3, 51, 3)
LOW_DISK_BYTES = 500_000_000
# Descriptors a process needs besides its connections: log, database, pipes, and some reserve.
OTHER_DESCRIPTORS = 64


@click.command()
@json_option
@click.pass_obj
def check(home: Home, as_json: bool) -> int:
    """Find problems, now and soon, and say how to fix them.

    Exit code 0: no problem; 7: warnings only; 1: a problem that needs action.
    """
    home.require_initialised()
    return report(_findings(home), as_json=as_json)


def _findings(home: Home) -> Iterator[Finding]:
    try:
        settings = load_settings(home.path, os.environ)
        refuse_other_name(home.path, settings.server.name)
    except ChatdError as error:
        yield Finding("fail", "config", error.reason, error.code, error.fix)
        return
    yield Finding("ok", "config", str(home.settings_file))
    checks: tuple[Callable[[Home, Settings], Iterator[Finding]], ...] = (
        _security,
        _addresses,
        _certificates,
        _identities,
        _keys,
        _limits,
        _library,
        _disk,
        _log,
        _process,
        cluster_findings,
    )
    for find in checks:
        yield from find(home, settings)


def _fail(area: str, text: str, code: str, fix: str = "") -> Finding:
    return Finding("fail", area, text, code, fix or CODES[code].fix)


def _warn(area: str, code: str, text: str, fix: str = "") -> Finding:
    return Finding("warn", area, text, code, fix or CODES[code].fix)


def _security(home: Home, settings: Settings) -> Iterator[Finding]:
    if not settings.security.encryption_enabled:
        yield _warn("envelope", "W111", "the envelope is switched off; TLS alone protects the connections")
    if not any(role == "admin" for role in settings.roles.assigned.values()):
        yield Finding("ok", "roles", "the settings assign no admin; only the event log does")


def _addresses(home: Home, settings: Settings) -> Iterator[Finding]:
    port, addresses = settings.server.port, settings.server.client_addresses
    if port and addresses and not any(split_address(one, 0)[1] == port for one in addresses):
        text = f"the server listens on port {port}, which no address in server.addresses names"
        yield _warn(
            "config", "E600", text, "correct server.addresses: one without a port follows server.port"
        )
    for address in settings.server.addresses:
        if is_wildcard(split_address(address, settings.server.port)[0]):
            text = f"clients cannot connect to {address}, which new identities would name"
            yield _warn("config", "E600", text, "name an address of this machine in server.addresses")


def _certificates(home: Home, settings: Settings) -> Iterator[Finding]:
    yield from authority_findings(home)
    now = datetime.now(UTC)
    try:
        authority_ends = load_roots(home.certs)[-1].not_valid_after_utc
    except ChatdError:
        authority_ends = None
    for name in ("server", "envelope"):
        try:
            certificate = x509.load_pem_x509_certificate((home.certs / f"{name}.pem").read_bytes())
        except (OSError, ValueError) as error:
            yield _fail("cert", f"certs/{name}.pem cannot be read: {error}", "E606")
            continue
        days = (certificate.not_valid_after_utc - now).days
        # A new certificate would not be valid for longer than its authority.
        fix = chatd_command(home.path, "cert", "renew")
        if authority_ends is not None and certificate.not_valid_after_utc >= authority_ends:
            fix = NEW_HOME if authority_ends < now else chatd_command(home.path, "ca", "rotate")
        if certificate.not_valid_before_utc > now:
            yield _fail("clock", f"certs/{name}.pem is not valid yet", "E612")
        elif days < 0:
            yield Finding("fail", "cert", f"the {name} certificate has expired", "E202", fix)
        elif days < settings.security.expire_warning_days:
            yield _warn("cert", "W112", f"the {name} certificate expires in {days} days", fix)
        else:
            yield Finding("ok", "cert", f"{name} certificate is valid for {days} days")
        if name == "server" and settings.gateway.listen and not settings.gateway.certificate_file:
            yield from _hosts(home, settings, certificate)


def _hosts(home: Home, settings: Settings, certificate: x509.Certificate) -> Iterator[Finding]:
    """Warn of addresses under which browsers do not accept the certificate."""
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return
    if missing := [host for host in page_hosts(settings) if host_name(host) not in names]:
        text = f"browsers refuse the server's certificate at {', '.join(missing)}, which it does not name"
        yield _warn("cert", "E600", text, chatd_command(home.path, "cert", "renew"))


def _identities(home: Home, settings: Settings) -> Iterator[Finding]:
    """Warn of people's identities in the home that have expired or end soon."""
    now = datetime.now(UTC)
    for path in sorted((home.certs / "identities").glob("*.pem")):
        try:
            identity = read_identity(path)
        except ChatdError:
            continue  # not a whole identity file; whoever uses it is told
        if not identity.ends_soon(now):
            continue
        days = (identity.not_after - now).days
        text = "has expired" if days < 0 else f"expires in {days} days"
        fix = f"{chatd_command(home.path, 'user', 'add')} NAME --device NEW; then delete the file"
        yield _warn("cert", "W112", f"the identity {path.name} {text}", fix)


def _keys(home: Home, settings: Settings) -> Iterator[Finding]:
    keys = [*home.certs.glob("*.key"), *(home.certs / "identities").glob("*.pem")]
    for name in ("server", "envelope"):
        if problem := _key_problem(home.certs, name):
            yield Finding(
                "fail",
                "keys",
                problem,
                "E606",
                f"restore the file, or run: {chatd_command(home.path, 'cert', 'renew')}",
            )
    try:
        if load_record_key(home.certs) is None:
            yield _warn("keys", "W116", "there is no record key, so exports are not signed")
    except ChatdError as error:
        yield Finding("fail", "keys", error.reason, error.code, error.fix)
    readable = [key for key in keys if key.stat().st_mode & 0o077]
    for key in readable:
        yield _warn("keys", "W110", f"other users can read {key}", pasteable("chmod", "600", key))
    open_folders = [
        folder for folder in home.private_folders if folder.exists() and folder.stat().st_mode & 0o077
    ]
    for folder in open_folders:
        fix = pasteable("chmod", "700", folder)
        yield _warn("keys", "W110", f"other users can look into {folder}", fix)
    if not readable and not open_folders:
        yield Finding("ok", "keys", f"{len(keys)} private keys, readable only by their owner")


def _key_problem(certs: Path, name: str) -> str:
    """Return what is wrong with a key, or "". Includes the validation that a worker skips as too slow."""
    try:
        key = load_pem_private_key((certs / f"{name}.key").read_bytes(), None)
        certificate = x509.load_pem_x509_certificate((certs / f"{name}.pem").read_bytes())
    except (OSError, ValueError) as error:
        return f"certs/{name}.key or .pem cannot be read: {error}"
    if key.public_key() != certificate.public_key():
        return f"certs/{name}.key is not the key of certs/{name}.pem"
    return ""


def _limits(home: Home, settings: Settings) -> Iterator[Finding]:
    # The server raises its soft limit to the hard one (chatd.supervisor.launch.raise_descriptor_limit).
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = settings.server.max_connections + OTHER_DESCRIPTORS
    if hard != resource.RLIM_INFINITY and hard < needed:
        yield _warn("limits", "W115", f"{hard} open files are allowed, {needed} may be needed")
    else:
        yield Finding("ok", "limits", f"{hard} open files for {settings.server.max_connections} connections")


def _library(home: Home, settings: Settings) -> Iterator[Finding]:
    version = apsw.sqlite_lib_version()
    if tuple(int(part) for part in version.split(".")[:3]) < SAFE_SQLITE:
        yield _warn("sqlite", "W114", f"SQLite {version} can lose committed data in WAL mode", "update apsw")
    else:
        yield Finding("ok", "sqlite", f"SQLite {version}")


def _disk(home: Home, settings: Settings) -> Iterator[Finding]:
    free = shutil.disk_usage(home.path).free
    if free < LOW_DISK_BYTES:
        yield _fail("disk", f"{free // 1_000_000} MB are free", "E504", f"free disk space under {home.path}")
    else:
        yield Finding("ok", "disk", f"{free // 1_000_000_000} GB are free")


def _log(home: Home, settings: Settings) -> Iterator[Finding]:
    try:
        require_log(home.data)
        report = verify(home.data, full=False, agrees=_snapshot_agrees)
    except ChatdError as error:
        yield Finding("fail", "log", error.reason, error.code, error.fix)
        return
    if held := wal_held(home.data):
        yield _warn("log", "W117", held)
    if report.ok:
        text = f"{report.head} events, the last {report.checked} verified; chatd verify checks all"
        yield Finding("ok", "log", text)
    else:
        yield _fail("log", report.reason, "E610")


def _snapshot_agrees(entries: Iterator[Entry], seq: int, snapshot: bytes) -> bool:
    # A young home has no snapshot, and the hub's state takes long to load.
    from chatd.hub.recovery import snapshot_agrees

    return snapshot_agrees(entries, seq, snapshot)


def _listens_elsewhere(settings: Settings, address: str) -> bool:
    return settings.server.port not in (0, split_address(address, 0)[1])


def _not_running(home: Home) -> Finding:
    if was_stopped(home.path):
        return Finding("ok", "process", "chatd is not running")
    text = "chatd is not running, but nobody stopped it: it was killed, or the machine went down"
    return _warn("process", "E603", text, f"run: {chatd_command(home.path, 'start')}")


def _process(home: Home, settings: Settings) -> Iterator[Finding]:
    try:
        status = ask(home.path, {"type": "status"}, 5.0)
    except ChatdError as error:
        if error.code == "E603":
            yield _not_running(home)
            yield from port_findings(settings)
            return
        yield Finding("fail", "process", error.reason, error.code, error.fix)
        return
    if lost := lost_log_lines(status):
        yield _fail("logs", lost, "E606") if status.get("log_problem") else Finding("ok", "logs", lost)
    children: Any = status.get("children") or []
    if any((child.get("report") or {}).get("writable") is False for child in children):
        yield _fail("process", "the disk is full", "E504")
    elif locked := next(
        filter(None, ((child.get("report") or {}).get("locked_by") for child in children)), ""
    ):
        yield Finding("fail", "process", f"{locked} has locked {DATABASE_NAME}", "E504", LOCKED_FIX)
    elif status.get("state") == "running" and _listens_elsewhere(settings, str(status.get("address"))):
        text = f"chatd still runs on {status.get('address')}, but server.port is {settings.server.port}"
        yield _warn("process", "E600", text, chatd_command(home.path, "restart"))
    elif status.get("state") == "running":
        yield Finding("ok", "process", f"chatd runs on {status.get('address')}")
    else:
        yield _fail("process", f"chatd is {status.get('state')}", "E609")
