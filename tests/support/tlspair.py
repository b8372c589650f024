"""Connect a TLS server and a TLS client in this process over a socket pair."""

from __future__ import annotations

import socket
import ssl
import threading
from contextlib import suppress
from typing import NamedTuple

# Reached only if an end hangs, which fails the test.
_TIMEOUT = 20.0


class Outcome(NamedTuple):
    """Each end's error, or None, and the peer's leaf that it saw as DER, empty if none; and the ALPN name."""

    server_error: Exception | None
    client_error: Exception | None
    server_saw: bytes
    client_saw: bytes
    alpn: str | None


def connect(server: ssl.SSLContext, client: ssl.SSLContext) -> Outcome:
    """Do the handshake. The server then sends a byte, which tells a TLS 1.3 client that it was accepted."""
    ours, theirs = socket.socketpair()
    server_error: list[Exception] = []
    seen: list[bytes] = []

    def serve() -> None:
        with ours:
            try:
                with server.wrap_socket(ours, server_side=True) as channel:
                    seen.append(channel.getpeercert(binary_form=True) or b"")
                    channel.sendall(b"!")
                    with suppress(OSError):  # OpenSSL 3.6 reports the end of the client's socket
                        channel.recv(1)
            except OSError as error:
                server_error.append(error)

    ours.settimeout(_TIMEOUT)
    theirs.settimeout(_TIMEOUT)
    thread = threading.Thread(target=serve)
    thread.start()
    client_error: Exception | None = None
    client_saw, alpn = b"", None
    try:
        with theirs, client.wrap_socket(theirs) as channel:
            client_saw = channel.getpeercert(binary_form=True) or b""
            alpn = channel.selected_alpn_protocol()
            if channel.recv(1) != b"!":
                client_error = ConnectionResetError("closed")
    except OSError as error:
        client_error = error
    thread.join(_TIMEOUT)
    assert not thread.is_alive()
    return Outcome(
        server_error[0] if server_error else None,
        client_error,
        seen[0] if seen else b"",
        client_saw,
        alpn,
    )
