"""The supervisor's resources: pid lock, leftover children, listeners, systemd, control socket, signals."""

from __future__ import annotations

import json
import os
import selectors
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import ClassVar, cast

import pytest

from chatd.child.json_channel import MAX_LINE
from chatd.child.peers import login_name
from chatd.child.unix_socket import connect_unix
from chatd.config.schema import Settings
from chatd.errors import ChatdError
from chatd.logs.logfiles import LogFiles
from chatd.supervisor.child import Child
from chatd.supervisor.control import MAX_CLIENTS, SOCKET, ControlServer, Reply, ask, error_reply, ok_reply
from chatd.supervisor.listeners import listen_hub, listen_tcp, make_run_directory, show_address
from chatd.supervisor.monitor import PeriodicTimer, ProcessMonitor
from chatd.supervisor.pid_lock import (
    CHILDREN_FILE,
    LOCK_FILE,
    PidLock,
    kill_leftovers,
    record_children,
    supervisor_pid,
)
from chatd.supervisor.process import ChildProcess, ChildSpec
from chatd.supervisor.signal_selector import SignalSelector
from chatd.supervisor.states import ChildState
from chatd.supervisor.systemd import notify, notify_reloading, watchdog_seconds


def test_the_pid_lock_admits_one_process_at_a_time(tmp_path: Path) -> None:
    lock = PidLock(tmp_path)
    assert supervisor_pid(tmp_path) is None
    with pytest.raises(ChatdError, match="another chatd command"):
        PidLock(tmp_path)
    lock.announce()
    assert supervisor_pid(tmp_path) == os.getpid()
    with pytest.raises(ChatdError, match=f"pid {os.getpid()}"):
        PidLock(tmp_path)
    lock.release()
    lock.release()
    assert supervisor_pid(tmp_path) is None
    PidLock(tmp_path).release()
    assert (tmp_path / LOCK_FILE).exists()
    with pytest.raises(ChatdError, match="E606"):
        PidLock(tmp_path / "missing")


@pytest.fixture
def stopped() -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(["sleep", "600"])
    process.send_signal(signal.SIGSTOP)
    yield process
    process.kill()
    process.wait()


def test_a_leftover_child_is_killed_even_if_stopped(tmp_path: Path, stopped: subprocess.Popen[bytes]) -> None:
    record_children(tmp_path, {"worker-1": stopped.pid})
    assert kill_leftovers(tmp_path) == [stopped.pid]
    assert stopped.wait(30) == -signal.SIGKILL


@pytest.mark.parametrize("change", ["started", "boot", "folder"])
def test_another_process_with_the_same_pid_is_left_alone(
    tmp_path: Path, stopped: subprocess.Popen[bytes], change: str
) -> None:
    record_children(tmp_path, {"worker-1": stopped.pid})
    record = json.loads((tmp_path / CHILDREN_FILE).read_text())
    if change in ("boot", "folder"):
        record[change] = "another"
    else:
        record["children"][0]["started"] += 1
    (tmp_path / CHILDREN_FILE).write_text(json.dumps(record))
    assert kill_leftovers(tmp_path) == []
    assert stopped.poll() is None


@pytest.mark.parametrize(
    "text", [None, "", "nonsense", "[]", "{}", '{"boot": 1}', '{"boot": "", "children": [{}]}']
)
def test_an_invalid_record_of_children_is_ignored(tmp_path: Path, text: str | None) -> None:
    if text is not None:
        (tmp_path / CHILDREN_FILE).write_text(text)
    assert kill_leftovers(tmp_path) == []


def test_listeners_do_not_block_and_bad_addresses_are_refused(tmp_path: Path) -> None:
    run = make_run_directory(tmp_path)
    make_run_directory(tmp_path)
    assert run.stat().st_mode & 0o777 == 0o700
    with listen_tcp("127.0.0.1", 0) as clients, listen_hub(tmp_path) as hub:
        assert show_address(clients) == f"127.0.0.1:{clients.getsockname()[1]}"
        assert not clients.getblocking()
        assert not hub.getblocking()
    for host in ("192.0.2.1", "no such host"):
        with pytest.raises(ChatdError, match="E605"):
            listen_tcp(host, 0)
    (tmp_path / "file").write_text("")
    with pytest.raises(ChatdError, match="E606"):
        make_run_directory(tmp_path / "file")


