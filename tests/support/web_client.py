"""A browser's side of a WebSocket session, whose caller controls every step and every byte.

It frames by itself, from RFC 6455, so that the server's parser meets another reading of it.
"""

from __future__ import annotations

import base64
import json
import os
from types import SimpleNamespace
from typing import Any, Self

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from tests.support.rawclient import Json, RawClient, unverified_context

CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10


def ws_frame(
    opcode: int,
    payload: bytes,
    *,
    fin: bool = True,
    rsv: int = 0,
    masked: bool = True,
    size: int | None = None,
) -> bytes:
    """Compose one frame of a client; ``size`` is what the header says of the payload."""
    length = len(payload) if size is None else size
    mask_bit = 0x80 if masked else 0
    head = bytes([(0x80 if fin else 0) | rsv << 4 | opcode])
    if length < 126:
        head += bytes([mask_bit | length])
    elif length < 0x10000:
        head += bytes([mask_bit | 126]) + length.to_bytes(2, "big")
    else:
        head += bytes([mask_bit | 127]) + length.to_bytes(8, "big")
    if not masked:
        return head + payload
    mask = os.urandom(4)
    return head + mask + bytes(byte ^ mask[at % 4] for at, byte in enumerate(payload))


class Frames:
    """Takes a server's frames apart; they must not be masked."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> list[tuple[int, bytes]]:
        """Return opcode and payload of the frames that ``data`` completes."""
        self._buffer += data
        frames = []
        while (end := self._end()) is not None:
            start, stop = end
            assert self._buffer[0] & 0xF0 == 0x80, "a server's frame is whole and has no extension"
            frames.append((self._buffer[0] & 0x0F, bytes(self._buffer[start:stop])))
            del self._buffer[:stop]
        return frames

    def _end(self) -> tuple[int, int] | None:
        buffer = self._buffer
        if len(buffer) < 2:
            return None
        assert not buffer[1] & 0x80, "a server does not mask"
        size, start = buffer[1], 2
        if size >= 126:
            start += 2 if size == 126 else 8
            if len(buffer) < start:
                return None
            size = int.from_bytes(buffer[2:start], "big")
        return (start, start + size) if len(buffer) >= start + size else None


class _Opener:
    """The records of a session: binary messages. Notes pongs and the code of the closing frame."""

    def __init__(self) -> None:
        self.closed = False
        self.code = 0
        self.pongs: list[bytes] = []
        self._frames = Frames()

    def feed(self, data: bytes) -> list[bytes]:
        payloads = []
        for opcode, payload in self._frames.feed(data):
            if opcode == PONG:
                self.pongs.append(payload)
            elif opcode == CLOSE:
                self.closed, self.code = True, int.from_bytes(payload[:2], "big")
            else:
                assert opcode == BINARY, opcode
                payloads.append(payload)
        return payloads


class WebClient(RawClient):
    """One connection to a gateway. `tls`, `upgrade`, `log_in` in this order, or `logged_in` for all."""

    def tls_of(self, *, certificate: bool) -> Self:
        """Do the TLS handshake, with the identity's certificate or without."""
        return self.tls(unverified_context(self.identity if certificate else None, "http/1.1"))

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self.sock.getpeername()[1]}"

    def request(
        self, path: str = "/session", subprotocol: str | None = "chatd.1", **headers: str | None
    ) -> bytes:
        """Return the bytes of an upgrade; names of ``headers`` have _ for -, and None omits one."""
        fields: dict[str, str | None] = {
            "host": self.host,
            "origin": f"https://{self.host}",
            "upgrade": "websocket",
            "connection": "Upgrade",
            "sec_websocket_version": "13",
            "sec_websocket_key": base64.b64encode(os.urandom(16)).decode(),
            "sec_websocket_protocol": subprotocol,
        }
        fields |= headers
        lines = [f"{name.replace('_', '-')}: {text}\r\n" for name, text in fields.items() if text is not None]
        return f"GET {path} HTTP/1.1\r\n{''.join(lines)}\r\n".encode()

    def upgrade(self, request: bytes = b"", after: bytes = b"") -> int:
        """Ask for the WebSocket; return the status of the answer. ``after`` follows in the same bytes."""
        self.send_plain((request or self.request()) + after)
        while b"\r\n\r\n" not in self._plain:
            self._read_plain()
        head, _, rest = bytes(self._plain).partition(b"\r\n\r\n")
        self._plain = bytearray(rest)
        self.head = head.decode()
        self._before_login = Frames()
        self._first: list[tuple[int, bytes]] = []
        return int(self.head.split()[1])

    def next_frame(self) -> tuple[int, bytes]:
        """Return the next frame before the login."""
        while not self._first:
            if not self._plain:
                self._read_plain()
            self._first += self._before_login.feed(bytes(self._plain))
            self._plain.clear()
        return self._first.pop(0)

    def next_text(self) -> Json:
        opcode, payload = self.next_frame()
        assert opcode == TEXT, (opcode, payload)
        message: Json = json.loads(payload)
        return message

    def login_message(self, challenge: Json, *, origin: str = "", **changed: Any) -> bytes:
        """Sign a challenge; ``changed`` fields replace those that are signed, or those of the message."""
        assert self.identity is not None
        pem = self.identity.read_bytes()
        key = load_pem_private_key(pem, None)
        assert isinstance(key, ec.EllipticCurvePrivateKey)
        nonce, instance = (
            changed.pop("nonce", challenge["nonce"]),
            changed.pop("instance", challenge["instance"]),
        )
        signed = f"chatd browser login v1\n{nonce}\n{origin or f'https://{self.host}'}\n{instance}"
        r, s = decode_dss_signature(key.sign(signed.encode(), ec.ECDSA(hashes.SHA256())))
        certificate = pem[pem.index(b"-----BEGIN CERTIFICATE") :].decode()
        signature = base64.urlsafe_b64encode(r.to_bytes(32, "big") + s.to_bytes(32, "big")).rstrip(b"=")
        message = {"type": "login", "certificate": certificate, "signature": signature.decode()} | changed
        return ws_frame(TEXT, json.dumps(message).encode())

    def open_session(self) -> None:
        """Read and write the session's records from now on."""
        self.opener = _Opener()
        sealer = SimpleNamespace(
            seal=lambda payload: ws_frame(BINARY, payload),
            close=lambda: ws_frame(CLOSE, (1000).to_bytes(2, "big")),
        )
        self._keys = SimpleNamespace(sealer=sealer, opener=self.opener)  # type: ignore[assignment]

    def challenged(self, *, certificate: bool = False) -> Json:
        """Connect up to the challenge, and return it."""
        status = self.tls_of(certificate=certificate).upgrade()
        assert status == 101, self.head
        return self.next_text()

    def logged_in(self) -> Self:
        """Do the whole login up to the welcome."""
        self.send_plain(self.login_message(self.challenged()))
        self.open_session()
        first = self.receive()
        assert first["type"] == "welcome", first
        return self

    def refused(self) -> Json:
        """Return the refusal of a login, and check that the connection ends with it."""
        bye = self.next_text()
        assert bye["type"] == "bye", bye
        opcode, payload = self.next_frame()
        assert (opcode, int.from_bytes(payload, "big")) == (CLOSE, 1008)
        return bye
