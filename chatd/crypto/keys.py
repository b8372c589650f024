"""The envelope's key schedule: HKDF-SHA256 (RFC 5869) from the agreed secrets down to record keys."""

from __future__ import annotations

import hashlib
import hmac
from typing import NamedTuple

from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF, HKDFExpand

SECRET_SIZE = 32
_IV_SIZE = 12
_PURPOSE = b"chatd/env/1 "


def lp(*items: bytes) -> bytes:
    """Join items, each after its length (u32, big-endian), so that no two lists give the same bytes."""
    return b"".join(len(item).to_bytes(4, "big") + item for item in items)


def digest(*items: bytes) -> bytes:
    """SHA-256 over `lp` of the items: 32 bytes."""
    return hashlib.sha256(lp(*items)).digest()


def proof(key: bytes, transcript: bytes) -> bytes:
    """HMAC-SHA256 that proves possession of ``key``: 32 bytes."""
    return hmac.digest(key, transcript, "sha256")


def channel_digest(binding: bytes, server_leaf: bytes, client_leaf: bytes) -> bytes:
    """The digest that binds a handshake to one TLS connection and its two certificates."""
    server, client = (hashlib.sha256(leaf).digest() for leaf in (server_leaf, client_leaf))
    return digest(b"chatd/cb/1", binding, server, client)


def secret_label(transcript: bytes) -> bytes:
    """The OAEP label, which prevents decrypting the secret under another transcript."""
    return _PURPOSE + b"pms\0" + transcript


class Secrets:
    """The secrets expanded from one handshake's pseudorandom key."""

    def __init__(self, *, salt: bytes, premaster: bytes, shared: bytes, transcript: bytes) -> None:
        """``salt`` is the transcript before M3; ``transcript`` includes the ciphertext of M3."""
        self._key = HKDF.extract(SHA256(), salt, premaster + shared)
        self._transcript = transcript

    def expand(self, purpose: bytes) -> bytes:
        """Derive 32 bytes for ``purpose``: b"c2s", b"s2c", b"fin c" or b"fin s"."""
        return _expand(self._key, _PURPOSE + purpose + b"\0" + self._transcript, SECRET_SIZE)

    def client_proof(self) -> bytes:
        """The client's proof in M3, fin_C."""
        return proof(self.expand(b"fin c"), self._transcript)

    def server_proof(self) -> bytes:
        """The server's proof in M4, fin_S."""
        return proof(self.expand(b"fin s"), digest(self._transcript, self.client_proof()))


class RecordKey(NamedTuple):
    """The key material of one direction and epoch."""

    cipher: AESGCM
    iv: int

    def __repr__(self) -> str:
        return "RecordKey(...)"


def record_key(traffic_secret: bytes) -> RecordKey:
    """Derive key and iv from a traffic secret; the iv as an integer, to XOR with the sequence number."""
    iv = _expand(traffic_secret, b"iv", _IV_SIZE)
    return RecordKey(AESGCM(_expand(traffic_secret, b"key", SECRET_SIZE)), int.from_bytes(iv, "big"))


def next_secret(traffic_secret: bytes) -> bytes:
    """Derive the traffic secret of the next epoch. One-way: it does not open earlier records."""
    return _expand(traffic_secret, b"upd", SECRET_SIZE)


def _expand(key: bytes, info: bytes, size: int) -> bytes:
    return HKDFExpand(SHA256(), size, info).derive(key)
