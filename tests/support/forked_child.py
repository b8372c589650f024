"""A child for tests of the template: it describes itself, then ends with the requested exit code."""

from __future__ import annotations

import os
import random
import select
import ssl
import sys
from pathlib import Path

from chatd.child.supervised import Supervised

# The generator has been used before the fork.
ssl.RAND_bytes(1)


def _open_files() -> list[str]:
    """Return what each descriptor leads to. Libraries are among them: libffi 3.5 keeps itself open."""
    names = []
    for number in os.listdir("/proc/self/fd"):  # noqa: PTH208 - one call, so one descriptor of its own
        try:
            names.append(os.readlink(f"/proc/self/fd/{number}"))  # noqa: PTH115
        except FileNotFoundError:
            names.append("the folder being listed")
    return names


def main() -> int:
    child = Supervised.attach()
    child.send(
        {
            "type": "self",
            "pid": os.getpid(),
            "parent": os.getppid(),
            "group": os.getpgrp(),
            "session": os.getsid(0),
            "threads": len(list(Path("/proc/self/task").iterdir())),
            "folder": str(Path.cwd()),
            "comm": Path("/proc/self/comm").read_text().strip(),
            "fds": sum(not name.endswith(".so") and ".so." not in name for name in _open_files()),
            "random": random.random(),
            "key": ssl.RAND_bytes(16).hex(),
        }
    )
    while True:
        select.select([child], [], [])
        for message in child.receive():
            if message["type"] == "end":
                return int(str(message["code"]))


if __name__ == "__main__":
    sys.exit(main())
