"""The supervisor with real processes: dummy children whose behaviour a file in the home controls."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import pytest

from chatd.child.unix_socket import connect_unix
from chatd.errors import ChatdError
from chatd.supervisor.control import ask
from chatd.supervisor.health import MAX_BOOT_FAILURES
from chatd.supervisor.main import start_daemon
from tests.support.lines import next_line

CHILD = """
import os, select, sys, threading
from chatd.child.supervised import Supervised
from chatd.logs import get_log

child = Supervised.attach()
behave = child.home / ("behave-" + child.name)
order = behave.read_text() if behave.exists() else ""
if order.startswith("exit "):
    print("cannot work today", file=sys.stderr)
    os._exit(int(order.split()[1]))
log = get_log("server")
environment = [os.environ.get(name) for name in ("SSLKEYLOGFILE", "CHATD_CHILD_FDS", "MALLOC_ARENA_MAX")]
log.info("serving", level=child.settings.logging.level, environment=environment)
get_log("connections").info("opened", address="192.0.2.7")
get_log("security").warning("login_refused", user="bob", code="E207")
for name in sys.argv[1:]:
    child.fd(name)
child.ready()
child.report({"connections": 3})
while True:
    select.select([child], [], [])
    for message in child.receive():
        log.info("received", what=message["type"])
        if message["type"] == "drain":
            log.info("drained")
            sys.exit(0)
"""

DRIVER = """
import argparse, sys
from pathlib import Path
from chatd.supervisor.main import run, run_reporting
from chatd.supervisor.process import ChildSpec

parser = argparse.ArgumentParser()
parser.add_argument("--home", type=Path)
parser.add_argument("--foreground", action="store_true")
parser.add_argument("--error-fd", type=int, default=-1)
options = parser.parse_args()
script = str(options.home / "child.py")
specs = [
    ChildSpec("hub", "hub", (sys.executable, script, "hub_listener"), ("hub_listener",)),
    ChildSpec("worker-1", "worker", (sys.executable, script, "listener"), ("listener",)),
    ChildSpec("worker-2", "worker", (sys.executable, script, "listener"), ("listener",)),
]
sys.exit(run_reporting(options.error_fd, lambda: run(options.home, options.foreground, specs)))
"""

TIMEOUT = 30.0
SMALLEST_LOG = 65536
T = TypeVar("T")


def eventually(condition: Callable[[], T | None], what: str) -> T:
    """Poll until ``condition`` returns a true value, and return it."""
    deadline = time.monotonic() + TIMEOUT
    while time.monotonic() < deadline:
        if value := condition():
            return value
        time.sleep(0.02)
    raise AssertionError(f"not seen within {TIMEOUT} s: {what}")


class Daemon:
    """A home with dummy children, and its supervisor."""

    def __init__(self, home: Path) -> None:
        self.home = home
        (home / "config").mkdir(parents=True)
        (home / "child.py").write_text(CHILD)
        (home / "driver.py").write_text(DRIVER)
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port: int = probe.getsockname()[1]
        self.configure()

    def configure(
        self, level: str = "INFO", periods: dict[str, float] | None = None, **logging: object
    ) -> None:
        settings = {
            "server": {"host": "127.0.0.1", "port": self.port},
            "workers": {"heartbeat_timeout": 3},
            "logging": {"level": level, **logging},
            "monitor": periods or {},
        }
        (self.home / "config" / "settings.json").write_text(json.dumps(settings))

    def behave(self, child: str, order: str) -> None:
        (self.home / f"behave-{child}").write_text(order)

    def start(self) -> dict[str, Any]:
        return start_daemon(
            self.home, TIMEOUT, (sys.executable, str(self.home / "driver.py"), "--home", str(self.home))
        )

    def ask(self, **request: object) -> dict[str, Any]:
        return ask(self.home, request, TIMEOUT)

    def child(self, name: str) -> dict[str, Any]:
        children: list[dict[str, Any]] = self.ask(type="status")["children"]
        return next(child for child in children if child["name"] == name)

    def wait_for_replacement(self, name: str, old: int) -> dict[str, Any]:
        def new_child() -> dict[str, Any] | None:
            child = self.child(name)
            return child if child["state"] == "running" and child["pid"] != old else None

        return eventually(new_child, f"{name} replaced")

    def records(self, file: str = "server.log") -> list[dict[str, Any]]:
        return [json.loads(line) for line in (self.home / "logs" / file).read_text().splitlines()]

    def events(self, file: str = "server.log") -> list[tuple[str, str]]:
        return [(record["proc"], record["event"]) for record in self.records(file)]

    def end(self) -> None:
        """Stop the supervisor, or kill its remaining children."""
        try:
            self.ask(type="stop")
        except ChatdError:
            record = self.home / "run" / "children.json"
            for child in json.loads(record.read_text())["children"] if record.exists() else []:
                if (
                    not is_gone(child["pid"])
                    and str(self.home) in Path(f"/proc/{child['pid']}/cmdline").read_text()
                ):
                    os.kill(child["pid"], signal.SIGKILL)


def process_state(pid: int) -> str:
    """Return the state letter of proc(5); Z if there is no such process."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return "Z"


