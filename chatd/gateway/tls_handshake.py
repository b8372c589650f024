"""The TLS handshake of one connection, on its thread, within bounds of time and size."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress

from chatd.child.login_slots import LoginSlot
from chatd.child.tls import TlsChannel

HANDSHAKE_SECONDS = 5.0
# A ClientHello with post-quantum key shares has about 2 KiB; without a certificate little follows it.
HANDSHAKE_BYTES_LIMIT = 16 * 1024
_RECEIVE_BYTES = 16 * 1024


def handshake(
    sock: socket.socket,
    channel: TlsChannel,
    slot: LoginSlot,
    computing: threading.Lock,
    clock: Callable[[], float] = time.monotonic,
) -> None:
    """Complete the handshake. Raises ssl.SSLError, OSError (TimeoutError: too slow or too much).

    ``computing`` is held while this thread computes, not while it waits.
    """
    deadline = clock() + HANDSHAKE_SECONDS
    received = 0
    done = False
    while not done:
        left = deadline - clock()
        if left <= 0 or received > HANDSHAKE_BYTES_LIMIT:
            raise TimeoutError
        sock.settimeout(left)
        slot.wait_begins(clock())
        data = sock.recv(_RECEIVE_BYTES)
        slot.wait_ends()
        if not data:
            raise ConnectionResetError
        received += len(data)
        try:
            with computing:
                done = channel.handshake(data)
        finally:
            # The alert of a failed handshake, too.
            with suppress(OSError):
                sock.sendall(channel.take_outgoing())
