"""Name the program that holds one of SQLite's locks."""

from __future__ import annotations

import os
from pathlib import Path

_LOCKS = Path("/proc/locks")


def lock_holder(database: Path) -> str:
    """Return the program that has locked a database, such as "sqlite3 (pid 123)"; else "another program".

    Asks the kernel's list. Opening and closing the file to ask for its locks would release this process's own
    (fcntl(2), "Record locks").
    """
    names = {str(inode) for path in (database, Path(f"{database}-shm")) if (inode := _inode(path))}
    try:
        lines = _LOCKS.read_text("ascii", "replace").splitlines()
    except OSError:
        lines = []
    for line in lines:
        # proc(5): "1: POSIX ADVISORY WRITE 123 08:01:456 120 120"; a waiting lock has "->" in second place.
        fields = line.split()
        if len(fields) < 8 or fields[3] != "WRITE" or not fields[4].isdigit():
            continue
        if fields[5].rpartition(":")[2] in names and int(fields[4]) not in (0, os.getpid()):
            return f"{_command(fields[4])} (pid {fields[4]})"
    return "another program"


def _inode(path: Path) -> int:
    try:
        return path.stat().st_ino
    except OSError:
        return 0


def _command(pid: str) -> str:
    try:
        name = Path(f"/proc/{pid}/comm").read_text("utf-8", "replace").strip()
    except OSError:
        name = ""
    return name or "a program"
