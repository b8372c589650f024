"""Forking children from the template process in a real daemon."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from chatctl.client import Client, read_identity
from tests.support.daemon import BIN, Daemon, running, wait_until

# Print the modules that are loaded when the template would be launched, but launch none.
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


def kill_and_wait_for_replacement(daemon: Daemon, name: str) -> int:
    """Kill a child and return the pid of its replacement."""
    old = daemon.child(name)["pid"]
    os.kill(old, signal.SIGKILL)
    child = wait_until(lambda: (c := daemon.child(name))["pid"] != old and c["state"] == "running" and c)
    return int(child["pid"])


def has_ended(pid: int) -> bool:
    return not Path(f"/proc/{pid}").exists()


def test_every_replaced_child_is_forked_from_the_template(tmp_path: Path) -> None:
    with running(tmp_path / "home") as daemon:
        first = daemon.template()
        assert all(forked_by_template(daemon.child(name)["pid"]) for name in ("hub", "worker-1", "worker-2"))
        with Client(read_identity(daemon.identity("alice", "console"))) as client:
            for name in ("hub", "worker-2", "worker-1", "hub", "worker-2"):
                assert forked_by_template(kill_and_wait_for_replacement(daemon, name))
                client.send("#lobby", f"after {name}").wait(30)
        assert daemon.template() == first
        # A restart may bring newer code, so it replaces the template too.
        daemon.chatd("restart", "--rolling")
        assert daemon.template() not in (0, first)
        pids = [first, daemon.template(), *daemon.pids()]
    wait_until(lambda: all(has_ended(pid) for pid in pids), what="all processes to end")


def test_children_start_by_command_line_without_a_template(tmp_path: Path) -> None:
    with running(tmp_path / "home") as daemon:
        os.kill(daemon.template(), signal.SIGKILL)
        wait_until(lambda: daemon.template() == 0, what="the supervisor to notice its end")
        assert not forked_by_template(kill_and_wait_for_replacement(daemon, "worker-1"))
        assert any(line["event"] == "template_lost" for line in daemon.log_lines())
    with running(tmp_path / "other", CHATD_WORKERS__TEMPLATE="false") as daemon:
        assert daemon.template() == 0
        assert not forked_by_template(daemon.child("hub")["pid"])


def test_a_stopped_template_prevents_no_restart(tmp_path: Path) -> None:
    with running(tmp_path / "home") as daemon:
        os.kill(daemon.template(), signal.SIGSTOP)
        assert not forked_by_template(kill_and_wait_for_replacement(daemon, "worker-1"))
        events = [line["event"] for line in daemon.log_lines()]
        assert events.count("template_lost") == events.count("child_crashed") == 1
        with Client(read_identity(daemon.identity("alice", "console"))) as client:
            client.send("#lobby", "after the restart").wait(30)


def test_the_template_ends_with_its_supervisor(tmp_path: Path) -> None:
    with running(tmp_path / "home") as daemon:
        pids = [daemon.template(), *daemon.pids()]
        os.kill(daemon.status()["pid"], signal.SIGKILL)
        wait_until(lambda: all(has_ended(pid) for pid in pids), what="all processes to end")


@pytest.mark.parametrize(
    ("words", "launched"),
    [
        (("start", "--foreground"), True),
        (("start", "--foreground", "--help"), False),
        (("start",), False),
        (("status",), False),
    ],
)
def test_a_foreground_start_launches_the_template_before_it_loads_modules(
    tmp_path: Path, words: tuple[str, ...], launched: bool
) -> None:
    command = [sys.executable, "-c", REPORT_MODULES, "--home", str(tmp_path), *words]
    result = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert result.stdout.startswith("[]") == launched
    assert ("E601" in result.stderr) == ("--help" not in words)


def test_a_foreground_start_forks_children_from_the_template(tmp_path: Path) -> None:
    with running(tmp_path / "home") as daemon:
        daemon.chatd("stop")
        command = [str(BIN / "chatd"), "--home", str(daemon.home), "start", "--foreground"]
        with (daemon.home / "console").open("wb") as console:
            server = subprocess.Popen(command, env=daemon.environ, stdout=console, stderr=console)
        try:
            wait_until(lambda: daemon.status().get("state") == "running", what="the server to run")
            assert forked_by_template(daemon.child("hub")["pid"])
            server.send_signal(signal.SIGINT)
            assert server.wait(60) == 0, (daemon.home / "console").read_text()
        finally:
            server.kill()
            server.wait()