def is_gone(pid: int) -> bool:
    """Return whether a process has ended. A zombie counts: the supervisor is a child of the test."""
    return process_state(pid) in "ZX"


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[Daemon]:
    daemon = Daemon(tmp_path / "home")
    yield daemon
    daemon.end()


def test_the_hub_is_started_first_and_stopped_last(daemon: Daemon) -> None:
    status = daemon.start()
    assert status["state"] == "running"
    assert status["address"] == f"127.0.0.1:{daemon.port}"
    assert [child["state"] for child in status["children"]] == ["running"] * 3
    eventually(lambda: daemon.child("worker-1")["report"] == {"connections": 3}, "report in the status")
    assert daemon.ask(type="stop") == {"state": "stopped"}
    events = daemon.events()
    hub_up = events.index(("hub", "serving"))
    hub_down = events.index(("hub", "drained"))
    for worker in ("worker-1", "worker-2"):
        assert hub_up < events.index((worker, "serving")) < events.index((worker, "drained")) < hub_down
    with pytest.raises(ChatdError, match="E603"):
        daemon.ask(type="ping")
    assert daemon.start()["state"] == "running"


def test_a_killed_child_is_replaced_and_connections_are_accepted_meanwhile(daemon: Daemon) -> None:
    status = daemon.start()
    for child in status["children"]:
        os.kill(child["pid"], signal.SIGKILL)
        socket.create_connection(("127.0.0.1", daemon.port), TIMEOUT).close()
        assert daemon.wait_for_replacement(child["name"], child["pid"])["restarts"] == 1
    crashed = [record for record in daemon.records("errors.log") if record["event"] == "child_crashed"]
    assert [record["why"] for record in crashed] == ["killed by SIGKILL"] * 3


def test_a_stopped_child_is_replaced(daemon: Daemon) -> None:
    pid = daemon.start()["children"][1]["pid"]
    os.kill(pid, signal.SIGSTOP)
    daemon.wait_for_replacement("worker-1", pid)
    assert is_gone(pid)
    assert ("supervisor", "child_hung") in daemon.events("errors.log")


def test_a_child_that_cannot_boot_is_given_up_with_its_reason(daemon: Daemon) -> None:
    daemon.behave("worker-2", "exit 3")
    with pytest.raises(
        ChatdError, match="worker-2: did not become ready 7 times in a row; exit code 3; cannot work today"
    ):
        daemon.start()
    assert daemon.ask(type="status")["state"] == "degraded"
    assert daemon.child("worker-1")["state"] == "running"
    assert daemon.child("worker-2")["state"] == "fatal"
    daemon.behave("worker-2", "")
    assert daemon.ask(type="restart", rolling=False)["state"] == "running"


