"""Allow one supervisor per home, and kill the leftover children of the previous one."""

from __future__ import annotations

import fcntl
import json
import os
import select
import signal
import time
from pathlib import Path
from typing import Final

from chatd.child.proc_stat import START_TICKS, stat_field
from chatd.durable_files import file_identity, give_to_folder_owner
from chatd.errors import ChatdError

LOCK_FILE: Final = "supervisor.lock"
CHILDREN_FILE: Final = "children.json"
RETRY_SECONDS: Final = 0.02
KILL_SECONDS: Final = 5.0
MAX_CHILDREN_FILE: Final = 256 * 1024
BOOT_ID: Final = Path("/proc/sys/kernel/random/boot_id")


class PidLock:
    """A flock on data/supervisor.lock, held until `release` or the end of the process.

    In data/ because a server that lost its run/ goes on serving. The file is never deleted: otherwise two
    supervisors could lock two files of that name. Raises ChatdError E604 if another process holds the lock,
    E606 if the file cannot be opened.
    """

    def __init__(self, data: Path, wait: float = 0.0) -> None:
        """``wait``: seconds to wait for a command that only writes to the logs."""
        path = data / LOCK_FILE
        try:
            self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise ChatdError("E606", f"{path}: {error.strerror}") from error
        if not self._lock(time.monotonic() + wait):
            pid = _pid_in(self._fd)
            os.close(self._fd)
            if pid is None:
                raise ChatdError("E604", "another chatd command works on this home", "try again in a moment")
            raise ChatdError("E604", f"chatd is already running, pid {pid}")
        give_to_folder_owner(self._fd, data)
        os.ftruncate(self._fd, 0)

    def announce(self) -> None:
        """Say that the holder is a server, which `supervisor_pid` then finds."""
        os.pwrite(self._fd, f"{os.getpid()}\n".encode(), 0)

    def _lock(self, deadline: float) -> bool:
        while True:
            try:
                fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                if time.monotonic() >= deadline:
                    return False
                time.sleep(RETRY_SECONDS)
            else:
                return True

    def release(self) -> None:
        """Let another supervisor start; harmless if already released."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


def supervisor_pid(data: Path) -> int | None:
    """Return the pid of the server that holds the lock in ``data``; None if there is none."""
    try:
        fd = os.open(data / LOCK_FILE, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return _pid_in(fd)
    finally:
        os.close(fd)
    return None


def _pid_in(fd: int) -> int | None:
    text = os.pread(fd, 20, 0).decode("ascii", "replace").strip()
    return int(text) if text.isdecimal() else None


def record_children(run: Path, pids: dict[str, int]) -> None:
    """Record our processes by name for the next supervisor's `kill_leftovers`; ignore a failure to write."""
    entries = [
        {"name": name, "pid": pid, "started": started}
        for name, pid in pids.items()
        if (started := _start_ticks(pid)) is not None
    ]
    scratch = run / (CHILDREN_FILE + ".new")
    try:
        record = {"boot": _boot_id(), "folder": file_identity(run), "children": entries}
        scratch.write_text(json.dumps(record), "utf-8")
        scratch.replace(run / CHILDREN_FILE)
    except OSError:
        return


def kill_leftovers(run: Path) -> list[int]:
    """Kill the children of a killed supervisor that are stopped and so miss the end of their lifeline.

    Call with the lock held. A process is killed only if pid, start time and boot match a record that was
    made in this folder: in a copy of a home the record names the processes of the original. Returns the
    killed pids.
    """
    return [pid for pid, started in _recorded_children(run) if _kill(pid, started)]


def _recorded_children(run: Path) -> list[tuple[int, int]]:
    try:
        with (run / CHILDREN_FILE).open("rb") as file:
            record = json.loads(file.read(MAX_CHILDREN_FILE))
        if (record["boot"], record["folder"]) != (_boot_id(), file_identity(run)):
            return []
        return [(int(entry["pid"]), int(entry["started"])) for entry in record["children"]]
    except (OSError, ValueError, KeyError, TypeError, OverflowError, RecursionError):
        return []


def _kill(pid: int, started: int) -> bool:
    try:
        handle = os.pidfd_open(pid)  # pins the process even if its pid is reused
    except (OSError, OverflowError):
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
    """Return the start time in clock ticks since boot, which no clock change affects."""
    return stat_field(pid, START_TICKS)


def _boot_id() -> str:
    try:
        return BOOT_ID.read_text("utf-8").strip()
    except OSError:
        return ""