@pytest.mark.parametrize("abstract", [False, True])
def test_systemd_is_notified(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, abstract: bool) -> None:
    name = f"@chatd-test-{os.getpid()}" if abstract else str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.settimeout(30)
        systemd.bind(name.replace("@", "\0"))
        monkeypatch.setenv("NOTIFY_SOCKET", name)
        notify("READY=1")
        assert systemd.recv(100) == b"READY=1"
        notify_reloading()
        assert systemd.recv(100).startswith(b"RELOADING=1\nMONOTONIC_USEC=")
    notify("STOPPING=1")
    monkeypatch.delenv("NOTIFY_SOCKET")
    notify("STOPPING=1")


@pytest.mark.parametrize(
    ("microseconds", "pid", "seconds"),
    [("", "", None), ("x", "", None), ("10000000", "", 5.0), ("10000000", "1", None)],
)
def test_the_watchdog_interval_is_half_of_that_of_systemd(
    monkeypatch: pytest.MonkeyPatch, microseconds: str, pid: str, seconds: float | None
) -> None:
    monkeypatch.setenv("WATCHDOG_USEC", microseconds)
    monkeypatch.setenv("WATCHDOG_PID", pid or str(os.getpid()))
    assert watchdog_seconds() == seconds


def test_a_periodic_timer_does_not_drift_and_skips_missed_periods() -> None:
    timer = PeriodicTimer(100.0)
    assert [timer.due(at, 5.0) for at in (104.9, 105.1, 109.9, 110.0)] == [False, True, False, True]
    assert [timer.due(at, 5.0) for at in (200.0, 200.1, 204.9, 205.0)] == [True, False, False, True]


class FakeHub:
    """A running hub with the pid of this process."""

    spec = ChildSpec("hub", "hub", ("true",))
    state = ChildState.RUNNING
    is_up = True
    pid = os.getpid()
    restarts = 0
    reason = ""
    exit_code = None
    last_report: ClassVar[dict[str, object]] = {"writable": True}
    sandbox: ClassVar[dict[str, object]] = {}
    descriptors = 7

    def __init__(self) -> None:
        self.sent: list[dict[str, object]] = []
        self.send = self.sent.append

    def uptime(self, now: float) -> float:
        return 1.0


def test_the_monitor_measures_processes_and_reports_to_console_and_hub(
    capsys: pytest.CaptureFixture[str],
) -> None:
    fake = FakeHub()
    hub = cast("Child", fake)
    monitor = ProcessMonitor([hub])
    now = time.monotonic() + 3600
    monitor.update(now, Settings().monitor, "running", console=True)
    line = capsys.readouterr().out
    assert " running | box cpu " in line
    assert "| supervisor " in line
    (message,) = fake.sent
    assert json.dumps(message).startswith('{"type": "processes"')
    own, measured = cast("list[dict[str, int]]", message["processes"])
    assert own["pid"] == os.getpid()
    assert own["rss"] > 1_000_000
    assert monitor.status(hub, now)["rss"] == measured["rss"]
    fake.pid = 1  # as after a restart
    assert monitor.status(hub, now)["rss"] is None


def test_the_selector_collects_signals_and_lets_one_callback_unwatch_another() -> None:
    before = signal.getsignal(signal.SIGHUP)  # ignored, under nohup
    selector = SignalSelector()
    called: list[str] = []
    pairs = {name: socket.socketpair() for name in ("a", "b")}

    def unwatch_all(name: str) -> Callable[[], None]:
        def callback() -> None:
            called.append(name)
            for ours, _ in pairs.values():
                selector.unwatch(ours.fileno())

        return callback

    try:
        for name, (ours, theirs) in pairs.items():
            theirs.send(b"x")
            selector.watch(ours.fileno(), unwatch_all(name))
        os.kill(os.getpid(), signal.SIGHUP)
        signals: list[int] = []
        while not signals or not called:
            signals += selector.wait(30.0)
        assert signals == [signal.SIGHUP]
        assert len(called) == 1
    finally:
        selector.close()
        for pair in pairs.values():
            for end in pair:
                end.close()
    assert signal.getsignal(signal.SIGHUP) == before


