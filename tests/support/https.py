"""Talk to a gateway: requests as a browser makes them, and bytes as nobody should."""

from __future__ import annotations

import http.client
import os
import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

from tests.support.daemon import Daemon, free_port, running

TIMEOUT_SECONDS = 30.0


class Reply(NamedTuple):
    status: int
    text: str
    headers: dict[str, str]


class Https:
    """A gateway's address, and the CA that it must show."""

    def __init__(self, port: int, ca: Path) -> None:
        self.port = port
        self.context = ssl.create_default_context(cafile=ca)

    def get(self, path: str, method: str = "GET", **headers: str) -> Reply:
        """Make one request on a connection of its own."""
        with self.connection() as connection:
            return ask(connection, path, method, **headers)

    def connect(self) -> http.client.HTTPSConnection:
        """Return a connection for several requests, which the caller closes."""
        return http.client.HTTPSConnection(
            "127.0.0.1", self.port, timeout=TIMEOUT_SECONDS, context=self.context
        )

    @contextmanager
    def connection(self) -> Iterator[http.client.HTTPSConnection]:
        """Yield a connection for several requests."""
        found = self.connect()
        try:
            yield found
        finally:
            found.close()

    def open(self) -> ssl.SSLSocket:
        """Connect with TLS and send nothing."""
        plain = socket.create_connection(("127.0.0.1", self.port), timeout=TIMEOUT_SECONDS)
        return self.context.wrap_socket(plain, server_hostname="127.0.0.1")

    def exchange(self, data: bytes) -> bytes:
        """Send bytes and the end of the stream; return what comes until the gateway closes."""
        with self.open() as sock:
            with suppress(OSError):  # the gateway may have answered and closed before it has read all
                sock.sendall(data)
                # SSLSocket.shutdown would forget TLS.
                with socket.socket(fileno=os.dup(sock.fileno())) as same:
                    same.shutdown(socket.SHUT_WR)
            return read_to_end(sock)


def ask(connection: http.client.HTTPSConnection, path: str, method: str = "GET", **headers: str) -> Reply:
    """Make a request; names of headers have _ for -."""
    connection.request(
        method, path, headers={name.replace("_", "-"): value for name, value in headers.items()}
    )
    response = connection.getresponse()
    return Reply(response.status, response.read().decode(), dict(response.getheaders()))


def read_to_end(sock: socket.socket) -> bytes:
    """Return all bytes until the peer closes or resets the connection."""
    parts = []
    try:
        while part := sock.recv(65536):
            parts.append(part)
    except (ConnectionError, ssl.SSLError):
        pass
    return b"".join(parts)


@contextmanager
def gateway(home: Path, **settings: str) -> Iterator[tuple[Daemon, Https]]:
    """Run a daemon with a gateway."""
    port = free_port()
    with running(home, CHATD_GATEWAY__LISTEN=f"127.0.0.1:{port}", **settings) as daemon:
        yield daemon, Https(port, home / "certs" / "ca.pem")
