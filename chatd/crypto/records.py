"""Records: AES-256-GCM (RFC 5116) with a sequence number that must be the expected one.

    header  length u32 (of the ciphertext with its tag) | type u8 | epoch u16 | seq u64
    nonce   iv XOR seq              AAD  header | direction | session_id

seq starts at 0 with each key; a rekey record is the last one under the old key.
"""

from __future__ import annotations

import os
import struct
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from chatd.crypto.keys import next_secret, record_key
from chatd.errors import ChatdError

HEADER: Final = struct.Struct(">IBHQ")
TAG_BYTES: Final = 16
MAX_PAYLOAD: Final = 64 * 1024
MAX_LENGTH: Final = MAX_PAYLOAD + TAG_BYTES
# Well under the 2^32 records of NIST SP 800-38D; frequent enough that rekeying is exercised.
REKEY_RECORDS: Final = 2**20
REKEY_BYTES: Final = 2**30
LAST_EPOCH: Final = 2**16 - 1

DATA: Final = 1
REKEY: Final = 2
CLOSE: Final = 3

CLIENT_TO_SERVER: Final = b"c"
SERVER_TO_CLIENT: Final = b"s"

_forks = 0


def _forked() -> None:
    global _forks
    _forks += 1


# Two processes with one key would use one nonce twice, which gives the plaintexts away. Counting
# forks costs nothing per record; os.getpid() is a system call.
os.register_at_fork(after_in_child=_forked)


class _Direction:
    """The key of one direction and the place in its sequence."""

    __slots__ = ("_forks", "_iv", "_secret", "_suffix", "aead", "epoch", "seq")

    def __init__(self, secret: bytes, direction: bytes, session_id: bytes) -> None:
        self._forks = _forks
        self._suffix = direction + session_id
        self.epoch = 0
        self._use(secret)

    def __repr__(self) -> str:
        return f"<key of epoch {self.epoch}, record {self.seq}>"

    def _use(self, secret: bytes) -> None:
        self._secret = secret
        key, iv = record_key(secret)
        self.aead = AESGCM(key)
        self._iv = int.from_bytes(iv, "big")
        self.seq = 0

    def advance(self) -> None:
        """Go on with the next key."""
        if self.epoch >= LAST_EPOCH:
            raise ChatdError("E104", "the connection has used up its keys")
        self.epoch += 1
        self._use(next_secret(self._secret))

    def nonce(self) -> bytes:
        """The nonce of the record at hand. Refuses in a forked copy."""
        if self._forks != _forks:
            raise ChatdError("E104", "a key is not used after a fork")
        return (self._iv ^ self.seq).to_bytes(12, "big")

    def associated(self, header: bytes) -> bytes:
        """What is authenticated beside the plaintext."""
        return header + self._suffix


class Sealer:
    """Seals one direction's records. Belongs to one writer."""

    def __init__(
        self,
        secret: bytes,
        direction: bytes,
        session_id: bytes,
        *,
        rekey_records: int = REKEY_RECORDS,
        rekey_bytes: int = REKEY_BYTES,
    ) -> None:
        self._key = _Direction(secret, direction, session_id)
        self._rekey_records = rekey_records
        self._rekey_bytes = rekey_bytes
        self._bytes = 0
        self._closed = False

    def __repr__(self) -> str:
        return f"<Sealer {self._key!r}>"

    def seal(self, payload: bytes) -> bytes:
        """One data record, with a rekey record before it when it is time.

        Raises ValueError for a payload over MAX_PAYLOAD or after `close`: mistakes of the caller.
        """
        size = len(payload)
        if size > MAX_PAYLOAD or self._closed:
            raise ValueError(f"cannot seal {size} bytes (closed: {self._closed})")
        prefix = b""
        if self._key.seq >= self._rekey_records or self._bytes >= self._rekey_bytes:
            prefix = self._record(REKEY, b"")
            self._key.advance()
            self._bytes = 0
        self._bytes += size
        record = self._record(DATA, payload)
        return prefix + record if prefix else record

    def close(self) -> bytes:
        """The record after which nothing more comes; empty the second time."""
        if self._closed:
            return b""
        self._closed = True
        return self._record(CLOSE, b"")

    def _record(self, kind: int, payload: bytes) -> bytes:
        key = self._key
        header = HEADER.pack(len(payload) + TAG_BYTES, kind, key.epoch, key.seq)
        sealed = key.aead.encrypt(key.nonce(), payload, key.associated(header))
        key.seq += 1
        return header + sealed


class Opener:
    """Opens the peer's records. ``closed`` is set by its authenticated close.

    After any failure the connection is over: every further call fails too.
    """

    def __init__(self, secret: bytes, direction: bytes, session_id: bytes) -> None:
        self._key = _Direction(secret, direction, session_id)
        self._buffer = bytearray()
        self._broken = False
        self.closed = False

    def __repr__(self) -> str:
        return f"<Opener {self._key!r}>"

    def feed(self, data: bytes) -> list[bytes]:
        """The payloads of the data records that ``data`` completes.

        Raises E101 for a length over the limit (before anything is kept for it), E104 for anything
        that is not the peer's next record.
        """
        if self._broken:
            raise ChatdError("E104", "the connection has failed before")
        try:
            return self._open_all(data)
        except ChatdError:
            self._broken = True
            self._buffer.clear()
            raise

    def _open_all(self, data: bytes) -> list[bytes]:
        buffer = self._buffer
        buffer += data
        payloads: list[bytes] = []
        position = 0
        while len(buffer) - position >= HEADER.size:
            length, kind, epoch, seq = HEADER.unpack_from(buffer, position)
            if not TAG_BYTES <= length <= MAX_LENGTH:
                raise ChatdError("E101" if length > MAX_LENGTH else "E104", f"a record of {length} bytes")
            start = position + HEADER.size
            end = start + length
            if end > len(buffer):
                break
            header = bytes(buffer[position:start])
            payload = self._open(header, kind, epoch, seq, bytes(buffer[start:end]))
            if kind == DATA:
                payloads.append(payload)
            position = end
        del buffer[:position]
        if self.closed and buffer:
            raise ChatdError("E104", "data after the closing record")
        return payloads

    def _open(self, header: bytes, kind: int, epoch: int, seq: int, sealed: bytes) -> bytes:
        key = self._key
        if self.closed or kind not in (DATA, REKEY, CLOSE) or epoch != key.epoch or seq != key.seq:
            raise ChatdError("E104", "a record is not the one expected")
        try:
            payload = key.aead.decrypt(key.nonce(), sealed, key.associated(header))
        except InvalidTag:
            raise ChatdError("E104", "a record does not verify") from None
        key.seq += 1
        if kind != DATA and payload:
            raise ChatdError("E104", "a control record carries data")
        if kind == REKEY:
            key.advance()
        elif kind == CLOSE:
            self.closed = True
        return payload
