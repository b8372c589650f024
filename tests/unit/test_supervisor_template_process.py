"""The template process: forked children, failures to load or fork, and orphans."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from chatd.config.schema import Settings
from chatd.logs.logfiles import LogFiles
from chatd.supervisor import template_process as module
from chatd.supervisor.launch import LaunchedTemplate, launch
from chatd.supervisor.process import ChildProcess, ChildSpec
from chatd.supervisor.signal_selector import SignalSelector
from chatd.supervisor.template_process import LOAD_SECONDS, RETRY_SECONDS, TemplateProcess
from tests.support.daemon import wait_until

CHILD = "tests.support.forked_child"
SPEC = ChildSpec("worker-1", "worker", (sys.executable, "-m", CHILD), (), CHILD)
OTHER = ChildSpec("other", "other", ("true",))
MISSING = ChildSpec("worker-1", "worker", ("true",), (), "tests.support.there_is_none")
TIMEOUT = 30.0


class Bench:
    """A template with real processes and no supervisor around it."""

    def __init__(self, home: Path, spec: ChildSpec = SPEC, launched: LaunchedTemplate | None = None) -> None:
        self.home = home
        self.spec = spec
        self.selector = SignalSelector()
        self.files = LogFiles(home, Settings().logging)
        self.template = TemplateProcess([spec, OTHER], self.selector.watch, self.selector.unwatch, launched)
        self.now = time.monotonic()

    def tick(self, seconds: float = 0.0, *, wanted: bool = True) -> None:
        self.now += seconds
        self.template.update(self.now, wanted=wanted)

    def load(self) -> None:
        self.tick()
        while self.template.loading:
            self.selector.wait(TIMEOUT)

    def fork(self) -> ChildProcess:
        start = self.template.starter(self.spec)
        assert start is not None
        watch, unwatch = self.selector.watch, self.selector.unwatch
        return ChildProcess(self.spec, {}, self.files, watch, unwatch, start)

    @property
    def pid(self) -> int:
        """The template's pid; 0 without one."""
        return self.template.pids().get("template", 0)

    def receive_from(self, process: ChildProcess) -> dict[str, object]:
        """Return the child's first message, its description of itself."""
        while not (messages := process.receive()):
            self.selector.wait(TIMEOUT)
        return messages[0]

    def end(self, process: ChildProcess) -> int:
        while (code := process.poll()) is None:
            self.selector.wait(0.05)
        process.close()
        return code


MakeBench = Callable[..., Bench]


@pytest.fixture
def make(tmp_path: Path) -> Iterator[MakeBench]:
    benches: list[Bench] = []

    def make_bench(spec: ChildSpec = SPEC, launched: LaunchedTemplate | None = None) -> Bench:
        benches.append(Bench(tmp_path, spec, launched))
        return benches[-1]

    yield make_bench
    for bench in benches:
        bench.template.close()
        bench.selector.close()
        bench.files.close()
    # As a subreaper, this process would keep the orphans of other tests as zombies.
    ctypes.CDLL(None).prctl(module.PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0)


@pytest.fixture
def bench(make: MakeBench) -> Bench:
    return make()


def test_a_forked_child_has_its_own_session_keys_and_random_numbers(bench: Bench) -> None:
    bench.load()
    first, second = bench.fork(), bench.fork()
    randoms = set()
    for process in (first, second):
        process.send({"type": "settings", "name": "worker-1", "home": "", "settings": {}})
        child = bench.receive_from(process)
        randoms |= {child["random"], child["key"]}
        assert child["pid"] == process.pid
        assert child["parent"] == os.getpid()
        assert child["group"] == child["session"] == process.pid
        assert child["threads"] == 2  # the main thread and the one that watches the lifeline
        assert child["folder"] == "/"
        assert child["comm"] == "chatd-worker-1"
        assert process.pid != bench.pid
    assert len(randoms) == 4
    first.send({"type": "end", "code": 65})
    assert bench.end(first) == 65
    second.signal(signal.SIGKILL)
    assert bench.end(second) == -signal.SIGKILL


