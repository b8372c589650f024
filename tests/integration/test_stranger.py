"""A client written from docs/protocol.md alone, without code of chatd.

A failure means that the document or the server is wrong.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import socket
import ssl
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.padding import MGF1, OAEP
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from tests.support.daemon import Daemon

_TIMEOUT_SECONDS = 30.0


def _u32(number: int) -> bytes:
    return number.to_bytes(4, "big")


def _hash(*items: bytes) -> bytes:
    return hashlib.sha256(b"".join(_u32(len(item)) + item for item in items)).digest()


def _mac(key: bytes, data: bytes) -> bytes:
    return hmac.new(key, data, hashlib.sha256).digest()


def _expand(key: bytes, info: bytes, size: int = 32) -> bytes:
    """HKDF-Expand for at most one block (RFC 5869, 2.3)."""
    return _mac(key, info + b"\x01")[:size]


class _Direction:
    def __init__(self, secret: bytes, name: bytes, session_id: bytes) -> None:
        self.context = name + session_id
        self.epoch = 0
        self.use(secret)

    def use(self, secret: bytes) -> None:
        self.secret = secret
        self.cipher = AESGCM(_expand(secret, b"key"))
        self.iv = int.from_bytes(_expand(secret, b"iv", 12), "big")
        self.seq = 0

    def _next(self, kind: int, length: int) -> tuple[bytes, bytes, bytes]:
        header = _u32(length) + bytes([kind]) + self.epoch.to_bytes(2, "big") + self.seq.to_bytes(8, "big")
        nonce = (self.iv ^ self.seq).to_bytes(12, "big")
        self.seq += 1
        return header, nonce, header + self.context

    def seal(self, kind: int, plain: bytes) -> bytes:
        header, nonce, data = self._next(kind, len(plain) + 16)
        return header + self.cipher.encrypt(nonce, plain, data)

    def open(self, kind: int, sealed: bytes) -> bytes:
        _, nonce, data = self._next(kind, len(sealed))
        return self.cipher.decrypt(nonce, sealed, data)

    def rekey(self) -> None:
        self.use(_expand(self.secret, b"upd"))
        self.epoch += 1


class Stranger:
    """A client that connects, shakes hands, and exchanges frames."""

    def __init__(self, identity: Path) -> None:
        header, begin, blocks = identity.read_text().partition("-----BEGIN PRIVATE KEY-----")
        host, _, port = next(
            line[8:] for line in header.splitlines() if line.startswith("server: ")
        ).rpartition(":")
        certificates = (begin + blocks).split("-----BEGIN CERTIFICATE-----")
        own, ca = ("-----BEGIN CERTIFICATE-----" + text for text in certificates[1:])
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.minimum_version = ssl.TLSVersion.TLSv1_3
        context.check_hostname = False
        context.load_cert_chain(identity)
        context.load_verify_locations(cadata=ca)
        context.set_alpn_protocols(["chatd/1"])
        raw = socket.create_connection((host, int(port)), _TIMEOUT_SECONDS)
        self.tls = context.wrap_socket(raw)
        assert self.tls.selected_alpn_protocol() == "chatd/1"
        self.frames: list[dict[str, Any]] = []
        self._handshake(x509.load_pem_x509_certificate(own.encode()).public_bytes(Encoding.DER))

    def _handshake(self, own: bytes) -> None:
        binding = self.tls.get_channel_binding("tls-unique") or b""
        leaves = [hashlib.sha256(leaf).digest() for leaf in (self.tls.getpeercert(True) or b"", own)]
        cb = _hash(b"chatd/cb/1", binding, *leaves)
        ephemeral = X25519PrivateKey.generate()
        m1 = (
            b"CHD1\x00\x01\x00\x01"
            + os.urandom(32)
            + ephemeral.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
        )
        m2 = self._exchange(m1)
        assert m2[:4] == b"\x00\x01\x00\x01"
        server_key, session_id, certificate = m2[36:68], m2[68:84], m2[88:]
        assert int.from_bytes(m2[84:88], "big") == 65536
        key = x509.load_der_x509_certificate(certificate).public_key()
        assert isinstance(key, RSAPublicKey)
        th2, pms = _hash(cb, m1, m2), os.urandom(32)
        label = b"chatd/env/1 pms\x00" + th2
        ct = key.encrypt(pms, OAEP(mgf=MGF1(SHA256()), algorithm=SHA256(), label=label))
        th3 = _hash(cb, m1, m2, ct)
        prk = _mac(th2, pms + ephemeral.exchange(X25519PublicKey.from_public_bytes(server_key)))
        secret = {
            name: _expand(prk, b"chatd/env/1 " + name + b"\x00" + th3)
            for name in (b"c2s", b"s2c", b"fin c", b"fin s")
        }
        fin_c = _mac(secret[b"fin c"], th3)
        assert self._exchange(ct + fin_c) == _mac(secret[b"fin s"], _hash(th3, fin_c))
        self.out = _Direction(secret[b"c2s"], b"c2s", session_id)
        self.incoming = _Direction(secret[b"s2c"], b"s2c", session_id)

    def _exchange(self, body: bytes) -> bytes:
        self.tls.sendall(_u32(len(body)) + body)
        return self._read(int.from_bytes(self._read(4), "big"))

    def _read(self, size: int) -> bytes:
        data = b""
        while len(data) < size:
            part = self.tls.recv(size - len(data))
            assert part, "the server closed the connection"
            data += part
        return data

    def ask(self, **request: Any) -> None:
        text = json.dumps(request).encode()
        self.tls.sendall(self.out.seal(1, _u32(len(text)) + text))

    def rekey(self) -> None:
        self.tls.sendall(self.out.seal(2, b""))
        self.out.rekey()

    def next(self) -> dict[str, Any]:
        """Return the next frame, or {} for the close record."""
        while not self.frames:
            header = self._read(15)
            plain = self.incoming.open(header[4], self._read(int.from_bytes(header[:4], "big")))
            if header[4] == 3:
                return {}
            while plain:
                end = 4 + int.from_bytes(plain[:4], "big")
                self.frames.append(json.loads(plain[4:end]))
                plain = plain[end:]
        return self.frames.pop(0)

    def until(self, kind: str) -> dict[str, Any]:
        """Return the next frame of a type; drop the frames before it."""
        while (frame := self.next()).get("type") != kind:
            assert frame, f"the server closed before {kind}"
        return frame


def test_a_client_written_from_the_document_can_talk_to_the_server(shared_daemon: Daemon) -> None:
    stranger = Stranger(shared_daemon.add_user("stranger"))
    with stranger.tls:
        welcome = stranger.next()
        assert (welcome["type"], welcome["user"], welcome["protocol"]) == ("welcome", "stranger", 1)
        stranger.ask(type="resume", id=1)
        assert stranger.next() == {
            "type": "ok",
            "id": 1,
            "result": {"events": [], "cursor": welcome["head"], "more": False},
        }
        msg_id = os.urandom(16).hex()
        for request_id in (2, 3):
            stranger.ask(type="send", id=request_id, msg_id=msg_id, to="#lobby", body="hello")
            stranger.rekey()
        message, first, second = (stranger.until(kind) for kind in ("message", "ok", "ok"))
        assert message["body"] == "hello"
        assert first["result"]["seq"] == second["result"]["seq"] == message["seq"]
        stranger.ask(type="ping", id=4)
        assert stranger.until("ok")["result"]["time"] > 0
        stranger.tls.sendall(b"\xff" * 32)
        assert stranger.until("bye")["code"] == "E100"
        assert stranger.next() == {}
