"""The login: TLS, envelope and certificate checks, in a thread of the connection."""

from __future__ import annotations

import socket
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

from chatd.child.login_slots import LoginSlot
from chatd.child.tls import TlsChannel
from chatd.crashpoints import crash_point
from chatd.crypto.handshake import HANDSHAKE_LIMIT, ServerHandshake, SessionKeys, pack, spoken_here
from chatd.errors import ChatdError
from chatd.pki.profiles import DeviceName, device_of
from chatd.proto.alpn import ALPN_ENROL, ALPN_ENVELOPE, ALPN_PLAIN
from chatd.proto.client_hello import offered_protocols
from chatd.proto.frames import FRAME_LIMIT
from chatd.proto.length_prefix import take_message
from chatd.proto.unsealed import PlainOpener, PlainSealer
from chatd.worker.session import ReceivingHalf, SendingHalf

# Bytes that an unauthenticated peer may send: TLS flights with certificates, then M1 and M3.
UNAUTHENTICATED_LIMIT = 64 * 1024
_RECEIVE_BYTES = 16 * 1024
# A client sends its first bytes as soon as it is connected; nothing is prepared for a silent peer.
FIRST_BYTE_SECONDS = 1.0


class Credentials(NamedTuple):
    """The server's certificates and keys. Replaced as a whole when certificates are renewed."""

    context: ssl.SSLContext
    server_leaf: bytes
    roots: tuple[x509.Certificate, ...]
    envelope_certificate: bytes
    envelope_key: RSAPrivateKey
    instance: str
    envelope: bool


class LoginResult(NamedTuple):
    """An authenticated connection."""

    channel: TlsChannel
    sealer: SendingHalf
    opener: ReceivingHalf
    who: DeviceName
    serial: str
    valid_until: float
    """Unix time."""
    key: str
    """The SHA-256 of the certificate's SubjectPublicKeyInfo, in hex."""


class InviteClient(NamedTuple):
    """A client that offers to enrol, with the bytes that it has sent."""

    first: bytes


class Login:
    """Authenticates one connection before ``deadline`` (monotonic seconds).

    All logins of a process share ``lock`` and hold it while they compute, not while they wait for the peer.
    Time spent waiting for it extends the deadline, so mass reconnects do not time out halfway.
    """

    def __init__(
        self,
        sock: socket.socket,
        credentials: Credentials,
        deadline: float,
        lock: threading.Lock,
        slot: LoginSlot,
    ) -> None:
        self._sock = sock
        self._credentials = credentials
        self._deadline = deadline
        # One login computes at a time. With hundreds at once the worker's loop would wait seconds for the
        # interpreter and miss its heartbeat (tests/chaos/storm.py).
        self._lock = lock
        self._slot = slot
        self._channel: TlsChannel
        self._received = 0
        self._handshake_in = bytearray()

    def run(self) -> LoginResult | InviteClient:
        """Log in. Raises ssl.SSLError, OSError, TimeoutError, or ChatdError E1xx / E2xx."""
        first = self._receive(FIRST_BYTE_SECONDS)
        while (offered := offered_protocols(first)) is None:
            first += self._receive()
        if offered == [ALPN_ENROL.encode()]:
            return InviteClient(first)
        self._channel = TlsChannel(self._credentials.context, server_side=True)
        self._tls(first)
        crash_point("worker.login.tls")
        with self._computing():
            # If the client offers only unknown protocols, OpenSSL continues without one; RFC 7301 (3.2)
            # asks for an alert.
            if self._channel.alpn() != (ALPN_ENVELOPE if self._credentials.envelope else ALPN_PLAIN):
                raise ChatdError("E107", "the client does not offer this server's protocol (ALPN)")
            leaf = self._channel.peer_certificate()
            device = device_of(leaf, *self._credentials.roots)
        if device.name.instance != self._credentials.instance:
            raise ChatdError("E210", f"the certificate is for the server {device.name.instance}")
        if not self._credentials.envelope:
            return LoginResult(self._channel, PlainSealer(), PlainOpener(), *device)
        keys = self._envelope(leaf)
        return LoginResult(self._channel, keys.sealer, keys.opener, *device)

    def _tls(self, data: bytes) -> None:
        done = False
        while not done:
            try:
                with self._computing():
                    done = self._channel.handshake(data)
            finally:
                # After a failure too: the alert tells the client why.
                self._send(self._channel.take_outgoing())
            if not done:
                data = self._receive()

    def _envelope(self, leaf: bytes) -> SessionKeys:
        handshake = ServerHandshake(
            binding=self._channel.binding(),
            server_leaf=self._credentials.server_leaf,
            client_leaf=leaf,
            envelope_certificate=self._credentials.envelope_certificate,
            private_key=self._credentials.envelope_key,
            max_frame=FRAME_LIMIT,
        )
        first = self._message()
        try:
            with self._computing():
                answer = self._channel.protect(pack(handshake.respond(first)))
        except ChatdError as error:
            if error.code == "E107":
                self._send(self._refused_version())
            raise
        self._send(answer)
        second = self._message()
        if self._handshake_in:
            raise ChatdError("E104", "data before the envelope was established")
        with self._computing():
            last, keys = handshake.accept(second)
            answer = self._channel.protect(pack(last))
        self._send(answer)
        return keys

    def _refused_version(self) -> bytes:
        """Return the answer that tells a client what to offer on its next connection, and the end of TLS."""
        with self._computing():
            return self._channel.protect(pack(spoken_here())) + self._channel.close_notify()

    @contextmanager
    def _computing(self) -> Iterator[None]:
        began = time.monotonic()
        with self._lock:
            self._deadline += time.monotonic() - began
            yield

    def _message(self) -> bytes:
        """Return the next handshake message. Raises E104 for a bad length."""
        # The first message may arrive together with the end of the TLS handshake.
        self._handshake_in += self._channel.receive(b"")
        while (message := take_message(self._handshake_in, HANDSHAKE_LIMIT, "E104")) is None:
            self._handshake_in += self._channel.receive(self._receive())
        return message

    def _receive(self, limit: float = float("inf")) -> bytes:
        self._slot.wait_begins(time.monotonic())
        self._sock.settimeout(min(limit, self._left()))
        data = self._sock.recv(_RECEIVE_BYTES)
        self._slot.wait_ends()
        if not data:
            raise ConnectionResetError("closed in the handshake")
        self._received += len(data)
        if self._received > UNAUTHENTICATED_LIMIT:
            raise ChatdError("E101", f"more than {UNAUTHENTICATED_LIMIT} bytes before the login")
        return data

    def _send(self, data: bytes) -> None:
        if data:
            self._sock.settimeout(self._left())
            self._sock.sendall(data)

    def _left(self) -> float:
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError("the handshake took too long")
        return left
