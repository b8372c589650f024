"""Services that are not chatd, at free ports: clients must tell them from a server that is down."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from cryptography import x509

from tests.support.certificates import DEVICE, forge, purposes, san

HTTP = b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n"
SSH = b"SSH-2.0-OpenSSH_9.2p1 Debian-2\r\n"
SMTP = b"220 mail.example ESMTP\r\n"

Serve = Callable[[socket.socket], None]


class StrangeService:
    """A service's port, and how many connections it has had."""

    def __init__(self, listener: socket.socket) -> None:
        self.port: int = listener.getsockname()[1]
        self.connections = 0


def greets(banner: bytes) -> Serve:
    """Speak first, as SSH and SMTP do."""

    def serve(connection: socket.socket) -> None:
        connection.sendall(banner)
        connection.recv(65536)

    return serve


def answers(reply: bytes) -> Serve:
    """Speak second, as HTTP does; an empty reply ends the connection."""

    def serve(connection: socket.socket) -> None:
        connection.recv(65536)
        connection.sendall(reply)

    return serve


def speaks_tls(folder: Path) -> Serve:
    """Serve TLS as a web server does, with a certificate of its own."""
    web = forge(None, DEVICE | {"purpose": purposes("server"), "san": san(x509.DNSName("www.example"))})
    (folder / "web.pem").write_bytes(web.key_pem + web.certificate_pem)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "web.pem")

    def serve(connection: socket.socket) -> None:
        with context.wrap_socket(connection, server_side=True) as channel:
            channel.recv(65536)

    return serve


@contextmanager
def strange_service(serve: Serve) -> Iterator[StrangeService]:
    """Run a service while the context is open."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        service = StrangeService(listener)

        def one(connection: socket.socket) -> None:
            with connection, suppress(OSError):
                serve(connection)

        def accept() -> None:
            with suppress(OSError):
                while True:
                    connection, _ = listener.accept()
                    service.connections += 1
                    threading.Thread(target=one, args=(connection,), daemon=True).start()

        thread = threading.Thread(target=accept)
        thread.start()
        yield service
        # Closing does not wake `accept`.
        listener.shutdown(socket.SHUT_RDWR)
        thread.join()
