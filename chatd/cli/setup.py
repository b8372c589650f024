"""``chatd init``: create a CA, certificates, settings and the first admin."""

from __future__ import annotations

import errno
import os
import re
import shutil
import socket
from datetime import UTC, datetime
from pathlib import Path

import click
import psutil
from cryptography.hazmat.primitives.serialization import Encoding

from chatd.cli.addresses import UNNAMED, bracketed, client_address, is_wildcard, join_address, split_address
from chatd.cli.starting import start
from chatd.cli.users import CONSOLE_DEVICE, add_user
from chatd.config.home import Home
from chatd.config.loading import default_settings, write_settings
from chatd.config.page_address import page_hosts
from chatd.config.schema import Settings
from chatd.console import output
from chatd.console.pasting import chatd_command
from chatd.errors import ChatdError
from chatd.hub.recovery import clock
from chatd.pki.authority import Authority, save_issued
from chatd.pki.profiles import fingerprint
from chatd.pki.record_key import ensure_record_key
from chatd.proto.text import check_new_name
from chatd.store.event_log import EventLog
from chatd.store.log_files import LOST, require_log, set_aside_rest
from chatd.supervisor.listeners import cannot_listen, why_not_bound

EVERY_ADDRESS = "0.0.0.0"  # noqa: S104 - the documented default
DEFAULT_PORT = 5000
LOOPBACK = "127.0.0.1"
WEB_PORT = 5443
# Further servers on one box get the ports after it; then any that is free.
PORTS_TRIED = 10
# No clock is right that is earlier (CONTRIBUTING.md, Releases).
RELEASED = datetime(2026, 11, 1, tzinfo=UTC)
# Further addresses usually belong to containers and bridges.
MAX_OWN_ADDRESSES = 4


@click.command()
@click.option("--name", help="The server's name, part of every identity. Default: the host name.")
@click.option(
    "--listen",
    metavar="[HOST:]PORT",
    help="Where to listen. Default: $CHATD_SERVER__HOST and $CHATD_SERVER__PORT, else 0.0.0.0:5000."
    " Port 0: any free one.",
)
@click.option(
    "--address",
    "addresses",
    multiple=True,
    metavar="HOST[:PORT]",
    help="Address for clients; repeatable. Default: this machine's addresses.",
)
@click.option(
    "--web",
    metavar="[HOST:]PORT",
    help="Where to serve the web page. Default: 127.0.0.1:5443, or another free port there. off: nowhere.",
)
@click.option("--admin", default="admin", show_default=True, metavar="USER", help="Name of the first admin.")
@click.option("--start", "start_it", is_flag=True, help="Also start the server.")
@click.option(
    "--new-log", is_flag=True, help="In a home whose log is lost for good: begin an empty one, nothing else."
)
@click.pass_context
def init(
    context: click.Context,
    name: str | None,
    listen: str | None,
    addresses: tuple[str, ...],
    web: str | None,
    admin: str,
    start_it: bool,
    new_log: bool,
) -> None:
    """Make this folder a chatd home: CA, certificates, settings and the first admin.

    Refuses if the home is already initialised. Uses no network.
    """
    home: Home = context.obj
    if new_log:
        _begin_new_log(home)
        return
    name = check_new_name(name, "server name") if name else _machine_name()
    check_new_name(admin, "user")
    if (home.certs / "ca.pem").exists() or (home.certs / "ca.key").exists() or home.settings_file.exists():
        raise ChatdError(
            "E602",
            f"{home.path} is already initialised",
            f"run: {chatd_command(home.path, 'start')}; or use another --home",
        )
    # Identities and settings must contain the address that a server started in this environment will use.
    place = listen or os.environ.get("CHATD_SERVER__HOST") or EVERY_ADDRESS
    host, port = split_address(place, _port_of_environment(), EVERY_ADDRESS)
    port = _port_to_use(host, port, start_it)
    client_addresses = [client_address(a) for a in addresses] or _own_addresses(host)
    settings = default_settings(
        name=name,
        host=host,
        port=port,
        addresses=client_addresses,
        admin=admin,
        gateway=_web_address(web, port, start_it),
    )
    missing = missing_folders(home)
    make_folders(home)
    try:
        ca = _make_certificates(home, settings)
        write_settings(home.path, settings)
        EventLog.open(home.data, now=clock()).close()
        identity = add_user(home, settings, admin, CONSOLE_DEVICE, "admin", None)
    except BaseException:
        # A partial home would refuse both `init` and `start`.
        _undo(home, missing)
        raise
    output.line(f"initialised {home.path} as {settings.server.name}")
    output.line(f"CA fingerprint  {ca}")
    output.line(f"first admin     {identity}")
    if datetime.now(UTC) < RELEASED:
        today = f"{datetime.now(UTC):%Y-%m-%d}"
        output.note(
            f"this machine's clock says {today}, which is too early: no certificate made now may last"
        )
        output.note("correct the clock, then make the home anew in an empty folder")
    if start_it:
        context.invoke(start)
    else:
        output.note(f"next: {chatd_command(home.path, 'start')}")


def _begin_new_log(home: Home) -> None:
    home.require_initialised()
    try:
        require_log(home.data)
    except ChatdError:
        rest = set_aside_rest(home.data)
        # None of their devices is in the new log.
        rest += [path.rename(f"{path}{LOST}") for path in home.identities.glob("*.pem")]
        EventLog.open(home.data, now=clock()).close()
    else:
        raise ChatdError("E602", f"there is an event log in {home.data}", "run: chatd start")
    output.line(f"began an empty event log in {home.data}")
    if rest:
        output.note(f"kept of the lost one: {', '.join(path.name for path in rest)}")
    output.note("it knows no device: register each again with chatd user add, admins with --role admin")


