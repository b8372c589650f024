"""CPU and memory of process trees from /proc, and the machine's current speed."""

from __future__ import annotations

import hashlib
import os
import resource
import sys
import time
from pathlib import Path
from typing import Any, NamedTuple

_TICK = os.sysconf("SC_CLK_TCK")
_PAGE_KB = os.sysconf("SC_PAGE_SIZE") // 1024


class Usage(NamedTuple):
    """CPU seconds used so far, and resident KB, of a process tree."""

    cpu: float
    rss_kb: int


def tree(root: int) -> list[int]:
    """The pids of a process and all its descendants."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            fields = _stat(int(entry.name))
            if fields:
                children.setdefault(int(fields[1]), []).append(int(entry.name))
    found, todo = [], [root]
    while todo:
        pid = todo.pop()
        found.append(pid)
        todo += children.get(pid, [])
    return found


def usage(root: int) -> Usage:
    """User and system CPU (in steps of 10 ms per process) and RSS of a process tree."""
    cpu, rss = 0, 0
    for pid in tree(root):
        fields = _stat(pid)
        if fields:
            cpu += int(fields[11]) + int(fields[12])
            rss += int(fields[21])
    return Usage(cpu / _TICK, rss * _PAGE_KB)


def _stat(pid: int) -> list[str]:
    try:
        # The command name may contain spaces and brackets; the fields after it do not.
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return []


def wait_until_idle(root: int, seconds: float = 10.0) -> None:
    """Wait until a process tree uses no CPU, at most for ``seconds``."""
    last, until = usage(root).cpu, time.monotonic() + seconds
    while time.monotonic() < until:
        time.sleep(0.2)
        now = usage(root).cpu
        if now - last <= 0.01:
            return
        last = now


def calibrate() -> float:
    """CPU seconds of a fixed piece of work, best of five; grows when the machine is slower."""
    return min(_work() for _ in range(5))


def _work() -> float:
    start = time.process_time()
    digest, data = b"", b"x" * 4096
    for number in range(10_000):
        digest = hashlib.sha256(data + digest).digest() if number % 4 == 0 else digest[1:] + digest[:1]
    return time.process_time() - start


def allow_descriptors() -> None:
    """Raise the limit of open files to the hard limit."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def describe_machine(best: float) -> dict[str, Any]:
    """Describe the machine for the report; ``best`` is its fastest `calibrate`."""
    model = next(
        (
            line.split(":")[1].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if "model name" in line
        ),
        "unknown",
    )
    return {
        "date": time.strftime("%Y-%m-%d"),
        "cpus": os.cpu_count(),
        "model": model,
        "kernel": os.uname().release,
        "python": sys.version.split()[0],
        "calibration_seconds": best,
    }
