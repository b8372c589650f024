"""One HTTPS client's plaintext, on the thread of its connection; every wait has a deadline."""

from __future__ import annotations

import socket
import ssl
import time
from collections.abc import Callable

from chatd.child.login_slots import LoginSlot
from chatd.child.tls import TlsChannel

WRITE_SECONDS = 10.0
_RECEIVE_BYTES = 16 * 1024


class ClientStream:
    """``deadline`` is for what is being received, by ``clock``."""

    def __init__(
        self,
        sock: socket.socket,
        channel: TlsChannel,
        address: str,
        slot: LoginSlot,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.sock = sock
        self.channel = channel
        self.address = address
        self.clock = clock
        self.deadline = 0.0
        self._slot = slot

    def allow(self, seconds: float) -> None:
        """Let the client take so many seconds from now."""
        self.deadline = self.clock() + seconds

    def receive(self) -> bytes:
        """Return plaintext; b"" once the client has closed its side. Raises TimeoutError, OSError."""
        while True:
            left = self.deadline - self.clock()
            if left <= 0:
                raise TimeoutError
            self.sock.settimeout(left)
            self._slot.wait_begins(self.clock())
            data = self.sock.recv(_RECEIVE_BYTES)
            self._slot.wait_ends()
            if not data:
                return b""
            try:
                plain = self.channel.receive(data)
            except ssl.SSLZeroReturnError:
                return b""
            if self.channel.outgoing_bytes:
                self.sock.sendall(self.channel.take_outgoing())
            if plain:
                return plain

    def send(self, data: bytes) -> None:
        """Send plaintext. Raises TimeoutError, OSError, ssl.SSLError."""
        self.sock.settimeout(WRITE_SECONDS)
        self.sock.sendall(self.channel.protect(data))

    def close(self) -> None:
        """End the sending direction."""
        try:
            self.sock.settimeout(WRITE_SECONDS)
            self.sock.sendall(self.channel.close_notify())
            self.sock.shutdown(socket.SHUT_WR)
        except OSError:
            return
