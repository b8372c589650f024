"""Bind the listening sockets. Children inherit them, so the backlog survives the death of any child."""

from __future__ import annotations

import errno
import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from chatd.child.unix_socket import listen_unix
from chatd.config.schema import Settings
from chatd.errors import ChatdError
from chatd.pki.home_addresses import ADDRESSES_FILE, write_addresses
from chatd.supervisor.control import SOCKET as CONTROL_SOCKET

BACKLOG: Final = 1024
BIND_SECONDS: Final = 5.0
"""Retry a port in use for this long: the children of a killed supervisor need a moment to die."""
RETRY_SECONDS: Final = 0.1
PID_FILE: Final = "run/chatd.pid"
HUB_SOCKET: Final = "run/hub.sock"
"""For workers only: the hub knows each by its pid."""
OPERATOR_SOCKET: Final = "run/operator.sock"
"""For the commands of the box's owner."""


_OWN_ADDRESS = "choose an address of this machine, or 0.0.0.0 for all (server.host; chatd init --listen HOST)"
# Why an address cannot be bound, other than that it is in use -> what to do.
_FIXES = {
    errno.EADDRNOTAVAIL: _OWN_ADDRESS,
    errno.EAFNOSUPPORT: "this machine has no IPv6: set server.host to an IPv4 address, or to 0.0.0.0 for all",
    errno.EACCES: "set server.port to 1024 or more, or give the service the right CAP_NET_BIND_SERVICE",
}


def make_run_directory(home: Path) -> Path:
    """Create ``home``/run with mode 0700. Raises ChatdError E606."""
    run = home / "run"
    try:
        run.mkdir(mode=0o700, exist_ok=True)
        run.chmod(0o700)
    except OSError as error:
        raise ChatdError("E606", f"{run}: {error.strerror}") from error
    return run


def write_pid_file(home: Path) -> None:
    """Write our pid for scripts that send signals; ignore a failure. The lock is in data/."""
    try:
        (home / PID_FILE).write_text(f"{os.getpid()}\n", "utf-8")
    except OSError:
        return


def tell_addresses(home: Path, listens_on: str, settings: Settings) -> None:
    """Write for clients on this box where the server listens; after a failure they do not know."""
    try:
        write_addresses(home, listens_on, settings.server.client_addresses)
    except ChatdError:
        (home / ADDRESSES_FILE).unlink(missing_ok=True)


def was_stopped(home: Path) -> bool:
    """Say whether the server of a home that does not run was stopped, or never ran; else it crashed."""
    return not (home / CONTROL_SOCKET).exists()


def remove_run_files(home: Path) -> None:
    """Remove what another user could not replace, and the pid. Call with the lock held, when stopped."""
    for name in (CONTROL_SOCKET, HUB_SOCKET, OPERATOR_SOCKET, PID_FILE, ADDRESSES_FILE):
        try:
            (home / name).unlink(missing_ok=True)
        except OSError:
            continue


def listen_tcp(host: str, port: int) -> socket.socket:
    """Return the non-blocking listener for clients. Raises ChatdError E605."""
    deadline = time.monotonic() + BIND_SECONDS
    while True:
        try:
            return _bind(host, port)
        except OSError as error:
            if error.errno != errno.EADDRINUSE or time.monotonic() >= deadline:
                raise cannot_listen(host, port, error) from error
        time.sleep(RETRY_SECONDS)


def cannot_listen(host: str, port: int, error: OSError) -> ChatdError:
    """Return the E605 for an address that cannot be bound: what is wrong with it, and what to do."""
    if isinstance(error, socket.gaierror):
        return ChatdError("E605", f"{host} is not an address: {error.strerror}", _OWN_ADDRESS)
    reason = f"cannot listen on {host} port {port}: {os.strerror(error.errno or 0)}"
    return ChatdError("E605", reason, _FIXES.get(error.errno or 0, ""))


def why_not_bound(host: str, port: int) -> OSError | None:
    """Try to listen, for a moment; return what is in the way."""
    try:
        _bind(host, port).close()
    except OSError as error:
        return error
    return None


def require_free(host: str, port: int, listens_on: str) -> None:
    """Raise E605 if a server that listens on HOST:PORT could not listen on another port after a restart."""
    if port in (0, int(listens_on.rpartition(":")[2])):
        return
    if (obstacle := why_not_bound(host, port)) is not None:
        raise cannot_listen(host, port, obstacle)


def listen_hub(home: Path, name: str = HUB_SOCKET) -> socket.socket:
    """Return a listener of the hub: for workers, or `OPERATOR_SOCKET`. Raises ChatdError E606."""
    path = home / name
    try:
        return listen_unix(path, BACKLOG)
    except OSError as error:
        raise ChatdError("E606", f"{path}: {error.strerror}") from error


@contextmanager
def enrol_pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    """Yield the ends of the enrol process and of the workers: what is handed over survives both."""
    ends = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    try:
        yield ends
    finally:
        for end in ends:
            end.close()


def gateway_place(address: str) -> tuple[str, int]:
    """Return host and port of the setting gateway.listen, HOST:PORT."""
    host, _, port = address.rpartition(":")
    return host.strip("[]"), int(port)


def gateway_refusal(error: ChatdError) -> ChatdError:
    """Return the E605 of the gateway's address for that of any."""
    fix = 'set gateway.listen to another address, or to "" for no gateway'
    return ChatdError("E605", f"gateway.listen: {error.reason}", fix)


@contextmanager
def listen_gateway(address: str) -> Iterator[socket.socket | None]:
    """Yield the gateway's listener at HOST:PORT; None for "". Raises ChatdError E605."""
    if not address:
        yield None
        return
    try:
        listener = listen_tcp(*gateway_place(address))
    except ChatdError as error:
        raise gateway_refusal(error) from None
    with listener:
        yield listener


def show_address(sock: socket.socket) -> str:
    """Return host:port as bound."""
    host, port = sock.getsockname()[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _bind(host: str, port: int) -> socket.socket:
    family, kind, protocol, _, address = socket.getaddrinfo(
        host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )[0]
    sock = socket.socket(family, kind, protocol)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind(address)
        sock.listen(BACKLOG)
        sock.setblocking(False)
    except BaseException:
        sock.close()
        raise
    return sock
