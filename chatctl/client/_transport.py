"""One non-blocking connection: TCP, TLS, envelope, records.

The engine calls `advance` when the socket is ready, and gets the payloads that arrived. Only the
engine's thread may use it: OpenSSL forbids concurrent reads and writes on one connection, and CPython
does not prevent them (cpython #143756).
"""

from __future__ import annotations

import errno
import os
import socket
import ssl
import time
from collections.abc import Callable, Iterable, Iterator
from enum import Enum, auto
from typing import Protocol

from chatctl.client._dialing import Address
from chatd.crypto.handshake import HANDSHAKE_LIMIT, ClientHandshake, pack
from chatd.errors import ChatdError
from chatd.pki.contexts import check_server, client_context, envelope_key_of, explain_tls_failure
from chatd.pki.identity import Identity
from chatd.proto.alpn import ALPN_ENVELOPE, ALPN_PLAIN, is_loopback
from chatd.proto.frames import FRAME_LIMIT
from chatd.proto.length_prefix import take_message
from chatd.proto.other_service import LOOK_AT, refuse_other_service
from chatd.proto.unsealed import PlainOpener, PlainSealer

_READ_SIZE = 256 * 1024
# Reads in one `advance`: a flood of data must not starve the caller's commands.
_READS_PER_ADVANCE = 8
_NO_PROTOCOL = (
    "use the port of the chat, not the gateway's; without the envelope a server takes its own box only"
)


class SupportsSeal(Protocol):
    def seal(self, payload: bytes) -> bytes: ...
    def close(self) -> bytes: ...


class SupportsOpen(Protocol):
    closed: bool

    def feed(self, data: bytes) -> list[bytes]: ...


class TransportStage(Enum):
    CONNECTING = auto()
    TLS = auto()
    ENVELOPE = auto()
    OPEN = auto()


# TLS contexts by the ALPN names that they offer.
Contexts = dict[tuple[str, ...], ssl.SSLContext]


