"""TLS key updates in any number, which Python's ssl module cannot send.

Takes a connection's secret from the key log and makes the records by hand (RFC 8446, 4.6.3, 5.2 and 7).
"""

from __future__ import annotations

import re
from pathlib import Path

from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA384
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand

from tests.support.rawclient import RawClient

_SUITE = "TLS_AES_256_GCM_SHA384"
# A handshake message (24) of one byte, update_requested, and its content type in the record.
_KEY_UPDATE = bytes((24, 0, 0, 1, 1)) + bytes((22,))


class KeyUpdates:
    """Makes records that update a client's key and ask the server to answer with the same.

    ``key_log`` is the file that the client's context has named as ``keylog_filename``. The client can
    receive after this, but not send.
    """

    def __init__(self, client: RawClient, key_log: Path) -> None:
        assert client.cipher == _SUITE
        found = re.findall(r"CLIENT_TRAFFIC_SECRET_0 \w+ (\w+)", key_log.read_text())
        self._secret = bytes.fromhex(found[-1])
        self._sequence = client.tls_records

    def make(self, count: int) -> bytes:
        """Return ``count`` records."""
        return b"".join(self._record() for _ in range(count))

    def _record(self) -> bytes:
        key, iv = self._expand(b"key", 32), self._expand(b"iv", 12)
        nonce = (int.from_bytes(iv, "big") ^ self._sequence).to_bytes(12, "big")
        header = b"\x17\x03\x03" + (len(_KEY_UPDATE) + 16).to_bytes(2, "big")
        record = header + AESGCM(key).encrypt(nonce, _KEY_UPDATE, header)
        self._secret, self._sequence = self._expand(b"traffic upd", 48), 0
        return record

    def _expand(self, label: bytes, length: int) -> bytes:
        label = b"tls13 " + label
        info = length.to_bytes(2, "big") + bytes((len(label),)) + label + b"\0"
        return HKDFExpand(SHA384(), length, info).derive(self._secret)
