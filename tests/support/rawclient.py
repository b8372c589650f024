"""A wire client that does what it is told, right or wrong: every step and every byte is the caller's.

Written from docs/protocol.md on a plain socket and an `ssl.SSLObject`; shares only the key schedule with
the product's client. The TLS bytes pass through here, so that they can be cut anywhere.
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

# Reached only when the server hangs, which fails the test. Two cores may be running the whole suite.
PATIENCE_SECONDS = 30.0


def careless_context(identity: Path | None, alpn: str = "chatd/1") -> ssl.SSLContext:
    """Shows the identity's certificate, if any, and believes every server."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.set_alpn_protocols([alpn])
    if identity is not None:
        context.load_cert_chain(identity)
    return context


def pack(body: bytes) -> bytes:
    """A handshake message or a frame: length u32, body."""
    return len(body).to_bytes(4, "big") + body


def frame(message: Json) -> bytes:
    """One request as a frame."""
    return pack(json.dumps(message, ensure_ascii=False).encode(errors="surrogatepass"))


class RawClient:
    """One connection. `connect`, `tls`, `hello`, `exchange`, `finish` in this order, or `logged_in` for all.

    Every reading method raises EOFError when the server has ended the connection.
    """

    def __init__(
        self, port: int, identity: Path | None = None, *, receive_buffer: int = 0, source: str = "127.0.0.1"
    ) -> None:
        """``source`` is the loopback address to come from."""
        self.identity = identity
        self.sock = socket.socket()
        self.sock.bind((source, 0))
        if receive_buffer:
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.sock.settimeout(PATIENCE_SECONDS)
        self.sock.connect(("127.0.0.1", port))
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls: ssl.SSLObject | None = None
        self._handshake: ClientHandshake | None = None
        self._keys: SessionKeys | None = None
        self._plain = bytearray()
        self._frames: list[Json] = []
        self._labels = itertools.count(1)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.sock.close()

    # --- the steps of a login ------------------------------------------------------------------

    def tls(self, context: ssl.SSLContext | None = None) -> Self:
        """Shake hands. Success says nothing: a TLS 1.3 server judges the certificate afterwards."""
        for _ in self.tls_flights(context):
            pass
        return self

    def tls_flights(self, context: ssl.SSLContext | None = None) -> Iterator[None]:
        """The same, stopping after each flight that was sent."""
        context = context or careless_context(self.identity)
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
        """M1, ready to be sent or spoilt."""
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
        """M3 for the server's M2, ready to be sent or spoilt."""
        assert self._handshake is not None
        return self._handshake.exchange(m2)

    def finish(self, m4: bytes) -> None:
        """Take the server's proof."""
        assert self._handshake is not None
        self._keys = self._handshake.finish(m4)

    def envelope(self) -> Self:
        """All of the envelope's handshake."""
        self.send_plain(pack(self.start_envelope()))
        self.send_plain(pack(self.make_m3(self.read_message())))
        self.finish(self.read_message())
        return self

    def logged_in(self) -> Self:
        """The whole login up to the welcome."""
        self.tls().envelope()
        first = self.receive()
        assert first["type"] == "welcome", first
        return self

    # --- sending -------------------------------------------------------------------------------

    def send_tcp(self, data: bytes) -> None:
        """Bytes outside TLS."""
        if data:
            self.sock.sendall(data)

    def tls_bytes(self, plain: bytes) -> bytes:
        """``plain`` as TLS records, for the caller to send."""
        assert self._tls is not None
        if plain:
            self._tls.write(plain)
        return self._outgoing.read()

    def send_plain(self, plain: bytes) -> None:
        """Bytes inside TLS."""
        self.send_tcp(self.tls_bytes(plain))

    def seal(self, payload: bytes) -> bytes:
        """One envelope record. It must be the next one sent, or not be sent at all."""
        assert self._keys is not None
        return self._keys.sealer.seal(payload)

    def close_record(self) -> bytes:
        """The authenticated end."""
        assert self._keys is not None
        return self._keys.sealer.close()

    def send_payload(self, payload: bytes) -> None:
        """One record with anything in it."""
        self.send_plain(self.seal(payload))

    def send(self, *messages: Json) -> None:
        """Requests, all in one record."""
        self.send_payload(b"".join(map(frame, messages)))

    def ask(self, kind: str, /, **fields: Any) -> Json:
        """A request and its reply; events in between are dropped."""
        label = next(self._labels)
        self.send({"type": kind, "id": label, **fields})
        return self.until(id=label)

    def ask_raw(self, kind: str, /, **fields: Any) -> Json:
        """The same for what the server may not be able to read, not even its label."""
        self.send({"type": kind, "id": next(self._labels), **fields})
        while (message := self.receive())["type"] not in ("ok", "error"):
            pass
        return message

    def say(self, body: str, to: str = "#lobby") -> Json:
        """Send a message with a msg_id of its own; the reply."""
        return self.ask("send", msg_id=new_id(), to=to, body=body)

    # --- reading -------------------------------------------------------------------------------

    def read_message(self) -> bytes:
        """The next handshake message."""
        while len(self._plain) < 4 or len(self._plain) < 4 + int.from_bytes(self._plain[:4], "big"):
            self._read_plain()
        end = 4 + int.from_bytes(self._plain[:4], "big")
        body = bytes(self._plain[4:end])
        del self._plain[:end]
        return body

    def read_sealed(self) -> bytes:
        """What the server sends next inside TLS, unopened; it will be opened all the same."""
        self._read_plain()
        return bytes(self._plain)

    def receive(self) -> Json:
        """The next frame."""
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
        """The next frame with these fields; those before it are dropped."""
        while True:
            message = self.receive()
            if all(message.get(key) == value for key, value in wanted.items()):
                return message

    def drained(self) -> list[Json]:
        """Everything up to the end of the connection, which must come."""
        frames: list[Json] = []
        with contextlib.suppress(EOFError):
            while True:
                frames.append(self.receive())
        return frames

    def bye(self) -> Json:
        """The goodbye, which must be the last that the server says."""
        last = self.drained()[-1:]
        assert last, "the connection ended without a goodbye"
        assert last[0]["type"] == "bye", last
        return last[0]

    def wait_end(self) -> None:
        """Read until the server ends the connection, whatever it says before."""
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
    """A msg_id that no other of this test process has."""
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
