"""A note of the cursor for each event taken: it survives the process, but perhaps not a power cut.

The database keeps the cursor durably, which costs several waits for the disk; a note costs some microseconds.
"""

from __future__ import annotations

import os
from hashlib import sha256
from pathlib import Path
from struct import Struct

_RECORD = Struct(">Q32s")  # seq, digest of the log's lineage
_CHECK_BYTES = 24


class CursorNote:
    """One record in a file. Not thread-safe. Raises OSError."""

    def __init__(self, path: Path) -> None:
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
        self._fd = os.open(path, flags, 0o600)

    def read(self, lineage: str) -> int | None:
        """Return the seq that was noted for this log; None without one, and for a damaged record."""
        stored = os.pread(self._fd, _RECORD.size + _CHECK_BYTES, 0)
        if len(stored) != _RECORD.size + _CHECK_BYTES:
            return None
        seq, digest = _RECORD.unpack(stored[: _RECORD.size])
        return int(seq) if stored == _pack(seq, digest) and digest == _digest(lineage) else None

    def write(self, seq: int, lineage: str) -> None:
        """Note ``seq``. One write of less than a page, so that a killed process leaves a whole record."""
        os.pwrite(self._fd, _pack(seq, _digest(lineage)), 0)

    def close(self) -> None:
        os.close(self._fd)


def _digest(lineage: str) -> bytes:
    return sha256(lineage.encode()).digest()


def _pack(seq: int, digest: bytes) -> bytes:
    record = _RECORD.pack(seq, digest)
    return record + sha256(record).digest()[:_CHECK_BYTES]
