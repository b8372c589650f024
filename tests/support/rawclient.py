"""A wire client whose caller controls every step and every byte, so it can break any rule.

Written from docs/protocol.md on a plain socket and an `ssl.SSLObject`; it shares only the key schedule with
the product's client. It carries the TLS bytes itself, so a test can cut them anywhere.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import socket
import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import Encoding

from chatd.crypto.handshake import ClientHandshake, SessionKeys

Json = dict[str, Any]

# Reached only when the server hangs, which fails the test. Generous: the whole suite may run on two cores.
TIMEOUT_SECONDS = 30.0
TLS_RECORD_BYTES = 16 * 1024


def unverified_context(identity: Path | None, alpn: str = "chatd/1") -> ssl.SSLContext:
    """A client context that shows the identity's certificate, if any, and accepts every server."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.set_alpn_protocols([alpn])
    if identity is not None:
        context.load_cert_chain(identity)
    return context


def pack(body: bytes) -> bytes:
    """Prefix a handshake message or a frame's body with its length (u32)."""
    return len(body).to_bytes(4, "big") + body


def frame(message: Json) -> bytes:
    """Encode one request as a frame."""
    return pack(json.dumps(message, ensure_ascii=False).encode(errors="surrogatepass"))


class RawClient:
    """One connection. `connect`, `tls`, `hello`, `exchange`, `finish` in this order, or `logged_in` for all.

    Every reading method raises EOFError when the server has ended the connection.
    """

    def __init__(
        self, port: int, identity: Path | None = None, *, receive_buffer: int = 0, source: str = "127.0.0.1"
    ) -> None:
        """``source`` is the loopback address to connect from."""
        self.identity = identity
        self.sock = socket.socket()
        self.sock.bind((source, 0))
        if receive_buffer:
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.sock.settimeout(TIMEOUT_SECONDS)
        self.sock.connect(("127.0.0.1", port))
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls: ssl.SSLObject | None = None
        # TLS records of application data that this client has made; see `tests.support.key_updates`.
        self.tls_records = 0
        self._handshake: ClientHandshake | None = None
        self._keys: SessionKeys | None = None
        self._plain = bytearray()
        self._frames: list[Json] = []
        self._request_ids = itertools.count(1)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.sock.close()

    # --- the steps of a login ------------------------------------------------------------------

    def tls(self, context: ssl.SSLContext | None = None) -> Self:
        """Do the TLS handshake. A TLS 1.3 server checks the client's certificate only after this returns."""
        for _ in self.tls_flights(context):
            pass
        return self

    def tls_flights(self, context: ssl.SSLContext | None = None) -> Iterator[None]:
        """Do the TLS handshake; yield after each flight sent."""
        context = context or unverified_context(self.identity)
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_side=False)
        while True:
            try:
                self._tls.do_handshake()
            except ssl.SSLWantReadError:
                self.send_tcp(self._outgoing.read())
                yield
                self._receive_tcp()
                continue
            self.send_tcp(self._outgoing.read())
            return

    def start_envelope(self) -> bytes:
        """Make M1 for the caller to send or damage."""
        assert self._tls is not None
        assert self.identity is not None
        own = x509.load_pem_x509_certificate(self.identity.read_bytes())
        self._handshake = ClientHandshake(
            binding=self._tls.get_channel_binding("tls-unique") or b"",
            server_leaf=self._tls.getpeercert(binary_form=True) or b"",
            client_leaf=own.public_bytes(Encoding.DER),
            envelope_key_of=_key_in,
        )
        return self._handshake.hello()

    def make_m3(self, m2: bytes) -> bytes:
        """Answer the server's M2 with an M3 for the caller to send or damage."""
        assert self._handshake is not None
        return self._handshake.exchange(m2)

    def finish(self, m4: bytes) -> None:
        """Verify the server's proof; the envelope is ready afterwards."""
        assert self._handshake is not None
        self._keys = self._handshake.finish(m4)

    def envelope(self) -> Self:
        """Do the whole envelope handshake."""
        self.send_plain(pack(self.start_envelope()))
        self.send_plain(pack(self.make_m3(self.read_message())))
        self.finish(self.read_message())
        return self

    def logged_in(self) -> Self:
        """Do the whole login up to the welcome."""
        self.tls().envelope()
        first = self.receive()
        assert first["type"] == "welcome", first
        return self

    # --- sending -------------------------------------------------------------------------------

    def send_tcp(self, data: bytes) -> None:
        """Send bytes outside TLS."""
        if data:
            self.sock.sendall(data)

    def tls_bytes(self, plain: bytes) -> bytes:
        """Encrypt ``plain`` into TLS records for the caller to send."""
        assert self._tls is not None
        if plain:
            self._tls.write(plain)
            self.tls_records += -(-len(plain) // TLS_RECORD_BYTES)
        return self._outgoing.read()

    @property
    def cipher(self) -> str:
        """The TLS cipher suite in use."""
        assert self._tls is not None
        return (self._tls.cipher() or ("",))[0]

    def send_plain(self, plain: bytes) -> None:
        """Send bytes inside TLS."""
        self.send_tcp(self.tls_bytes(plain))

    def seal(self, payload: bytes) -> bytes:
        """Seal one envelope record. It must be the next one sent, or not be sent at all."""
        assert self._keys is not None
        return self._keys.sealer.seal(payload)

    def close_record(self) -> bytes:
        """Make the record that closes the envelope."""
        assert self._keys is not None
        return self._keys.sealer.close()

    def send_payload(self, payload: bytes) -> None:
        """Send one record with any payload."""
        self.send_plain(self.seal(payload))

    def send(self, *messages: Json) -> None:
        """Send requests in one record."""
        self.send_payload(b"".join(map(frame, messages)))

    def ask(self, kind: str, /, **fields: Any) -> Json:
        """Send a request and return its reply; drop the events before it."""
        request_id = next(self._request_ids)
        self.send({"type": kind, "id": request_id, **fields})
        return self.until(id=request_id)

    def ask_unparsable(self, kind: str, /, **fields: Any) -> Json:
        """Send a request that the server may refuse before it has read the id; return the next reply."""
        self.send({"type": kind, "id": next(self._request_ids), **fields})
        while (message := self.receive())["type"] not in ("ok", "error"):
            pass
        return message

    def say(self, body: str, to: str = "#lobby") -> Json:
        """Send a message with a new msg_id; return the reply."""
        return self.ask("send", msg_id=new_id(), to=to, body=body)

    # --- reading -------------------------------------------------------------------------------

    def read_message(self) -> bytes:
        """Return the next handshake message."""
        while len(self._plain) < 4 or len(self._plain) < 4 + int.from_bytes(self._plain[:4], "big"):
            self._read_plain()
        end = 4 + int.from_bytes(self._plain[:4], "big")
        body = bytes(self._plain[4:end])
        del self._plain[:end]
        return body

    def read_raw_record(self) -> bytes:
        """Return what the server sends next inside TLS, still sealed, and keep it for `receive`."""
        self._read_plain()
        return bytes(self._plain)

    def receive(self) -> Json:
        """Return the next frame."""
        assert self._keys is not None
        while not self._frames:
            if not self._plain:
                self._read_plain()
            for payload in self._keys.opener.feed(bytes(self._plain)):
                self._frames += _frames_in(payload)
            self._plain.clear()
            if self._keys.opener.closed and not self._frames:
                raise EOFError("the server has closed the envelope")
        return self._frames.pop(0)

    def until(self, **wanted: Any) -> Json:
        """Return the next frame with these fields; drop the frames before it."""
        while True:
            message = self.receive()
            if all(message.get(key) == value for key, value in wanted.items()):
                return message

    def read_to_end(self) -> list[Json]:
        """Return all frames up to the end of the connection."""
        frames: list[Json] = []
        with contextlib.suppress(EOFError):
            while True:
                frames.append(self.receive())
        return frames

    def read_bye(self) -> Json:
        """Read to the end and return the last frame, which must be a bye."""
        frames = self.read_to_end()
        assert frames, "the connection ended without a bye"
        assert frames[-1]["type"] == "bye", frames[-1]
        return frames[-1]

    def wait_for_end(self) -> None:
        """Discard what the server sends until it ends the connection."""
        with contextlib.suppress(OSError):
            while self.sock.recv(65536):
                pass

    def _read_plain(self) -> None:
        assert self._tls is not None
        while True:
            try:
                data = self._tls.read(65536)
            except ssl.SSLWantReadError:
                self._receive_tcp()
                continue
            except (ssl.SSLZeroReturnError, ssl.SSLEOFError):
                raise EOFError("the server has closed TLS") from None
            if not data:
                raise EOFError("the server has closed TLS")
            self._plain += data
            return

    def _receive_tcp(self) -> None:
        try:
            data = self.sock.recv(65536)
        except ConnectionError:
            data = b""
        if not data:
            raise EOFError("the server has closed the connection")
        self._incoming.write(data)


_ids = itertools.count(1)


def new_id() -> str:
    """Make a msg_id that is unique in this test process."""
    return f"{next(_ids):032x}"


def _key_in(der: bytes) -> RSAPublicKey:
    key = x509.load_der_x509_certificate(der).public_key()
    assert isinstance(key, RSAPublicKey)
    return key


def _frames_in(payload: bytes) -> Iterator[Json]:
    position = 0
    while position < len(payload):
        end = position + 4 + int.from_bytes(payload[position : position + 4], "big")
        assert end <= len(payload), "the server sent half a frame"
        yield json.loads(payload[position + 4 : end])
        position = end
