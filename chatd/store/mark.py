"""The mark: a file outside the database that records how far the log has reached.

SQLite cannot tell a WAL that lost its tail, or an old copy put in place, from a healthy database. The mark is
written after each commit and before any acknowledgement, so a database that does not reach it has lost
acknowledged entries.
"""

from __future__ import annotations

import os
from hashlib import sha256
from pathlib import Path
from struct import Struct
from typing import NamedTuple

from chatd.durable_files import sync_folder
from chatd.store.disk import write_synced
from chatd.store.entry import Point

MARK_NAME = "mark"
_MAGIC = b"CHM1"
_SLOT = Struct(">4sQQ32s")  # magic, epoch, seq, chain hash; 12 bytes of SHA-256 fill it up to 64
_SLOT_BYTES = 64
# The two slots are in different disk blocks, so a write torn by a power cut damages only its own slot. The
# size never changes, so fdatasync writes no metadata.
_OFFSETS = (0, 4096)
_FILE_BYTES = 8192


class Mark(NamedTuple):
    """The last epoch that wrote, and the point of its last commit."""

    epoch: int
    point: Point


def _pack(mark: Mark) -> bytes:
    head = _SLOT.pack(_MAGIC, mark.epoch, mark.point.seq, mark.point.chain_hash)
    return head + sha256(head).digest()[: _SLOT_BYTES - _SLOT.size]


def _unpack(slot: bytes) -> Mark | None:
    if len(slot) != _SLOT_BYTES:
        return None
    magic, epoch, seq, chain_hash = _SLOT.unpack(slot[: _SLOT.size])
    mark = Mark(epoch, Point(seq, chain_hash))
    return mark if magic == _MAGIC and slot == _pack(mark) else None


def read_mark(data: Path) -> Mark | None:
    """Read the newest valid mark in ``data``; None without one. Raises OSError."""
    return _newest(data)[0]


def _newest(data: Path) -> tuple[Mark | None, int]:
    """Return the newest valid mark, and the index of the slot to overwrite next."""
    try:
        raw = (data / MARK_NAME).read_bytes()[:_FILE_BYTES]
    except FileNotFoundError:
        return None, 0
    marks = [_unpack(raw[offset : offset + _SLOT_BYTES]) for offset in _OFFSETS]
    best = max((m for m in marks if m is not None), key=lambda m: (m.epoch, m.point.seq), default=None)
    return best, 1 - marks.index(best) if best is not None else 0


class MarkFile:
    """The mark, open for writing. Methods raise OSError; do not use the object after one."""

    def __init__(self, data: Path) -> None:
        self._slot = _newest(data)[1]
        path = data / MARK_NAME
        self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            if os.fstat(self._fd).st_size < _FILE_BYTES:
                # Allocate blocks now, so that a full disk fails here and not after a commit.
                os.posix_fallocate(self._fd, 0, _FILE_BYTES)
                os.fsync(self._fd)
                sync_folder(data)
        except OSError:
            self.close()
            raise

    def write(self, mark: Mark) -> None:
        """Overwrite the older slot; durable when this returns."""
        write_synced(self._fd, _pack(mark), _OFFSETS[self._slot])
        self._slot = 1 - self._slot

    def close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
