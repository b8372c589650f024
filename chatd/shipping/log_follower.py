"""Follow a log file through its rotations, from a position that outlives the process.

The rotated files are the spool: what they still hold is sent, whatever happened meanwhile, and they are
bounded already (`logging.max_bytes`, `logging.backups`).
"""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path

from chatd.proto.frames import JsonObject

# More than the longest line (chatd.logs.logger.FILE_LINE).
READ_BYTES = 256 * 1024
# So many of a file's first bytes tell it from a later one that has its inode.
_HEAD_BYTES = 128


@dataclass(frozen=True)
class LogPosition:
    """A place between two lines: which file, by its inode and its first bytes, and the offset there."""

    inode: int
    head: str
    offset: int

    def to_json(self) -> JsonObject:
        return {"inode": self.inode, "head": self.head, "offset": self.offset}

    @classmethod
    def from_json(cls, plain: JsonObject) -> LogPosition:
        """Raises KeyError, TypeError and ValueError for anything else than `to_json` returned."""
        return cls(int(plain["inode"]), str(plain["head"]), int(plain["offset"]))


class LogFollower:
    """Reads whole lines of ``path`` and of its rotated files, oldest first, after ``position``.

    Without a position it begins with the oldest. ``skipped`` counts how often it had to go on
    elsewhere, because the file it was in is gone or was cut: lines in between may be missing.
    """

    def __init__(self, path: Path, position: LogPosition | None = None) -> None:
        self.path = path
        self.skipped = 0
        self._wanted = position
        self._fd = -1
        self._offset = 0

    @property
    def position(self) -> LogPosition | None:
        """The place behind the last line that was read; None before the first file was opened."""
        if self._fd < 0:
            return self._wanted
        return LogPosition(os.fstat(self._fd).st_ino, _head_of(self._fd, self._offset), self._offset)

    def read(self) -> list[bytes]:
        """Return the next lines without their ends; empty if there are none yet. Raises OSError."""
        if self._fd < 0 and not self._open_first():
            return []
        # Before the read: what is written between the two is found by the next read.
        rotated = not self._is_current()
        data = os.pread(self._fd, READ_BYTES, self._offset)
        end = data.rfind(b"\n") + 1
        if end:
            self._offset += end
            return data[: end - 1].split(b"\n")
        if os.fstat(self._fd).st_size < self._offset:
            self._offset, self.skipped = 0, self.skipped + 1
        elif rotated:
            self._open_next()
        return []

    def close(self) -> None:
        """Close the file; `read` opens it again."""
        if self._fd >= 0:
            self._wanted = self.position
            os.close(self._fd)
            self._fd = -1

    def _is_current(self) -> bool:
        try:
            return self.path.stat().st_ino == os.fstat(self._fd).st_ino
        except FileNotFoundError:
            return True  # between two names, or deleted: the next one shows which

    def _open_first(self) -> bool:
        """Open the file of the wanted position, or the oldest there is if that one is gone."""
        files = self._files()
        if not files:
            return False
        if self._wanted is None:
            return self._open(*files[0], 0)
        for inode, path in files:
            known = inode == self._wanted.inode and self._open(inode, path, self._wanted.offset)
            if known and self._is_at(self._wanted):
                return True
        self.skipped += 1
        return self._open(*files[0], 0)

    def _open_next(self) -> None:
        """Open the file after the one that was read to its end."""
        mine, files = os.fstat(self._fd).st_ino, self._files()
        inodes = [inode for inode, _ in files]
        if mine not in inodes:
            if files and self._open(*files[0], 0):
                self.skipped += 1
        elif (following := inodes.index(mine) + 1) < len(files):
            self._open(*files[following], 0)

    def _open(self, inode: int, path: Path, offset: int) -> bool:
        """Open a file in place of the present one, unless the name belongs to another by now."""
        try:
            fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return False
        if os.fstat(fd).st_ino != inode:
            os.close(fd)
            return False
        if self._fd >= 0:
            os.close(self._fd)
        self._fd, self._offset = fd, offset
        return True

    def _is_at(self, wanted: LogPosition) -> bool:
        """Whether the open file holds what was read before a position."""
        size = os.fstat(self._fd).st_size
        return size >= wanted.offset and _head_of(self._fd, wanted.offset) == wanted.head

    def _files(self) -> list[tuple[int, Path]]:
        """Return inode and path of the file and its rotated ones, oldest first.

        It looks from the newest on, the way that a rotation moves them: each is seen at least once.
        """
        numbers = (path.name.removeprefix(f"{self.path.name}.") for path in self.path.parent.iterdir())
        rotated = sorted(int(number) for number in numbers if number.isdecimal())
        found: dict[int, Path] = {}
        for path in (self.path, *(Path(f"{self.path}.{number}") for number in rotated)):
            try:
                found[path.stat().st_ino] = path
            except FileNotFoundError:
                continue
        return list(reversed(found.items()))


def _head_of(fd: int, offset: int) -> str:
    """Return the hash of a file's first bytes, but of none behind ``offset``."""
    return hashlib.sha256(os.pread(fd, min(offset, _HEAD_BYTES), 0)).hexdigest()