@pytest.mark.parametrize(("code", "error"), [(65, "E610"), (78, "E609")])
def test_a_child_with_a_final_exit_code_is_not_restarted(daemon: Daemon, code: int, error: str) -> None:
    daemon.behave("hub", f"exit {code}")
    with pytest.raises(ChatdError, match=f"hub: exit code {code}") as caught:
        daemon.start()
    assert caught.value.code == error
    assert daemon.child("hub")["restarts"] == 0
    assert "hub will not be restarted" in (daemon.home / "run" / "console.log").read_text()
    assert ("worker-1", "serving") not in daemon.events()


def test_a_hub_with_a_full_disk_is_restarted_without_limit(daemon: Daemon) -> None:
    old = daemon.start()["children"][0]["pid"]
    daemon.behave("hub", "exit 74")
    os.kill(old, signal.SIGKILL)
    eventually(
        lambda: daemon.child("hub")["restarts"] >= MAX_BOOT_FAILURES,
        "more restarts than a child that cannot boot gets",
    )
    assert daemon.child("hub")["state"] != "fatal"
    daemon.behave("hub", "")
    daemon.wait_for_replacement("hub", old)


def test_a_reload_applies_a_valid_file_and_refuses_an_invalid_one(daemon: Daemon) -> None:
    old = daemon.start()["children"][1]["pid"]
    daemon.configure(level="DEBUG")
    assert "applied" in daemon.ask(type="reload")
    eventually(lambda: ("worker-1", "received") in daemon.events(), "reload received")
    (daemon.home / "config" / "settings.json").write_text('{"server": {"port": ')
    with pytest.raises(ChatdError, match=r"settings\.json") as caught:
        daemon.ask(type="reload")
    assert caught.value.code == "E600"
    assert ("supervisor", "reload_refused") in daemon.events("errors.log")
    os.kill(old, signal.SIGKILL)
    daemon.wait_for_replacement("worker-1", old)
    served = [
        record for record in daemon.records() if (record["proc"], record["event"]) == ("worker-1", "serving")
    ]
    assert [record["level"] for record in served] == ["info", "info"]
    assert [record["field_level"] for record in served] == ["INFO", "DEBUG"]


def test_a_rolling_restart_replaces_a_worker_then_the_hub_then_the_others(daemon: Daemon) -> None:
    before = daemon.start()
    after = daemon.ask(type="restart", rolling=True)
    pids = [[child["pid"] for child in status["children"]] for status in (before, after)]
    assert not set(pids[0]) & set(pids[1])
    events = daemon.events()
    last_start = {name: len(events) - events[::-1].index((name, "serving")) for name in ("worker-1", "hub")}
    assert last_start["worker-1"] < last_start["hub"] < events.index(("worker-2", "drained"))


def test_log_records_are_routed_and_files_reopened(daemon: Daemon) -> None:
    pid = daemon.start()["pid"]
    assert {event for _, event in daemon.events("connections.log")} == {"opened"}
    assert {event for _, event in daemon.events("security.log")} == {"login_refused"}
    assert not (daemon.home / "logs" / "errors.log").exists()  # created by the first record
    log = daemon.home / "logs" / "server.log"
    log.rename(log.with_suffix(".moved"))
    os.kill(pid, signal.SIGUSR1)
    eventually(lambda: log.exists() and daemon.events()[0] == ("supervisor", "logs_reopened"), "reopened")
    numbers = [record["n"] for record in daemon.records() if record["proc"] == "supervisor"]
    assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))
    assert log.stat().st_mode & 0o777 == 0o640


def test_a_second_start_is_refused(daemon: Daemon) -> None:
    pid = daemon.start()["pid"]
    with pytest.raises(ChatdError, match=f"pid {pid}") as caught:
        daemon.start()
    assert caught.value.code == "E604"


def test_a_port_in_use_is_reported(daemon: Daemon) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", daemon.port))
        other.listen()
        with pytest.raises(ChatdError, match=str(daemon.port)) as caught:
            daemon.start()
    assert caught.value.code == "E605"


