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


class TlsChannel:
    """`protect` and `receive` may run in two different threads.

    Outgoing bytes must reach the socket in the order in which they were taken, so only the thread that
    sends may call `protect` and `take_outgoing`.
    """

    def __init__(self, context: ssl.SSLContext, *, server_side: bool) -> None:
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_side=server_side)
        # Protects the SSLObject and both BIOs.
        self._lock = threading.Lock()

    def handshake(self, data: bytes) -> bool:
        """Feed the peer's bytes; return whether the handshake is complete. Raises ssl.SSLError."""
        with self._lock:
            if data:
                self._incoming.write(data)
            try:
                self._tls.do_handshake()
            except ssl.SSLWantReadError:
                return False
            return True

    def receive(self, data: bytes) -> bytes:
        """Return the plaintext that ``data`` completes. Raises ssl.SSLError (SSLZeroReturnError: closed)."""
        plain = b""
        with self._lock:
            if data:
                self._incoming.write(data)
            try:
                while True:
                    part = self._tls.read(_READ_BYTES)
                    if not part:
                        break
                    plain = plain + part if plain else part
            except ssl.SSLWantReadError:
                pass
            except ssl.SSLZeroReturnError:
                if not plain:
                    raise
        return plain

    def protect(self, plain: bytes) -> bytes:
        """Return ``plain`` as TLS records, after any bytes already waiting. Raises ssl.SSLError."""
        with self._lock:
            self._tls.write(plain)
            return self._outgoing.read()

    @property
    def wants_to_send(self) -> bool:
        """Whether the outgoing BIO holds bytes (handshake flights, alerts, key updates)."""
        return self._outgoing.pending > 0

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
