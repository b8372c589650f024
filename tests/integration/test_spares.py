"""A killed child is replaced by the process that was loaded for it, and nothing of that stays behind."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

from chatctl.client import Client, read_identity
from tests.support.daemon import Daemon, running, wait_until


def spares(daemon: Daemon) -> dict[str, int]:
    """Pids of the spares by name, as the next supervisor would find them."""
    noted = json.loads((daemon.home / "run" / "children.json").read_text())["children"]
    return {entry["name"]: entry["pid"] for entry in noted if entry["name"].startswith("spare-")}


def replaced(daemon: Daemon, name: str) -> int:
    """Kill a child; the pid of its replacement."""
    old = daemon.child(name)["pid"]
    os.kill(old, signal.SIGKILL)
    child = wait_until(lambda: (c := daemon.child(name))["pid"] != old and c["state"] == "running" and c)
    return int(child["pid"])


def gone(pid: int) -> bool:
    return not Path(f"/proc/{pid}").exists()


def test_what_was_loaded_takes_over_and_is_replaced(tmp_path: Path) -> None:
    with running(tmp_path / "home") as daemon:
        with Client(read_identity(daemon.identity("alice", "console"))) as client:
            for name in ("hub", "worker-2"):
                wait_until(lambda: len(spares(daemon)) == 2, what="the spares")
                waiting = spares(daemon)
                assert replaced(daemon, name) in waiting.values()
                client.send("#lobby", f"after {name}").wait(30)
        wait_until(lambda: len(spares(daemon)) == 2, what="the spares")
        last = spares(daemon)
        started = [line for line in daemon.log_lines() if line["event"] == "child_started"]
        assert [line["child"] for line in started if line["start"] == 2] == ["hub", "worker-2"]
        # A restart may be for newer code: what was loaded before is of no use then.
        daemon.chatd("restart", "--rolling")
        wait_until(lambda: len(spares(daemon)) == 2, what="new spares")
        assert not set(last.values()) & set(spares(daemon).values())
        pids = [*last.values(), *spares(daemon).values(), *daemon.pids()]
    wait_until(lambda: all(gone(pid) for pid in pids), what="everything to be gone")


def test_spares_do_not_outlive_their_supervisor(tmp_path: Path) -> None:
    with running(tmp_path / "home") as daemon:
        wait_until(lambda: len(spares(daemon)) == 2, what="the spares")
        waiting = spares(daemon)
        os.kill(daemon.status()["pid"], signal.SIGKILL)
        wait_until(lambda: all(gone(pid) for pid in waiting.values()), what="the spares to end")
