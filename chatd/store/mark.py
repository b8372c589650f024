"""The mark: a file outside the database that records how far the log has reached.

SQLite cannot tell a WAL that lost its tail, or an old copy put in place, from a healthy database. The mark is
written after each commit and before any acknowledgement, so a database that does not reach it has lost
acknowledged entries.

The same file keeps a digest of the newest snapshot. The chain does not cover a snapshot, so one that differs
from its digest must not be used.
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
_SNAPSHOT_MAGIC = b"CHS1"  # the same slot, with the snapshot's digest in place of the chain hash
_SLOT = Struct(">4sQQ32s")  # magic, epoch, seq, chain hash; 12 bytes of SHA-256 fill it up to 64
_SLOT_BYTES = 64
# Every slot is in a disk block of its own, so a write torn by a power cut damages only its own slot. The size
# never changes, so fdatasync writes no metadata.
_OFFSETS = (0, 4096)
_SNAPSHOT_OFFSETS = (8192, 12288)
_FILE_BYTES = 16384


class Mark(NamedTuple):
    """The last epoch that wrote, and the point of its last commit."""

    epoch: int
    point: Point


def _pack(magic: bytes, mark: Mark) -> bytes:
    head = _SLOT.pack(magic, mark.epoch, mark.point.seq, mark.point.chain_hash)
    return head + sha256(head).digest()[: _SLOT_BYTES - _SLOT.size]


def _unpack(magic: bytes, slot: bytes) -> Mark | None:
    if len(slot) != _SLOT_BYTES:
        return None
    _, epoch, seq, chain_hash = _SLOT.unpack(slot[: _SLOT.size])
    mark = Mark(epoch, Point(seq, chain_hash))
    return mark if slot == _pack(magic, mark) else None


def read_mark(data: Path) -> Mark | None:
    """Read the newest valid mark in ``data``; None without one. Raises OSError."""
    return _newest(_read_slots(data, _MAGIC, _OFFSETS))[0]


def read_snapshot_digests(data: Path) -> set[tuple[int, bytes]]:
    """Read (seq, digest) of the snapshots last written in ``data``, at most two. Raises OSError."""
    slots = _read_slots(data, _SNAPSHOT_MAGIC, _SNAPSHOT_OFFSETS)
    return {(slot.point.seq, slot.point.chain_hash) for slot in slots if slot is not None}


def _read_slots(data: Path, magic: bytes, offsets: tuple[int, int]) -> list[Mark | None]:
    try:
        with (data / MARK_NAME).open("rb") as file:
            raw = file.read(_FILE_BYTES)
    except FileNotFoundError:
        raw = b""
    return [_unpack(magic, raw[offset : offset + _SLOT_BYTES]) for offset in offsets]


def _newest(slots: list[Mark | None]) -> tuple[Mark | None, int]:
    """Return the newest valid slot, and the index of the slot to overwrite next."""
    best = max((m for m in slots if m is not None), key=lambda m: (m.epoch, m.point.seq), default=None)
    return best, 1 - slots.index(best) if best is not None else 0


class MarkFile:
    """The mark, open for writing. Methods raise OSError; do not use the object after one."""

    def __init__(self, data: Path) -> None:
        self._slot = _newest(_read_slots(data, _MAGIC, _OFFSETS))[1]
        self._snapshot_slot = _newest(_read_slots(data, _SNAPSHOT_MAGIC, _SNAPSHOT_OFFSETS))[1]
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
        write_synced(self._fd, _pack(_MAGIC, mark), _OFFSETS[self._slot])
        self._slot = 1 - self._slot

    def write_snapshot_digest(self, epoch: int, seq: int, digest: bytes) -> None:
        """Record the digest (32 bytes) of a snapshot about to be committed; durable when this returns.

        The previous digest stays, because the commit may fail.
        """
        packed = _pack(_SNAPSHOT_MAGIC, Mark(epoch, Point(seq, digest)))
        write_synced(self._fd, packed, _SNAPSHOT_OFFSETS[self._snapshot_slot])
        self._snapshot_slot = 1 - self._snapshot_slot

    def close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
