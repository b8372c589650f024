"""Records: AES-256-GCM over each payload, ordered, per direction and connection.

    length u32 | type u8 | epoch u16 | seq u64 | ciphertext and tag (``length`` bytes)

All numbers are big-endian. Nonce = iv XOR seq (RFC 8446, 5.3); associated data = header, direction, session
id. A nonce must never repeat under a key.
"""

from __future__ import annotations

import os
import struct
from typing import NoReturn

from cryptography.exceptions import InvalidTag

from chatd.crypto.keys import next_secret, record_key
from chatd.errors import ChatdError

# Plaintext bytes of one data record.
MAX_PAYLOAD = 64 * 1024
HEADER = struct.Struct(">IBHQ")
TAG_SIZE = 16
NONCE_SIZE = 12

DATA, REKEY, CLOSE = 1, 2, 3

# Limits of one key, far below those of GCM (RFC 8446, 5.5: 2^24.5 full records). They count data records
# only; one rekey or close record may follow.
RECORDS_PER_KEY = 1 << 20
BYTES_PER_KEY = 1 << 30
LAST_EPOCH = 0xFFFF

CLIENT_TO_SERVER = b"c2s"
SERVER_TO_CLIENT = b"s2c"

_LENGTH_SIZE = 4
_forks = 0


def _forked() -> None:
    global _forks
    _forks += 1


# A counter: comparing it for each record is cheaper than os.getpid(), a system call.
os.register_at_fork(after_in_child=_forked)


class _Direction:
    """The state of one direction at one end."""

    __slots__ = ("_bytes_left", "_cipher", "_context", "_epoch", "_forks", "_iv", "_secret", "_seq", "closed")

    def __init__(self, secret: bytes, direction: bytes, session_id: bytes) -> None:
        self._context = direction + session_id
        self._epoch = 0
        self._forks = _forks
        self.closed = False
        self._use(secret)

    def _use(self, secret: bytes) -> None:
        self._secret = secret
        self._cipher, self._iv = record_key(secret)
        self._seq = 0
        self._bytes_left = BYTES_PER_KEY

    def _advance(self) -> None:
        self._use(next_secret(self._secret))
        self._epoch += 1

    def _refuse_fork(self) -> NoReturn:
        raise RuntimeError("record keys do not work in a forked process")

    def __reduce__(self) -> NoReturn:
        # A copy would seal two payloads under one nonce, which reveals the authentication key.
        raise TypeError("record keys cannot be copied")


class RecordSealer(_Direction):
    """Seals the payloads of one direction. Calls must not overlap; send records in the order of sealing."""

    __slots__ = ()

    def seal(self, payload: bytes | bytearray | memoryview) -> bytes:
        """Seal ``payload`` into a data record, preceded by a rekey record if one is due.

        ``payload`` has 1 to MAX_PAYLOAD bytes. Raises ChatdError E101 above that, E105 after `close`;
        ValueError for an empty payload; RuntimeError in a forked process.
        """
        size = len(payload)
        if not 0 < size <= MAX_PAYLOAD:
            _refuse_size(size)
        if self._seq >= RECORDS_PER_KEY or self._bytes_left < size:
            return self._rekey() + self._record(DATA, payload, size)
        return self._record(DATA, payload, size)

    def close(self) -> bytes:
        """Seal the authenticated end of this direction. Nothing can be sealed afterwards."""
        record = self._record(CLOSE, b"", 0)
        self.closed = True
        return record

    def _rekey(self) -> bytes:
        if self._epoch == LAST_EPOCH:
            raise ChatdError("E104", "this connection has used up its keys")
        record = self._record(REKEY, b"", 0)
        self._advance()
        return record

    def _record(self, kind: int, payload: bytes | bytearray | memoryview, size: int) -> bytes:
        if self._forks != _forks:
            self._refuse_fork()
        if self.closed:
            raise ChatdError("E105", "the sending direction is closed")
        seq = self._seq
        # Before sealing, so that a failure there uses up the number.
        self._seq = seq + 1
        self._bytes_left -= size
        header = HEADER.pack(size + TAG_SIZE, kind, self._epoch, seq)
        nonce = (self._iv ^ seq).to_bytes(NONCE_SIZE, "big")
        return header + self._cipher.encrypt(nonce, payload, header + self._context)


