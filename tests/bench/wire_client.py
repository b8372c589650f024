"""A fast TLS connection for the load generator: memory BIOs, large reads, few checks."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Callable
from pathlib import Path

RECEIVE_BYTES = 512 * 1024
_RECORD_BYTES = 16 * 1024
TIMEOUT_SECONDS = 60.0


def context(identity: Path, alpn: str | None = None) -> ssl.SSLContext:
    """TLS 1.3 with a client certificate. The server's identity is not verified."""
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    made.minimum_version = ssl.TLSVersion.TLSv1_3
    made.check_hostname = False
    made.verify_mode = ssl.CERT_NONE
    made.load_cert_chain(identity)
    if alpn:
        made.set_alpn_protocols([alpn])
    return made


class Connection:
    """One connection. A dialect with its own layer inside TLS sets ``seal`` and ``open``."""

    def __init__(
        self,
        address: tuple[str, int],
        tls: ssl.SSLContext,
        before_tls: Callable[[socket.socket], None] | None,
    ) -> None:
        self.sock = socket.create_connection(address, timeout=TIMEOUT_SECONDS)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if before_tls:
            before_tls(self.sock)
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = tls.wrap_bio(self._incoming, self._outgoing)
        self.seal: Callable[[bytes], bytes] | None = None
        self.open: Callable[[bytes], list[bytes]] | None = None
        self.count = 0
        self.tail = b""
        self._handshake()

    def fileno(self) -> int:
        return self.sock.fileno()

    def _handshake(self) -> None:
        while True:
            try:
                self.tls.do_handshake()
            except ssl.SSLWantReadError:
                self._drain()
                self._incoming.write(self._received())
            else:
                self._drain()
                return

    def _received(self) -> bytes:
        data = self.sock.recv(RECEIVE_BYTES)
        if not data:
            raise ConnectionError("the server has closed the connection")
        return data

    def _drain(self) -> None:
        if self._outgoing.pending:
            self.sock.sendall(self._outgoing.read())

    def send(self, plain: bytes) -> None:
        """Seal and send; blocks until the socket has accepted everything."""
        if self.seal:
            plain = self.seal(plain)
        self.tls.write(plain)
        self._drain()

    def read(self) -> bytes:
        """Receive and open data. Raises BlockingIOError, ConnectionError."""
        plain = self.read_raw()
        return b"".join(self.open(plain)) if self.open else plain

    def read_raw(self) -> bytes:
        """Receive data without opening the dialect's layer."""
        self._incoming.write(self._received())
        parts: list[bytes] = []
        try:
            while part := self.tls.read(_RECORD_BYTES):
                parts.append(part)
        except ssl.SSLWantReadError:
            pass
        return b"".join(parts)

    def expect(self, wanted: bytes) -> bytes:
        """Read until ``wanted`` has arrived; return everything read."""
        seen = b""
        while wanted not in seen:
            seen += self.read()
            if b"ERROR" in seen[:200] or b'"bye"' in seen:
                raise ConnectionError(f"refused: {seen[:200]!r}")
        return seen

    def close(self) -> None:
        self.sock.close()
