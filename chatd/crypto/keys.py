"""The envelope's key schedule: HKDF-SHA256 (RFC 5869) over the handshake's transcript."""

from __future__ import annotations

import hashlib
import hmac

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand

KEY_BYTES = 32
IV_BYTES = 12


def lp(*items: bytes) -> bytes:
    """Each item as u32 big-endian length and bytes: no two lists of items give the same bytes."""
    return b"".join(len(item).to_bytes(4, "big") + item for item in items)


def digest(data: bytes) -> bytes:
    """SHA-256."""
    return hashlib.sha256(data).digest()


def extract(salt: bytes, secret: bytes) -> bytes:
    """HKDF-Extract."""
    return hmac.digest(salt, secret, "sha256")


def expand(key: bytes, info: bytes, length: int = KEY_BYTES) -> bytes:
    """HKDF-Expand."""
    return HKDFExpand(SHA256(), length, info).derive(key)


def channel_binding(tls_value: bytes, server_leaf: bytes, client_leaf: bytes) -> bytes:
    """What ties the envelope to this TLS connection and these two certificates."""
    return digest(lp(b"chatd/cb/1", tls_value, digest(server_leaf), digest(client_leaf)))


def traffic_secret(prk: bytes, label: bytes, transcript: bytes) -> bytes:
    """K(label) of docs/protocol.md; label is one of c2s, s2c, fin c, fin s."""
    return expand(prk, b"chatd/env/1 " + label + b"\x00" + transcript)


def record_key(secret: bytes) -> tuple[bytes, bytes]:
    """AES-256 key and 12-byte iv of one epoch of one direction."""
    return expand(secret, b"key", KEY_BYTES), expand(secret, b"iv", IV_BYTES)


def next_secret(secret: bytes) -> bytes:
    """The traffic secret after a rekey; the old one cannot be computed from it."""
    return expand(secret, b"upd", KEY_BYTES)