def test_forked_children_hold_only_their_own_descriptors(bench: Bench) -> None:
    """The supervisor would not notice a child's death while a sibling holds the same pipe."""
    bench.load()
    first, second = bench.fork(), bench.fork()
    for process in (first, second):
        process.send({"type": "settings", "name": "worker-1", "home": "", "settings": {}})
    open_fds = [bench.receive_from(process)["fds"] for process in (first, second)]
    assert len(set(map(str, open_fds))) == 1
    # stdin, stdout, stderr, channel, lifeline, log, and the folder being listed
    assert open_fds[0] == 7
    for process in (first, second):
        process.send({"type": "end", "code": 0})
        assert bench.end(process) == 0


def test_a_template_forks_nothing_while_loading_or_for_unknown_modules(bench: Bench) -> None:
    bench.tick()
    assert bench.template.starter(SPEC) is None
    bench.load()
    assert bench.template.starter(SPEC)
    assert not bench.template.starter(OTHER)
    bench.tick(wanted=False)
    assert bench.template.starter(SPEC) is None
    assert not bench.template.pids()


def test_a_template_that_cannot_load_is_given_up_for_a_while(
    make: MakeBench, caplog: pytest.LogCaptureFixture
) -> None:
    bench = make(MISSING)
    bench.load()
    assert not bench.template.loading
    assert bench.template.starter(MISSING) is None
    bench.tick()
    assert not bench.template.loading
    assert not bench.pid
    assert "ModuleNotFoundError" in str(vars(caplog.records[0]))


def test_a_template_that_hangs_during_load_is_given_up(bench: Bench) -> None:
    bench.tick()
    os.kill(bench.pid, signal.SIGSTOP)
    bench.tick(LOAD_SECONDS)
    assert not bench.template.loading


def test_a_stopped_template_fails_a_fork_and_is_replaced_later(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "FORK_SECONDS", 0.2)
    monkeypatch.setattr("chatd.supervisor.template_process.time.monotonic", lambda: bench.now)
    bench.load()
    os.kill(bench.pid, signal.SIGSTOP)
    with pytest.raises(OSError, match="does not answer"):
        bench.fork()
    assert bench.template.starter(SPEC) is None
    bench.tick(RETRY_SECONDS - 1)
    assert not bench.pid
    bench.tick(1)
    bench.load()
    assert bench.template.starter(SPEC) is not None


def is_zombie(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return False


def test_orphans_are_reaped_and_other_children_are_not(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "FORK_SECONDS", 0.2)
    bench.load()
    os.kill(bench.pid, signal.SIGSTOP)
    with pytest.raises(OSError, match="does not answer"):
        bench.fork()
    # The orphan must outlive the shell, which would otherwise reap it.
    orphaned = ["sh", "-c", "sleep 0.3 & echo $!"]
    with subprocess.Popen(["true"]) as child:
        wait_until(lambda: is_zombie(child.pid), what="the end of the test's own child")
        orphan = int(subprocess.run(orphaned, capture_output=True, check=True).stdout)
        wait_until(lambda: is_zombie(orphan), what="the end of the orphan")
        bench.template.update(bench.now, wanted=True, children=[child.pid, None])
        assert is_zombie(child.pid)
        assert child.wait() == 0
    bench.template.update(bench.now, wanted=True, children=[])
    assert not is_zombie(orphan)


def test_a_killed_template_forks_nothing_more(bench: Bench) -> None:
    bench.load()
    os.kill(bench.pid, signal.SIGKILL)
    while bench.template.starter(SPEC):
        bench.selector.wait(TIMEOUT)
    assert not bench.template.pids()


def test_without_a_subreaper_there_is_no_template(make: MakeBench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_adopt_orphans", lambda: False)
    bench = make()
    bench.tick()
    assert not bench.pid
    assert not bench.template.loading


def test_a_template_launched_early_is_used(make: MakeBench) -> None:
    launched = launch([CHILD])
    bench = make(launched=launched)
    assert bench.template.loading
    bench.load()
    assert bench.pid == launched.popen.pid
    process = bench.fork()
    process.signal(signal.SIGKILL)
    bench.end(process)
    bench.template.close()
    assert launched.popen.returncode == -signal.SIGKILL
