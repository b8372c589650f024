"""One TLS connection in memory: bytes from the socket in, plaintext out, and back.

OpenSSL forbids concurrent calls on one connection and CPython does not prevent them (cpython
#143756, #151508), so that `SSLSocket` cannot be read in one thread and written in another. Here the
SSLObject works on memory BIOs behind one lock, and no system call is made under it.
"""

from __future__ import annotations

import ssl
import threading

# OpenSSL hands out at most one record (16 KiB) a call.
_READ_BYTES = 64 * 1024


class TlsChannel:
    """``protect`` and ``receive`` may be called by different threads; each by one at a time.

    What they put in the outgoing BIO must reach the socket in the order in which it was taken:
    only the holder of the sending duty may call `take_outgoing`.
    """

    def __init__(self, context: ssl.SSLContext, *, server_side: bool) -> None:
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_side=server_side)
        # Protects the SSLObject and both BIOs.
        self._lock = threading.Lock()

    def handshake(self, data: bytes) -> bool:
        """Feed what the peer sent; whether the handshake is complete. Raises ssl.SSLError."""
        with self._lock:
            if data:
                self._incoming.write(data)
            try:
                self._tls.do_handshake()
            except ssl.SSLWantReadError:
                return False
            return True

    def receive(self, data: bytes) -> bytes:
        """The plaintext that ``data`` completes. Raises ssl.SSLError (SSLZeroReturnError at a TLS close)."""
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
        """The TLS records of ``plain``, with anything OpenSSL wanted to say before. Raises ssl.SSLError."""
        with self._lock:
            self._tls.write(plain)
            return self._outgoing.read()

    @property
    def wants_to_send(self) -> bool:
        """Whether OpenSSL has put something in the outgoing BIO by itself."""
        return self._outgoing.pending > 0

    def take_outgoing(self) -> bytes:
        """What OpenSSL wants to send by itself: handshake flights, alerts, key updates."""
        with self._lock:
            return self._outgoing.read()

    def farewell(self) -> bytes:
        """A close_notify, where the connection is still in a state to say it."""
        with self._lock:
            try:
                self._tls.unwrap()
            except (ssl.SSLError, ValueError):
                pass
            return self._outgoing.read()

    def binding(self) -> bytes:
        """The value both ends of this very connection share (docs/protocol.md, "Binding")."""
        return self._tls.get_channel_binding("tls-unique") or b""

    def peer_certificate(self) -> bytes:
        """The peer's leaf as DER; empty if there is none."""
        return self._tls.getpeercert(binary_form=True) or b""

    def alpn(self) -> str | None:
        """The protocol agreed on."""
        return self._tls.selected_alpn_protocol()
