"""A file sealed with a passphrase, the outer format of a backup.

    header = magic | log2 N | r | p | salt | check           59 bytes
    chunk  = AES-256-GCM(key, nonce, up to 1 MiB of content, header)
    nonce  = 7 zero bytes | chunk number, 4 bytes | 1 for the last chunk, else 0

scrypt (RFC 7914) derives 64 bytes from passphrase and salt: the key of the chunks and the key of ``check``,
an HMAC-SHA256 over the rest of the header. ``check`` distinguishes a wrong passphrase from a damaged file,
and commits the file to one passphrase, which GCM alone does not. The nonces follow STREAM (Hoang,
Reyhanitabar, Rogaway, Vizar 2015): a chunk that is cut off, moved, repeated or from another file does not
open. Nonces may start at zero because every file has its own key.
"""

from __future__ import annotations

import hmac
import os
from struct import Struct
from typing import BinaryIO

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

from chatd.errors import ChatdError

MAGIC = b"CHATDBK1"
CHUNK_BYTES = 1024 * 1024
TAG_BYTES = 16
COST = 17  # log2 N: with r = 8, each guess takes 128 MiB and about 0.4 s
_R, _P = 8, 1
# Bounds on a foreign header: at most 256 MiB of memory, and seconds of work.
_COSTS, _MAX_P = range(10, 19), 4
_HEADER = Struct(">8sBBB16s")
_CHECK_BYTES = 32
HEADER_BYTES = _HEADER.size + _CHECK_BYTES
_NONCE = Struct(">7xIB")
_MAX_CHUNKS = 2**32
_SALT_BYTES = 16


def unusable(reason: str, fix: str = "") -> ChatdError:
    return ChatdError("E613", reason, fix)


class FileSealer:
    """Seals what is written; call `finish` at the end. Raises OSError from ``file``."""

    def __init__(self, file: BinaryIO, passphrase: bytes, *, cost: int = COST) -> None:
        head = _HEADER.pack(MAGIC, cost, _R, _P, os.urandom(_SALT_BYTES))
        self._aead, check = _keys(head, passphrase)
        self._file = file
        self._header = head + check
        self._number = 0
        self._pending = bytearray()
        file.write(self._header)

    def write(self, data: bytes) -> None:
        """Add content; keeps at most one chunk in memory."""
        self._pending += data
        # Keep a full chunk until more comes: it may be the last one.
        while len(self._pending) > CHUNK_BYTES:
            self._seal(CHUNK_BYTES, last=False)

    def finish(self) -> None:
        """Seal the pending content as the last chunk."""
        self._seal(len(self._pending), last=True)

    def _seal(self, size: int, *, last: bool) -> None:
        piece = bytes(self._pending[:size])
        del self._pending[:size]
        self._file.write(self._aead.encrypt(_nonce(self._number, last), piece, self._header))
        self._number += 1


class FileOpener:
    """Returns the sealed content in order, and only authentic bytes.

    ``size`` is the length of ``file``. Raises E613 for another kind of file, a wrong passphrase, and anything
    altered, moved or missing; OSError from ``file``.
    """

    def __init__(self, file: BinaryIO, size: int, passphrase: bytes) -> None:
        self._file = file
        self._header = file.read(HEADER_BYTES)
        self._aead = self._unlock(passphrase)
        sealed = size - HEADER_BYTES
        self._chunks = max(1, -(-sealed // (CHUNK_BYTES + TAG_BYTES)))
        if self._chunks > _MAX_CHUNKS:
            raise unusable("the file is too large for a backup")
        # Bytes of content not read yet, if the file is complete.
        self.left = sealed - self._chunks * TAG_BYTES
        self._number = 0
        self._content = memoryview(b"")

    def _unlock(self, passphrase: bytes) -> AESGCM:
        if len(self._header) < HEADER_BYTES or not self._header.startswith(MAGIC):
            raise unusable("this is not a backup made by chatd", "choose another file")
        head, check = self._header[: _HEADER.size], self._header[_HEADER.size :]
        _magic, cost, r, p, _salt = _HEADER.unpack(head)
        if cost not in _COSTS or r != _R or not 1 <= p <= _MAX_P:
            raise unusable("the header of the backup is damaged")
        aead, computed = _keys(head, passphrase)
        if not hmac.compare_digest(check, computed):
            raise unusable("the passphrase is wrong, or the header of the backup is damaged", "try again")
        return aead

    def read(self, size: int) -> bytes:
        """Read exactly ``size`` bytes, at most one chunk."""
        if size > self.left:
            raise unusable("the backup is incomplete: its end is missing")
        self.left -= size
        parts = []
        while size:
            if not self._content:
                self._content = memoryview(self._next())
            part = self._content[:size]
            self._content = self._content[len(part) :]
            size -= len(part)
            parts.append(part)
        return b"".join(parts)

    def _next(self) -> bytes:
        last = self._number == self._chunks - 1
        sealed = self._file.read(CHUNK_BYTES + TAG_BYTES)
        try:
            content = self._aead.decrypt(_nonce(self._number, last), sealed, self._header)
        except (InvalidTag, ValueError):
            raise unusable(f"the backup is damaged or cut short, in part {self._number + 1}") from None
        self._number += 1
        return content


def _keys(head: bytes, passphrase: bytes) -> tuple[AESGCM, bytes]:
    """Derive the cipher of a file and the check of its header."""
    _magic, cost, r, p, salt = _HEADER.unpack(head)
    keys = Scrypt(salt=salt, length=64, n=1 << cost, r=r, p=p).derive(passphrase)
    return AESGCM(keys[:32]), hmac.digest(keys[32:], head, "sha256")


def _nonce(number: int, last: bool) -> bytes:
    return _NONCE.pack(number, last)