def test_children_end_with_the_supervisor_and_the_next_one_kills_a_stopped_child(daemon: Daemon) -> None:
    status = daemon.start()
    pids = [child["pid"] for child in status["children"]]
    os.kill(pids[2], signal.SIGSTOP)
    eventually(lambda: process_state(pids[2]) == "T", "all threads stopped")
    os.kill(status["pid"], signal.SIGKILL)
    for pid in pids[:2]:
        eventually(lambda pid=pid: is_gone(pid), "child died by its lifeline")  # type: ignore[misc]
    assert not is_gone(pids[2])
    assert daemon.start()["state"] == "running"
    assert is_gone(pids[2])


def test_a_terminated_supervisor_drains_and_leaves_no_process(daemon: Daemon) -> None:
    status = daemon.start()
    os.kill(status["pid"], signal.SIGTERM)
    for pid in (status["pid"], *(child["pid"] for child in status["children"])):
        eventually(lambda pid=pid: is_gone(pid), "ended")  # type: ignore[misc]
    assert daemon.events()[-1] == ("supervisor", "stopped")
    assert (daemon.home / "run").stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize(
    "line", [b"\n", b"nonsense\n", b"[1]\n", b"{}\n", b'{"type": 7}\n', b'{"type": "no"}\n', b"x" * 5_000_000]
)
def test_the_control_socket_survives_invalid_requests(daemon: Daemon, line: bytes) -> None:
    daemon.start()
    with connect_unix(daemon.home / "run" / "control.sock", TIMEOUT) as raw:
        try:
            raw.sendall(line)
            raw.recv(100)
        except OSError:
            pass
    assert daemon.ask(type="ping")


def test_a_foreground_start_prints_its_address_and_ends_on_interrupt(daemon: Daemon) -> None:
    daemon.configure(periods={"sample_seconds": 1, "stats_seconds": 1, "console_seconds": 1})
    command = (sys.executable, str(daemon.home / "driver.py"), "--home", str(daemon.home), "--foreground")
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            while "listens on" not in (greeting := next_line(process, "the address")):
                assert " starting | box cpu " in greeting
            assert f"listens on 127.0.0.1:{daemon.port}, pid {process.pid}" in greeting
            assert " running | box cpu " in next_line(process, "a line of stats")
            process.send_signal(signal.SIGINT)
            assert process.wait(TIMEOUT) == 0
        finally:
            process.kill()
    stats = next(record for record in daemon.records() if record["event"] == "STATS")
    assert [entry["name"] for entry in stats["processes"]] == ["supervisor", "hub", "worker-1", "worker-2"]
    assert stats["processes"][0]["rss"] > 1_000_000
    assert "processes" in [
        record["what"]
        for record in daemon.records()
        if (record["proc"], record["event"]) == ("hub", "received")
    ]


def test_sighup_reloads_and_full_logs_are_rotated(daemon: Daemon) -> None:
    pid = daemon.start()["pid"]
    daemon.configure(max_bytes=SMALLEST_LOG, backups=1)
    os.kill(pid, signal.SIGHUP)
    eventually(lambda: ("supervisor", "reloaded") in daemon.events(), "reloaded")
    logs = daemon.home / "logs"
    while not (logs / "server.log.1").exists():
        daemon.ask(type="reopen")
    assert (logs / "server.log.1").stat().st_size <= SMALLEST_LOG
    assert daemon.records("server.log.1")


def test_children_get_a_clean_environment(daemon: Daemon, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSLKEYLOGFILE", str(daemon.home / "keys"))
    daemon.start()
    served = [record for record in daemon.records() if record["event"] == "serving"]
    assert [record["environment"] for record in served] == [[None, None, "2"]] * 3


def test_a_home_with_a_path_longer_than_a_unix_address_works(tmp_path: Path) -> None:
    daemon = Daemon(tmp_path / ("deep" * 20) / ("deeper" * 10))
    try:
        assert daemon.start()["state"] == "running"
        assert daemon.child("hub")["state"] == "running"
    finally:
        daemon.end()


def test_a_start_without_settings_starts_no_process(daemon: Daemon) -> None:
    (daemon.home / "config" / "settings.json").unlink()
    with pytest.raises(ChatdError, match="E601"):
        daemon.start()
    assert not (daemon.home / "run").exists()