class RecordOpener(_Direction):
    """Opens the peer's records. ``closed`` is true after the peer's authenticated close.

    Buffers less than one record of maximum size. The first failure is final.
    """

    __slots__ = ("_buffer", "_failure", "_needed")

    parts = 0

    def __init__(self, secret: bytes, direction: bytes, session_id: bytes) -> None:
        super().__init__(secret, direction, session_id)
        self._buffer = bytearray()
        # Buffered bytes before the next attempt to open a record: feeding a record byte by byte must not take
        # quadratic time.
        self._needed = _LENGTH_SIZE
        self._failure: ChatdError | None = None

    def feed(self, data: bytes) -> list[bytes]:
        """Return the payloads of the data records that ``data`` completes, in order.

        Raises ChatdError E101 for a record over the limit, E104 for any other fault; RuntimeError in a forked
        process. A bad record also discards the payloads before it in ``data``.
        """
        if self._failure is not None:
            raise ChatdError(self._failure.code, self._failure.reason)
        try:
            return self._feed(data)
        except ChatdError as error:
            self._failure = error
            self._buffer.clear()
            raise

    def _feed(self, data: bytes) -> list[bytes]:
        if self._buffer:
            self._buffer += data
            if len(self._buffer) < self._needed:
                return []
            data = bytes(self._buffer)
            self._buffer.clear()
        payloads: list[bytes] = []
        view = memoryview(data)
        size, start = len(data), 0
        while size - start >= _LENGTH_SIZE:
            end = self._end(view, start)
            if size < end:
                break
            payload = self._open(view, start, end)
            if payload:
                payloads.append(payload)
            start = end
        if start < size:
            self._keep(view[start:])
        return payloads

    def _end(self, view: memoryview, start: int) -> int:
        """Return where the record at ``start`` ends. Checks its length before its bytes have arrived."""
        length = int.from_bytes(view[start : start + _LENGTH_SIZE], "big")
        if length > MAX_PAYLOAD + TAG_SIZE:
            raise ChatdError("E101", f"a record is over {MAX_PAYLOAD} bytes")
        if length < TAG_SIZE:
            raise ChatdError("E104", "a record is too short")
        return start + HEADER.size + length

    def _keep(self, partial: memoryview) -> None:
        if self.closed:
            raise ChatdError("E104", "data after the close record")
        self._needed = _LENGTH_SIZE
        if len(partial) >= _LENGTH_SIZE:
            self._needed = self._end(partial, 0)
        self._buffer += partial

    def _open(self, view: memoryview, start: int, end: int) -> bytes:
        """Open one record. Return its payload, empty for rekey and close records."""
        if self._forks != _forks:
            self._refuse_fork()
        if self.closed:
            raise ChatdError("E104", "a record after the close record")
        body = start + HEADER.size
        _, kind, epoch, seq = HEADER.unpack_from(view, start)
        if seq != self._seq or epoch != self._epoch:
            raise ChatdError("E104", "a record is out of order")
        nonce = (self._iv ^ seq).to_bytes(NONCE_SIZE, "big")
        try:
            payload = self._cipher.decrypt(nonce, view[body:end], bytes(view[start:body]) + self._context)
        except InvalidTag:
            raise ChatdError("E104", "a record is not authentic") from None
        self._seq = seq + 1
        if kind == DATA and payload:
            self._bytes_left -= len(payload)
            if seq >= RECORDS_PER_KEY or self._bytes_left < 0:
                raise ChatdError("E104", "a key was used beyond its limits")
            return payload
        self._control(kind, len(payload))
        return b""

    def _control(self, kind: int, size: int) -> None:
        if kind == CLOSE and not size:
            self.closed = True
        elif kind == REKEY and not size and self._seq > 1 and self._epoch < LAST_EPOCH:
            # Only after data under the current key: a peer must not force key derivations for free.
            self._advance()
        else:
            raise ChatdError("E104", "a record has an invalid type or size")


def _refuse_size(size: int) -> NoReturn:
    if not size:
        raise ValueError("a data record carries at least one byte")
    raise ChatdError("E101", f"a record carries at most {MAX_PAYLOAD} bytes")
