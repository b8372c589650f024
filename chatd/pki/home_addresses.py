"""run/addresses: where the server of a home listens now, for clients that use an identity of that home.

An identity file names the addresses of the day on which it was made. On the server's own box that need not
matter: the supervisor writes this file when it listens, and removes it when it ends.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from chatd.durable_files import PRIVATE, replace_file
from chatd.proto.text import is_host_port

if TYPE_CHECKING:
    # The supervisor, which writes the file, loads no cryptography.
    from chatd.pki.identity import Identity

ADDRESSES_FILE: Final = "run/addresses"
# 16 addresses of up to 260 characters, and the one that is listened on.
_LIMIT: Final = 8 * 1024
_LOOPBACK: Final = {4: "127.0.0.1", 6: "[::1]"}


class _HomeAddresses(NamedTuple):
    here: str  # for clients on this box
    elsewhere: tuple[str, ...]  # server.addresses


def write_addresses(home: Path, listens_on: str, elsewhere: Iterable[str]) -> None:
    """Write the file for a server that listens on HOST:PORT. Raises E606."""
    lines = "".join(f"{line}\n" for line in (_reached_here(listens_on), *elsewhere))
    replace_file(home / ADDRESSES_FILE, lines.encode(), PRIVATE)


def servers_of(identity: Identity) -> tuple[str, ...]:
    """Return where to connect: to the running server of the identity's home, or to what the file names."""
    home = _home_of(identity)
    if home is None:
        return identity.servers
    return tuple(dict.fromkeys((home.here, *home.elsewhere, *identity.servers)))


def servers_elsewhere(identity: Identity) -> tuple[str, ...]:
    """Return the addresses for others' clients: those in the home's settings, or what the file names."""
    home = _home_of(identity)
    return home.elsewhere if home is not None and home.elsewhere else identity.servers


def _home_of(identity: Identity) -> _HomeAddresses | None:
    """Return the addresses of the running home that holds the identity file.

    None if there is none, or if the program has chosen other servers than the file names.
    """
    folder = identity.path.resolve().parent
    in_home = (folder.parent.name, folder.name) == ("certs", "identities")
    if not in_home or identity.servers != identity.servers_in_file:
        return None
    try:
        with (folder.parent.parent / ADDRESSES_FILE).open("rb") as file:
            lines = file.read(_LIMIT).decode("utf-8", "replace").split("\n")
    except OSError:
        return None
    found = [line for line in lines if is_host_port(line)]
    return _HomeAddresses(found[0], tuple(found[1:])) if found else None


def _reached_here(listens_on: str) -> str:
    """Return the address to connect to on this box: the loopback one of a server that listens on all."""
    host, _, port = listens_on.rpartition(":")
    ip = ipaddress.ip_address(host.strip("[]").partition("%")[0])
    return f"{_LOOPBACK[ip.version]}:{port}" if ip.is_unspecified else listens_on
