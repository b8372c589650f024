"""Time the replacement of a killed process, and the CPU it takes.

    python -m tests.bench.recovery_time [KILLS]      # kills per kind of process; default: 10

The server is idle, and each process counts as healthy when it is killed. ``wall`` is the time from the
signal until the status, polled every 5 ms, says "running". ``cpu`` is the CPU time of the new processes
alone; it is the better measure on a busy machine.
"""

from __future__ import annotations

import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from chatd.errors import ChatdError
from chatd.supervisor.control import ask
from tests.support.daemon import BIN, Daemon, running

KILLS = 10
# Long enough to count as healthy, so that the restart is not delayed.
HEALTHY_SECONDS = 6.0
_TICKS = os.sysconf("SC_CLK_TCK")


def main(kills: int) -> None:
    """Print one JSON object."""
    with tempfile.TemporaryDirectory() as folder, running(Path(folder) / "home") as daemon:
        result = {
            "worker": _series(kills, lambda: _child(daemon, "worker-1")),
            "hub": _series(kills, lambda: _child(daemon, "hub")),
            "supervisor": _series(kills, lambda: _supervisor(daemon)),
            "load": round(os.getloadavg()[0], 2),
        }
    print(json.dumps(result, indent=2))


def _series(kills: int, once: Callable[[], tuple[float, float]]) -> dict[str, float]:
    walls, cpus = [], []
    for _ in range(kills):
        time.sleep(HEALTHY_SECONDS)
        wall, cpu = once()
        walls.append(wall)
        cpus.append(cpu)
    return {
        "wall_p50": round(statistics.median(walls), 3),
        "wall_max": round(max(walls), 3),
        "cpu_p50": round(statistics.median(cpus), 3),
    }


def _child(daemon: Daemon, name: str) -> tuple[float, float]:
    old = daemon.child(name)["pid"]
    before = _cpu_by_pid(daemon)
    start = time.monotonic()
    os.kill(old, signal.SIGKILL)
    status = _wait_for_status(daemon, lambda s: _up(s, name, old))
    wall = time.monotonic() - start
    (new,) = (child["pid"] for child in status["children"] if child["name"] == name)
    return wall, _cpu(new) - before.get(new, 0.0)


def _supervisor(daemon: Daemon) -> tuple[float, float]:
    old = daemon.status()["pid"]
    start = time.monotonic()
    os.kill(old, signal.SIGKILL)
    # As systemd would.
    command = [sys.executable, str(BIN / "chatd"), "--home", str(daemon.home), "start", "--foreground"]
    process = subprocess.Popen(
        command, env=daemon.environ, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    status = _wait_for_status(daemon, lambda s: s["state"] == "running" and s["pid"] != old)
    process.returncode = 0  # it ends with the daemon; do not warn about it
    return time.monotonic() - start, sum(
        _cpu(pid) for pid in [status["pid"], *(c["pid"] for c in status["children"])]
    )


def _cpu_by_pid(daemon: Daemon) -> dict[int, float]:
    """CPU seconds used so far by each process of the home, the template included."""
    recorded = json.loads((daemon.home / "run" / "children.json").read_text())["children"]
    return {entry["pid"]: _cpu(entry["pid"]) for entry in recorded}


def _up(status: dict[str, Any], name: str, old: int) -> bool:
    child = next(c for c in status["children"] if c["name"] == name)
    return bool(child["state"] == "running" and child["pid"] != old)


def _wait_for_status(daemon: Daemon, matches: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        try:
            status: dict[str, Any] = ask(daemon.home, {"type": "status"}, 5.0)
            if matches(status):
                return status
        except ChatdError:
            pass
        time.sleep(0.005)
    raise TimeoutError("not back in 30 s")


def _cpu(pid: int) -> float:
    """CPU seconds, user and system, that a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else KILLS)
