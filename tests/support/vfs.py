"""A disk that loses power or fails, underneath the real SQLite.

`Disk` observes every write, truncation and sync of the store: SQLite's through a VFS, those of
`chatd.store.disk` through its two system calls. For each file it keeps an image of the synced
data. After a power cut a file has that image plus any of the later writes, in any order.
"""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import apsw
import pytest

from chatd.store import disk as store_disk

_SECTOR = 512


class PowerCut(Exception):
    """Raised by the operation during which the power fails, and by every later one."""


class _Image:
    def __init__(self) -> None:
        self.synced = bytearray()
        self.pending: list[tuple[int, bytes | None]] = []  # (offset, data), or (new size, None)

    def after_cut(self, rng: random.Random) -> bytes:
        image = _Image()
        image.synced = bytearray(self.synced)
        for offset, data in self.pending:
            if rng.random() < 0.5:
                continue
            if data is not None and len(data) > _SECTOR and rng.random() < 0.2:  # torn write
                data = data[: rng.randrange(1, len(data) // _SECTOR + 1) * _SECTOR]
            image.pending.append((offset, data))
        image.sync()
        return bytes(image.synced)

    def sync(self) -> None:
        for offset, data in self.pending:
            if data is None:
                del self.synced[offset:]
                continue
            if len(self.synced) < offset + len(data):
                self.synced.extend(bytes(offset + len(data) - len(self.synced)))
            self.synced[offset : offset + len(data)] = data
        self.pending.clear()


class Disk:
    """The images of all files. ``before`` is called with each operation's number, from 1, and may raise."""

    def __init__(self, before: Callable[[int], None] = lambda number: None) -> None:
        self.operations = 0
        self.before = before
        self._images: dict[str, _Image] = {}

    def write(self, name: str, data: bytes, offset: int) -> None:
        self._step()
        self._image(name).pending.append((offset, bytes(data)))

    def truncate(self, name: str, size: int) -> None:
        self._step()
        self._image(name).pending.append((size, None))

    def sync(self, name: str) -> None:
        try:
            self._step()
        except OSError:
            # As on Linux, pages that failed to sync count as clean and are never written.
            self._image(name).pending.clear()
            raise
        self._image(name).sync()

    def adopt(self, name: str, content: bytes) -> None:
        """Add a file that is durable from the start."""
        self._image(name).synced = bytearray(content)

    def forget(self, name: str) -> None:
        self._images.pop(name, None)

    def restart_in(self, folder: Path, rng: random.Random) -> None:
        """Write to ``folder`` a state in which a power cut now may leave the disk."""
        folder.mkdir()
        for name, image in self._images.items():
            (folder / name).write_bytes(image.after_cut(rng))

    def _step(self) -> None:
        self.operations += 1
        self.before(self.operations)

    def _image(self, name: str) -> _Image:
        return self._images.setdefault(name, _Image())


class _File(apsw.VFSFile):
    def __init__(self, disk: Disk, filename: str | apsw.URIFilename | None, flags: list[int]) -> None:
        super().__init__("", filename, flags)
        self._disk = disk
        path = filename.filename() if isinstance(filename, apsw.URIFilename) else filename
        self._name = Path(path).name if path else ""

    def xWrite(self, data: Any, offset: int) -> None:
        self._disk.write(self._name, bytes(data), offset)
        super().xWrite(data, offset)

    def xTruncate(self, newsize: int) -> None:
        self._disk.truncate(self._name, newsize)
        super().xTruncate(newsize)

    def xSync(self, flags: int) -> None:
        # Only the image survives a power cut, so the real sync is skipped for speed.
        self._disk.sync(self._name)

    def excepthook(self, etype: Any, evalue: Any, etraceback: Any) -> bool:
        """Keep apsw from printing the error; SQLite reports it."""
        return True


class _Vfs(apsw.VFS):
    def __init__(self, disk: Disk, name: str) -> None:
        super().__init__(name, "")
        self._disk = disk

    def xOpen(self, name: Any, flags: list[int]) -> apsw.VFSFile:
        return _File(self._disk, name, flags)

    def xDelete(self, filename: str, syncdir: bool) -> None:
        self._disk.forget(Path(filename).name)
        super().xDelete(filename, syncdir)

    def excepthook(self, etype: Any, evalue: Any, etraceback: Any) -> bool:
        """Keep apsw from printing the error; SQLite reports it."""
        return True


@contextmanager
def mounted(disk: Disk) -> Iterator[str]:
    """Route the store's writes through ``disk``; yield the VFS name to open the log with."""
    name = f"disk-{id(disk)}"
    vfs = _Vfs(disk, name)

    def pwrite(fd: int, data: bytes, offset: int) -> int:
        disk.write(_name_of(fd), data, offset)
        return os.pwrite(fd, data, offset)

    def fdatasync(fd: int) -> None:
        disk.sync(_name_of(fd))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(store_disk, "pwrite", pwrite)
        patch.setattr(store_disk, "fdatasync", fdatasync)
        try:
            yield name
        finally:
            vfs.unregister()


def _name_of(fd: int) -> str:
    return Path(f"/proc/self/fd/{fd}").readlink().name