def _make_certificates(home: Home, settings: Settings) -> str:
    now = datetime.now(UTC)
    hosts = page_hosts(settings)
    authority = Authority.create(settings.server.name, now=now)
    authority.save(home.certs)
    bits, days = settings.security.rsa_key_size, settings.security.server_certificate_days
    save_issued(home.certs, "server", authority.issue_server(hosts, now=now, days=days))
    save_issued(home.certs, "envelope", authority.issue_envelope(bits, now=now, days=days))
    ensure_record_key(home.certs, authority, now=now)
    return fingerprint(authority.certificate.public_bytes(Encoding.DER))


def missing_folders(home: Home) -> list[Path]:
    """Return the folders of a home that do not exist, parents first."""
    folders = (home.path, home.certs, home.config, home.logs, home.data, home.run)
    return [folder for folder in folders if not folder.exists()]


def make_folders(home: Home) -> None:
    """Make the missing folders of a home and close the private ones to others. Raises OSError."""
    for folder in missing_folders(home):
        folder.mkdir(mode=0o755, parents=True, exist_ok=True)
    for folder in home.private_folders:
        folder.chmod(0o700)


def remove_folders(folders: list[Path]) -> None:
    """Remove folders with all their contents, last one first; ignore those that do not exist."""
    for folder in reversed(folders):
        shutil.rmtree(folder, ignore_errors=True)


def _undo(home: Home, missing: list[Path]) -> None:
    for name in ("ca", "server", "envelope", "record"):
        for suffix in (".pem", ".key"):
            (home.certs / f"{name}{suffix}").unlink(missing_ok=True)
    home.settings_file.unlink(missing_ok=True)
    shutil.rmtree(home.certs / "identities", ignore_errors=True)
    remove_folders(missing)


def _port_of_environment() -> int:
    text = os.environ.get("CHATD_SERVER__PORT", "")
    return int(text) if text.isdecimal() else UNNAMED


def _port_to_use(host: str, named: int, starting: bool) -> int:
    """Return the port to listen on, before anything is created. Raises E605.

    Without a named one it is the first that is free from DEFAULT_PORT on. A named one that is taken is
    refused if the server is to start now; otherwise its present user may end before.
    """
    any_free = choose_port(host)
    if named == UNNAMED:
        port = _first_free(host, any_free)
        if port != DEFAULT_PORT:
            output.note(f"port {DEFAULT_PORT} is taken; this server gets port {port} (server.port)")
        return port
    obstacle = why_not_bound(host, named) if named else None
    if obstacle is None:
        return named or any_free
    free = _first_free(host, any_free)
    fix = f"take a free port: --listen {join_address(host, free)}, or CHATD_SERVER__PORT={free} before it"
    _tell_taken(cannot_listen(host, named, obstacle).reason, fix, starting)
    return named


def _tell_taken(reason: str, fix: str, starting: bool) -> None:
    """Raise E605 if the server is to start now; else warn: what is in the way may end before."""
    if starting:
        raise ChatdError("E605", reason, fix)
    output.note(f"warning: {reason}; chatd start will not work before that has changed")


def _first_free(host: str, any_free: int) -> int:
    ports = range(DEFAULT_PORT, DEFAULT_PORT + PORTS_TRIED)
    return next((port for port in ports if why_not_bound(host, port) is None), any_free)


def choose_port(host: str) -> int:
    """Choose a port that is free now, so that identities can name it. Raises E605 for another's address."""
    try:
        family, _, _, _, address = socket.getaddrinfo(host, 0, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, socket.SOCK_STREAM) as sock:
            sock.bind(address)
            return int(sock.getsockname()[1])
    except OSError as error:
        raise cannot_listen(host, 0, error) from None


def _web_address(text: str | None, chat_port: int, starting: bool) -> str:
    """Return gateway.listen for a new home. A port that nobody asked for is one that is free now.

    Raises E605 as `_port_to_use`.
    """
    if text == "off":
        return ""
    if text:
        host, port = split_address(text, WEB_PORT, LOOPBACK)
        if port and (obstacle := why_not_bound(host, port)) is not None:
            reason = f"--web: {cannot_listen(host, port, obstacle).reason}"
            fix = "name an address of this machine: --web HOST:PORT; or --web off"
            if obstacle.errno == errno.EADDRINUSE:
                fix = f"take a free port: --web {join_address(host, choose_port(host))}; or --web off"
            _tell_taken(reason, fix, starting)
        return join_address(host, port or choose_port(host))
    free = chat_port != WEB_PORT and why_not_bound(LOOPBACK, WEB_PORT) is None
    return join_address(LOOPBACK, WEB_PORT if free else choose_port(LOOPBACK))


def _machine_name() -> str:
    name = re.sub(r"[^a-z0-9-]+", "-", socket.gethostname().split(".")[0].lower()).strip("-")[:32].strip("-")
    try:
        return check_new_name(name, "server name")
    except ChatdError:
        return "lab"


def _own_addresses(host: str) -> list[str]:
    """Return the address listened on, or this machine's addresses if that is a wildcard; without a port."""
    if not is_wildcard(host):
        return [bracketed(host)]
    found = [
        address.address
        for interface in psutil.net_if_addrs().values()
        for address in interface
        if address.family == socket.AF_INET and not address.address.startswith("127.")
    ]
    # Clients try them in order; loopback comes last, for clients here when the other addresses change.
    return [*dict.fromkeys(found[:MAX_OWN_ADDRESSES]), "127.0.0.1"]
