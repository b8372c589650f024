"""Try the route port of another node with this home's certificate."""

from __future__ import annotations

import socket
import ssl
from enum import Enum
from pathlib import Path
from typing import Final

from chatd.child.tls import TlsChannel
from chatd.errors import ChatdError
from chatd.pki.node_authority import CA_NAME, NODE_NAME

PROBE_SECONDS: Final = 3.0
_READ_BYTES: Final = 16 * 1024


class Reached(Enum):
    """The outcome: a NATS server of this cluster speaks, refuses this node's certificate, or nothing does."""

    UP = "up"
    REFUSED = "refused"
    UNREACHABLE = "unreachable"


def probe(certs: Path, address: str) -> Reached:
    """Try the route port at HOST:PORT. Raises E606 without a certificate."""
    host, _, port = address.rpartition(":")
    channel = TlsChannel(_context(certs), server_side=False, server_name=host.strip("[]"))
    try:
        with socket.create_connection((host.strip("[]"), int(port)), PROBE_SECONDS) as connection:
            connection.settimeout(PROBE_SECONDS)
            return Reached.UP if _speaks(connection, channel) else Reached.REFUSED
    except OSError as error:
        refused = isinstance(error, ssl.SSLError | ConnectionResetError)
        return Reached.REFUSED if refused else Reached.UNREACHABLE


def _speaks(connection: socket.socket, channel: TlsChannel) -> bool:
    """Return whether the server sends INFO after the handshake, as NATS does. Raises OSError."""
    done = channel.handshake(b"")
    while not done:
        connection.sendall(channel.take_outgoing())
        data = connection.recv(_READ_BYTES)
        if not data:
            return False
        done = channel.handshake(data)
    connection.sendall(channel.take_outgoing())
    plain = channel.receive(b"")
    while not plain:
        data = connection.recv(_READ_BYTES)
        if not data:
            return False
        plain = channel.receive(data)
    return plain.startswith(b"INFO ")


def _context(certs: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    try:
        context.load_verify_locations(certs / f"{CA_NAME}.pem")
        context.load_cert_chain(certs / f"{NODE_NAME}.pem", certs / f"{NODE_NAME}.key")
    except OSError as error:
        raise ChatdError("E606", f"the certificate of this node cannot be read: {error}") from None
    return context
