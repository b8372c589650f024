"""A small disk for the data of each home, which can be filled to the last byte; needs root."""

from __future__ import annotations

import os
import shutil
import subprocess
from contextlib import suppress
from pathlib import Path

_FILLER = "filler"


class SmallDisks:
    """Disks in memory, of ``size`` bytes each."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._mounted: list[Path] = []

    def mount(self, home: Path) -> bool:
        """Move the data of a stopped home to a disk of its own; return False if nothing can be mounted."""
        data = home / "data"
        aside = data.with_name("aside")
        data.rename(aside)
        data.mkdir(mode=0o700)
        mount = ["mount", "-t", "tmpfs", "-o", f"size={self._size},mode=700", "chatd-test", str(data)]
        if os.geteuid() != 0 or subprocess.run(mount, capture_output=True, check=False).returncode:
            data.rmdir()
            aside.rename(data)
            return False
        self._mounted.append(data)
        shutil.copytree(aside, data, dirs_exist_ok=True)
        shutil.rmtree(aside)
        return True

    def unmount(self) -> None:
        """Take all disks away; what they hold is moved to where they were."""
        while self._mounted:
            data = self._mounted.pop()
            kept = data.with_name("kept")
            shutil.copytree(data, kept)
            subprocess.run(["umount", "-l", str(data)], check=True)
            data.rmdir()
            kept.rename(data)


def fill(home: Path) -> None:
    """Take all space of the disk of a home's data."""
    with (home / "data" / _FILLER).open("ab", buffering=0) as file:
        for size in (1024 * 1024, 4096, 1):
            with suppress(OSError):
                while file.write(bytes(size)):
                    pass


def free(home: Path) -> None:
    """Give back what `fill` took."""
    (home / "data" / _FILLER).unlink(missing_ok=True)
