"""One TLS connection on memory BIOs.

OpenSSL forbids concurrent calls on one connection and CPython does not prevent them (cpython
#143756, #151508), so an `SSLSocket` cannot be read in one thread and written in another. Here one lock
guards the SSLObject and its BIOs, and no system call is made under it.
"""

from __future__ import annotations

import ssl
import threading

# OpenSSL returns at most one record (16 KiB) per call.
_READ_BYTES = 64 * 1024
# A memory BIO keeps as much memory as it ever held, for as long as the connection lives: it holds less of a
# page of history than the whole, at the cost of a few more TLS records.
WRITE_BYTES = 8 * 1024
# Type, version and u16 length before each TLS record (RFC 8446, 5.1).
_HEADER_BYTES = 5


class TlsChannel:
    """`protect` and `receive` may run in two different threads.

    Outgoing bytes must reach the socket in the order in which they were taken, so only the thread that
    sends may call `protect` and `take_outgoing`.
    """

    def __init__(self, context: ssl.SSLContext, *, server_side: bool, server_name: str | None = None) -> None:
        """``server_name``: for a client whose context checks names, the name of the server."""
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        self._tls = context.wrap_bio(
            self._incoming, self._outgoing, server_side=server_side, server_hostname=server_name
        )
        # Protects the SSLObject and both BIOs.
        self._lock = threading.Lock()
        self.records_received = 0
        """TLS records that have arrived whole, whatever they contain."""
        # A record header that has arrived in part, or the missing bytes of a record.
        self._header = b""
        self._missing = 0

    def handshake(self, data: bytes) -> bool:
        """Feed the peer's bytes; return whether the handshake is complete. Raises ssl.SSLError."""
        with self._lock:
            self._feed(data)
            try:
                self._tls.do_handshake()
            except ssl.SSLWantReadError:
                return False
            return True

    def receive(self, data: bytes) -> bytes:
        """Return the plaintext that ``data`` completes. Raises ssl.SSLError (SSLZeroReturnError: closed)."""
        plain = b""
        with self._lock:
            self._feed(data)
            try:
                while part := self._tls.read(_READ_BYTES):
                    plain = plain + part if plain else part
                    # Nothing is left to read: one more call would only make an exception that says so.
                    if not (self._incoming.pending or self._tls.pending()):
                        break
            except ssl.SSLWantReadError:
                pass
            except ssl.SSLZeroReturnError:
                if not plain:
                    raise
        return plain

    def protect(self, plain: bytes) -> bytes:
        """Return ``plain`` as TLS records, after any bytes already waiting. Raises ssl.SSLError."""
        with self._lock:
            if len(plain) <= WRITE_BYTES:
                self._tls.write(plain)
                return self._outgoing.read()
            view, parts = memoryview(plain), []
            for start in range(0, len(plain), WRITE_BYTES):
                self._tls.write(view[start : start + WRITE_BYTES])
                parts.append(self._outgoing.read())
            return b"".join(parts)

    def enqueue(self, plain: bytes) -> None:
        """Put ``plain`` as TLS records among the outgoing bytes, for any thread. Raises ssl.SSLError."""
        with self._lock:
            self._tls.write(plain)

    def _feed(self, data: bytes) -> None:
        if data:
            self._incoming.write(data)
            self._count_records(data)

    def _count_records(self, data: bytes) -> None:
        data = self._header + data
        size, end = len(data), self._missing
        while end <= size:
            if end:
                self.records_received += 1
            if size - end < _HEADER_BYTES:
                self._header, self._missing = data[end:], 0
                return
            end += _HEADER_BYTES + int.from_bytes(data[end + 3 : end + 5], "big")
        self._header, self._missing = b"", end - size

    @property
    def outgoing_bytes(self) -> int:
        """Bytes in the outgoing BIO: handshake flights, alerts, answers to key updates."""
        return self._outgoing.pending

    def take_outgoing(self) -> bytes:
        """Return the bytes of the outgoing BIO."""
        with self._lock:
            return self._outgoing.read()

    def close_notify(self) -> bytes:
        """Return a close_notify alert if the connection's state allows one."""
        with self._lock:
            try:
                self._tls.unwrap()
            except (ssl.SSLError, ValueError):
                pass
            return self._outgoing.read()

    def binding(self) -> bytes:
        """Return the TLS binding value of this connection (docs/protocol.md, "Binding")."""
        return self._tls.get_channel_binding("tls-unique") or b""

    def peer_certificate(self) -> bytes:
        """Return the peer's leaf certificate as DER, or b"" if there is none."""
        return self._tls.getpeercert(binary_form=True) or b""

    def alpn(self) -> str | None:
        return self._tls.selected_alpn_protocol()
