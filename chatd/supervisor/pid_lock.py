"""One supervisor per home, and nothing left over from the one before."""

from __future__ import annotations

import fcntl
import json
import os
import select
import signal
from pathlib import Path
from typing import Final

from chatd.errors import ChatdError

PID_FILE: Final = "chatd.pid"
CHILDREN_FILE: Final = "children.json"
KILL_SECONDS: Final = 5.0
MAX_CHILDREN_FILE: Final = 256 * 1024
BOOT_ID: Final = Path("/proc/sys/kernel/random/boot_id")


class PidLock:
    """A flock on run/chatd.pid, held until `release` or death.

    The file is never deleted: between the unlink and the next open two supervisors could each lock
    a file of that name. Raises ChatdError E604 when another one holds it, E606.
    """

    def __init__(self, run: Path) -> None:
        path = run / PID_FILE
        try:
            self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise ChatdError("E606", f"{path}: {error.strerror}") from error
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            pid = os.pread(self._fd, 20, 0).decode("ascii", "replace").strip()
            os.close(self._fd)
            raise ChatdError("E604", f"chatd is running already, pid {pid or 'unknown'}") from None
        os.ftruncate(self._fd, 0)
        os.pwrite(self._fd, f"{os.getpid()}\n".encode(), 0)

    def release(self) -> None:
        """Let another supervisor start; harmless when done before."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


def remember_children(run: Path, pids: dict[str, int]) -> None:
    """Write down which processes are ours, for the next supervisor; a failure is not worth stopping for."""
    entries = [
        {"name": name, "pid": pid, "started": started}
        for name, pid in pids.items()
        if (started := _start_ticks(pid)) is not None
    ]
    scratch = run / (CHILDREN_FILE + ".new")
    try:
        scratch.write_text(json.dumps({"boot": _boot_id(), "children": entries}))
        scratch.replace(run / CHILDREN_FILE)
    except OSError:
        return


def kill_leftovers(run: Path) -> list[int]:
    """Kill what a killed supervisor left: a stopped child does not notice that its lifeline broke.

    Call with the lock held. A process is ours only if pid, start time and boot are the same as noted.
    Returns the pids that were killed.
    """
    return [pid for pid, started in _remembered(run) if _kill(pid, started)]


def _remembered(run: Path) -> list[tuple[int, int]]:
    try:
        with (run / CHILDREN_FILE).open("rb") as file:
            noted = json.loads(file.read(MAX_CHILDREN_FILE))
        if noted["boot"] != _boot_id():
            return []
        return [(int(entry["pid"]), int(entry["started"])) for entry in noted["children"]]
    except (OSError, ValueError, KeyError, TypeError):
        return []


def _kill(pid: int, started: int) -> bool:
    try:
        handle = os.pidfd_open(pid)  # from here on the number cannot come to mean another process
    except OSError:
        return False
    try:
        if _start_ticks(pid) != started:
            return False
        signal.pidfd_send_signal(handle, signal.SIGKILL)
        select.select([handle], [], [], KILL_SECONDS)
        return True
    except OSError:
        return False
    finally:
        os.close(handle)


def _start_ticks(pid: int) -> int | None:
    """Start time in clock ticks since boot: unlike a wall-clock time, no clock jump changes it."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    return int(stat.rpartition(")")[2].split()[19])  # field 22 of proc(5); the name may hold ")" and blanks


def _boot_id() -> str:
    try:
        return BOOT_ID.read_text().strip()
    except OSError:
        return ""