class Transport:
    """A connection to one address, from the first packet on.

    Every method raises ChatdError if the connection fails: E607 not reachable or cut, E2xx
    certificates, E104 envelope, E107 versions.
    """

    def __init__(
        self,
        identity: Identity,
        address: Address,
        *,
        wall: Callable[[], float] = time.time,
        contexts: Contexts | None = None,
    ) -> None:
        """``contexts``: a cache shared by all connections of the identity; making one costs 2 ms."""
        self.server = address.server
        self.heard = False  # whether the peer has sent a byte
        self._address = address
        self._contexts = {} if contexts is None else contexts
        self._identity = identity
        self._wall = wall
        self._stage = TransportStage.CONNECTING
        self._received = False
        self._exchanged = False
        self._failure: ChatdError | None = None
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._out = bytearray()
        self._handshake_in = bytearray()
        self._handshake: ClientHandshake | None = None
        self._sealer: SupportsSeal | None = None
        self._opener: SupportsOpen | None = None
        self._socket = self._connect()
        self._tls = self._wrap()

    def fileno(self) -> int:
        return self._socket.fileno()

    @property
    def open(self) -> bool:
        """Whether records can be sent; the server's welcome comes next."""
        return self._stage is TransportStage.OPEN

    @property
    def connected(self) -> bool:
        """Whether TCP is connected."""
        return self._stage is not TransportStage.CONNECTING

    @property
    def wants_write(self) -> bool:
        return self._stage is TransportStage.CONNECTING or bool(self._out)

    @property
    def failed(self) -> bool:
        """Whether `advance` must be called although the socket may never be ready again."""
        return self._failure is not None

    # -- making the connection

    def _connect(self) -> socket.socket:
        try:
            connection = socket.socket(self._address.family, socket.SOCK_STREAM)
        except OSError as error:  # IPv6 on a machine without it; no descriptors left
            raise self._unreachable(error.strerror or str(error)) from None
        connection.setblocking(False)
        code = connection.connect_ex(self._address.sockaddr)
        if code not in (0, errno.EINPROGRESS):
            connection.close()
            raise self._unreachable(os.strerror(code))
        return connection

    def _unreachable(self, reason: str) -> ChatdError:
        return ChatdError("E607", f"cannot connect to {self._address}: {reason}")

    def _wrap(self) -> ssl.SSLObject:
        # Without the envelope only on loopback, and only if the server chooses that.
        offers = (ALPN_ENVELOPE, ALPN_PLAIN) if is_loopback(self._address.sockaddr[0]) else (ALPN_ENVELOPE,)
        context = self._contexts.get(offers)
        if context is None:
            try:
                context = client_context(self._identity, alpn=list(offers))
            except ChatdError:
                self._socket.close()
                raise
            self._contexts[offers] = context
        return context.wrap_bio(self._incoming, self._outgoing, server_side=False)

    def _finish_connect(self) -> None:
        code = self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if code:
            raise self._unreachable(os.strerror(code))
        # Without this, small writes wait for the peer's delayed acknowledgements (40 ms).
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._stage = TransportStage.TLS
        self._handshake_tls()

    def _handshake_tls(self) -> None:
        try:
            self._tls.do_handshake()
        except ssl.SSLWantReadError:
            return
        leaf = self._tls.getpeercert(binary_form=True) or b""
        check_server(leaf, self._identity)
        protocol = self._tls.selected_alpn_protocol()
        if protocol == ALPN_PLAIN:
            self._sealer, self._opener, self._stage = PlainSealer(), PlainOpener(), TransportStage.OPEN
            return
        if protocol != ALPN_ENVELOPE:
            raise ChatdError(
                "E107",
                f"{self.server} belongs to {self._identity.instance!r}, but does not speak {ALPN_ENVELOPE}",
                _NO_PROTOCOL,
            )
        self._handshake = ClientHandshake(
            binding=self._tls.get_channel_binding("tls-unique") or b"",
            server_leaf=leaf,
            client_leaf=self._identity.certificate_der,
            envelope_key_of=envelope_key_of(self._identity),
        )
        self._tls.write(pack(self._handshake.hello()))
        self._stage = TransportStage.ENVELOPE

    # -- using it

    def advance(self) -> list[bytes]:
        """Do the I/O that the socket is ready for; returns the payloads that arrived, in order."""
        if self._failure is not None:
            raise self._failure
        payloads: list[bytes] = []
        try:
            if self._stage is TransportStage.CONNECTING:
                self._finish_connect()
            self._receive(payloads)
            self.flush()
        except ssl.SSLError as error:
            self._flush_quietly()
            self._failure = self._explained(error)
        except OSError as error:
            self._failure = self._lost(error)
        except ChatdError as error:
            self._flush_quietly()
            self._failure = error
        if self._failure is not None and not payloads:
            raise self._failure
        # Deliver what came before the failure first: it may explain the failure.
        return payloads

    def _receive(self, payloads: list[bytes]) -> None:
        for _ in range(_READS_PER_ADVANCE):
            try:
                data = self._socket.recv(_READ_SIZE)
            except BlockingIOError:
                return
            if data:
                self._look_at(data)
                self._incoming.write(data)
            else:
                self._incoming.write_eof()
            self._decrypt(payloads)
            if not data:
                raise self._ended()

    def _look_at(self, data: bytes) -> None:
        """Raise E630 if the peer's first bytes are not those of TLS."""
        first, self.heard = not self.heard, True
        if first:
            refuse_other_service(str(self._address), data[:LOOK_AT])

    def _decrypt(self, payloads: list[bytes]) -> None:
        if self._stage is TransportStage.TLS:
            self._handshake_tls()
        if self._stage is TransportStage.TLS:
            return
        while True:
            try:
                data = self._tls.read(_READ_SIZE)
            except ssl.SSLWantReadError:
                return
            except (ssl.SSLZeroReturnError, ssl.SSLEOFError):
                raise self._ended() from None
            if not data:
                raise self._ended()
            if self._stage is TransportStage.ENVELOPE:
                data = self._continue_envelope(data)
            if data and self._opener is not None:
                self._received = True
                payloads += self._opener.feed(data)

    def _continue_envelope(self, data: bytes) -> bytes:
        """Continue the envelope's handshake; returns the data behind its last message."""
        self._handshake_in += data
        while self._handshake is not None:
            message = take_message(self._handshake_in, HANDSHAKE_LIMIT, "E104")
            if message is None:
                return b""
            self._answer(self._handshake, message)
        return bytes(self._handshake_in)

    def _answer(self, handshake: ClientHandshake, body: bytes) -> None:
        if not self._exchanged:
            self._exchanged = True
            self._tls.write(pack(handshake.exchange(body)))
            return
        keys = handshake.finish(body)
        self._sealer, self._opener = keys.sealer, keys.opener
        self._handshake = None
        self._stage = TransportStage.OPEN

    def send(self, frames: Iterable[bytes]) -> None:
        """Put frames into as few records as possible; write as much as the socket takes."""
        if self._sealer is None:
            raise ChatdError("E105", "the connection is not open yet")
        if self._failure is not None:  # noticed by `advance` behind the payloads that it returned
            raise self._failure
        try:
            for record in _records(frames):
                self._tls.write(self._sealer.seal(record))
            self.flush()
        except OSError as error:  # ssl.SSLError is one
            raise self._lost(error) from None

    def flush(self) -> None:
        """Write as much as the socket takes. Raises OSError."""
        self._out += self._outgoing.read()
        while self._out:
            try:
                count = self._socket.send(self._out)
            except BlockingIOError:
                return
            del self._out[:count]

    def close(self) -> None:
        """Close the connection; sends the close record if the socket takes it at once."""
        if self._sealer is not None:
            try:
                self._tls.write(self._sealer.close())
                self._tls.unwrap()
            except (ssl.SSLError, ChatdError):
                pass
        self._flush_quietly()
        self._socket.close()

    # -- failures

    def _flush_quietly(self) -> None:
        """Send the TLS alert with the reason if the connection still takes it."""
        try:
            self.flush()
        except OSError:
            pass

    def _ended(self) -> ChatdError:
        if self._opener is not None and self._opener.closed:
            return ChatdError("E502", "the server closed the connection")
        return self._lost(ConnectionResetError(errno.ECONNRESET, "the connection was cut"))

    def _lost(self, error: OSError) -> ChatdError:
        if self._received:
            return ChatdError("E607", f"the connection to {self.server} was cut")
        if self._stage is TransportStage.CONNECTING:
            return self._unreachable(error.strerror or str(error))
        # A TLS 1.3 server checks the certificate after the client's handshake has ended, so its refusal
        # may arrive as no more than a reset.
        return self._explained(error)

    def _explained(self, error: Exception) -> ChatdError:
        return explain_tls_failure(error, server=self.server, identity=self._identity, now=self._wall())


def _records(frames: Iterable[bytes]) -> Iterator[bytes]:
    record = bytearray()
    for frame in frames:
        if len(record) + len(frame) > FRAME_LIMIT:
            yield bytes(record)
            record.clear()
        record += frame
    if record:
        yield bytes(record)