def test_a_missing_program_leaks_no_descriptor(tmp_path: Path) -> None:
    files = LogFiles(tmp_path, Settings().logging)
    spec = ChildSpec("hub", "hub", ("/nonexistent/program",))
    before = set(os.listdir("/proc/self/fd"))  # noqa: PTH208 - one call, so one descriptor of its own
    with pytest.raises(FileNotFoundError):
        ChildProcess(spec, {}, files, lambda fd, callback: None, lambda fd: None)
    assert set(os.listdir("/proc/self/fd")) == before  # noqa: PTH208


class Server:
    """A control server in its own thread."""

    def __init__(self, home: Path) -> None:
        self.home = home
        make_run_directory(home)
        self._selector = selectors.DefaultSelector()
        self._ended = threading.Event()
        self.unanswered: list[Reply] = []
        self.control = ControlServer(home / SOCKET, self._handle, self._watch, self._unwatch)
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def stop(self) -> None:
        self._ended.set()
        self._thread.join()
        self.control.stop_listening()
        self.control.close()
        self._selector.close()

    def _serve(self) -> None:
        while not self._ended.is_set():
            for key, _ in self._selector.select(0.02):
                key.data()
            self.control.update(0.0)

    def _watch(self, fd: int, callback: Callable[[], None]) -> None:
        self._selector.register(fd, selectors.EVENT_READ, callback)

    def _unwatch(self, fd: int) -> None:
        self._selector.unregister(fd)

    def _handle(self, request: dict[str, object], reply: Reply) -> None:
        if request["type"] == "never":
            self.unanswered.append(reply)
        elif request["type"] == "big":
            reply(ok_reply(text="x" * 900_000))
        elif request["type"] == "too big":
            reply(ok_reply(text="x" * MAX_LINE))
        elif request["type"] == "no":
            reply(error_reply(ChatdError("E600", "line one\nline two", "do this")))
        else:
            reply(ok_reply(echo=request))
            reply(ok_reply(echo="twice"))


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    server = Server(tmp_path)
    yield server
    server.stop()


def test_the_control_socket_replies_with_results_and_errors(server: Server) -> None:
    by = {"by": "server", "by_uid": os.getuid(), "by_login": login_name(os.getuid())}
    # The peer cannot choose who it is.
    request: dict[str, object] = {"type": "hello", "n": 1, "by": {"by_uid": 7}}
    assert ask(server.home, request, 30) == {"echo": request | {"by": by}}
    assert ask(server.home, {"type": "big"}, 30) == {"text": "x" * 900_000}
    with pytest.raises(ChatdError, match="E101"):
        ask(server.home, {"type": "too big"}, 30)
    with pytest.raises(ChatdError) as caught:
        ask(server.home, {"type": "no"}, 30)
    assert (caught.value.code, caught.value.reason, caught.value.fix) == (
        "E600",
        "line one\nline two",
        "do this",
    )


def test_ask_times_out_without_a_reply(server: Server) -> None:
    with pytest.raises(ChatdError, match="E611"):
        ask(server.home, {"type": "never"}, 0.05)


def test_the_control_socket_serves_despite_many_idle_clients(server: Server) -> None:
    idle = [connect_unix(server.home / SOCKET, 30) for _ in range(MAX_CLIENTS + 5)]
    assert ask(server.home, {"type": "hello"}, 30)
    for sock in idle:
        sock.close()


def test_ask_without_a_supervisor_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ChatdError, match="E603"):
        ask(tmp_path, {"type": "status"}, 30)
