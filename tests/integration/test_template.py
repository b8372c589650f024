"""The template forks the replacement of a killed child and leaves nothing behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from chatctl.client import Client, read_identity
from tests.support.daemon import BIN, Daemon, running, wait_until

# Prints which modules are loaded when a template would be launched, and launches none.
REPORT_MODULES = """
import sys
from chatd.supervisor import launch

def report_modules(modules):
    print(sorted({"click", "pydantic", "chatd.supervisor.main"} & set(sys.modules)))
    raise OSError

launch.launch = report_modules
from chatd.cli import main
main()
"""


def forked_by_template(pid: int) -> bool:
    return b"chatd.child.template" in Path(f"/proc/{pid}/cmdline").read_bytes()


def replaced(daemon: Daemon, name: str) -> int:
    """Kill a child and return the pid of its replacement."""
    old = daemon.child(name)["pid"]
    os.kill(old, signal.SIGKILL)
    child = wait_until(lambda: (c := daemon.child(name))["pid"] != old and c["state"] == "running" and c)
    return int(child["pid"])


def gone(pid: int) -> bool:
    return not Path(f"/proc/{pid}").exists()


def test_every_replacement_comes_from_the_template(tmp_path: Path) -> None:
    with running(tmp_path / "home") as daemon:
        first = daemon.template()
        assert all(forked_by_template(daemon.child(name)["pid"]) for name in ("hub", "worker-1", "worker-2"))
        with Client(read_identity(daemon.identity("alice", "console"))) as client:
            for name in ("hub", "worker-2", "worker-1", "hub", "worker-2"):
                assert forked_by_template(replaced(daemon, name))
                client.send("#lobby", f"after {name}").wait(30)
        assert daemon.template() == first
        # A restart may bring newer code, so it replaces the template too.
        daemon.chatd("restart", "--rolling")
        assert daemon.template() not in (0, first)
        pids = [first, daemon.template(), *daemon.pids()]
    wait_until(lambda: all(gone(pid) for pid in pids), what="everything to be gone")


def test_without_the_template_children_start_by_their_command_line(tmp_path: Path) -> None:
    with running(tmp_path / "home") as daemon:
        os.kill(daemon.template(), signal.SIGKILL)
        wait_until(lambda: daemon.template() == 0, what="the supervisor to notice its end")
        assert not forked_by_template(replaced(daemon, "worker-1"))
        assert any(line["event"] == "template_lost" for line in daemon.log_lines())
    with running(tmp_path / "other", CHATD_WORKERS__TEMPLATE="false") as daemon:
        assert daemon.template() == 0
        assert not forked_by_template(daemon.child("hub")["pid"])


def test_stopped_template_fails_no_restart(tmp_path: Path) -> None:
    with running(tmp_path / "home") as daemon:
        os.kill(daemon.template(), signal.SIGSTOP)
        assert not forked_by_template(replaced(daemon, "worker-1"))
        events = [line["event"] for line in daemon.log_lines()]
        assert events.count("template_lost") == events.count("child_crashed") == 1
        with Client(read_identity(daemon.identity("alice", "console"))) as client:
            client.send("#lobby", "goes on").wait(30)


def test_template_ends_with_its_supervisor(tmp_path: Path) -> None:
    with running(tmp_path / "home") as daemon:
        pids = [daemon.template(), *daemon.pids()]
        os.kill(daemon.status()["pid"], signal.SIGKILL)
        wait_until(lambda: all(gone(pid) for pid in pids), what="all to end")


@pytest.mark.parametrize(
    ("words", "launched"),
    [
        (("start", "--foreground"), True),
        (("start", "--foreground", "--help"), False),
        (("start",), False),
        (("status",), False),
    ],
)
def test_foreground_start_launches_the_template_before_it_loads_modules(
    tmp_path: Path, words: tuple[str, ...], launched: bool
) -> None:
    command = [sys.executable, "-c", REPORT_MODULES, "--home", str(tmp_path), *words]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.stdout.startswith("[]") == launched
    assert ("E601" in done.stderr) == ("--help" not in words)


def test_foreground_start_forks_children_from_the_template(tmp_path: Path) -> None:
    with running(tmp_path / "home") as daemon:
        daemon.chatd("stop")
        command = [str(BIN / "chatd"), "--home", str(daemon.home), "start", "--foreground"]
        with (daemon.home / "console").open("wb") as console:
            shown = subprocess.Popen(command, env=daemon.environ, stdout=console, stderr=console)
        try:
            wait_until(lambda: daemon.status().get("state") == "running", what="the server to run")
            assert forked_by_template(daemon.child("hub")["pid"])
            shown.send_signal(signal.SIGINT)
            assert shown.wait(60) == 0, (daemon.home / "console").read_text()
        finally:
            shown.kill()
            shown.wait()
