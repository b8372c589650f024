"""Both ends of a TLS connection in this process, over a real socket pair."""

from __future__ import annotations

import socket
import ssl
import threading
from typing import NamedTuple

# Only ever reached when an end hangs, which is a failure.
_PATIENCE = 20.0


class Outcome(NamedTuple):
    """How each end saw it: the error, or None; and the peer's leaf as DER, empty if there is none."""

    server_error: Exception | None
    client_error: Exception | None
    server_saw: bytes
    client_saw: bytes
    alpn: str | None


def connect(server: ssl.SSLContext, client: ssl.SSLContext) -> Outcome:
    """Shake hands; the server says one byte, as a TLS 1.3 client learns only then that it was accepted."""
    ours, theirs = socket.socketpair()
    server_error: list[Exception] = []
    seen: list[bytes] = []

    def serve() -> None:
        with ours:
            try:
                with server.wrap_socket(ours, server_side=True) as channel:
                    seen.append(channel.getpeercert(binary_form=True) or b"")
                    channel.sendall(b"!")
                    channel.recv(1)
            except OSError as error:
                server_error.append(error)

    ours.settimeout(_PATIENCE)
    theirs.settimeout(_PATIENCE)
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
    thread.join(_PATIENCE)
    assert not thread.is_alive()
    return Outcome(
        server_error[0] if server_error else None,
        client_error,
        seen[0] if seen else b"",
        client_saw,
        alpn,
    )
