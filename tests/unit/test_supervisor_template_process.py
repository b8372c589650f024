"""The template: children it makes are the supervisor's own; without it they start the ordinary way."""

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
from chatd.supervisor.launch import Launched, launch
from chatd.supervisor.process import ChildSpec, RealProcess
from chatd.supervisor.signal_selector import Loop
from chatd.supervisor.template_process import AGAIN_SECONDS, LOAD_SECONDS, Template
from tests.support.daemon import wait_until

CHILD = "tests.support.forked_child"
SPEC = ChildSpec("worker-1", "worker", (sys.executable, "-m", CHILD), (), CHILD)
OTHER = ChildSpec("other", "other", ("true",))
NOT_THERE = ChildSpec("worker-1", "worker", ("true",), (), "tests.support.there_is_none")
WAIT = 30.0


class Bench:
    """A template with real processes in the place of an arbiter."""

    def __init__(self, home: Path, spec: ChildSpec = SPEC, launched: Launched | None = None) -> None:
        self.home = home
        self.spec = spec
        self.loop = Loop()
        self.files = LogFiles(home, Settings().logging)
        self.template = Template(home, [spec, OTHER], self.loop.watch, self.loop.unwatch, launched)
        self.now = time.monotonic()

    def tick(self, seconds: float = 0.0, *, wanted: bool = True) -> None:
        self.now += seconds
        self.template.tick(self.now, wanted=wanted)

    def load(self) -> None:
        self.tick()
        while self.template.loading:
            self.loop.wait(WAIT)

    def fork(self) -> RealProcess:
        start = self.template.starter(self.spec)
        assert start is not None
        watch, unwatch = self.loop.watch, self.loop.unwatch
        return RealProcess(self.spec, self.home, {}, self.files, watch, unwatch, start)

    @property
    def pid(self) -> int:
        """Of the template; 0 without one."""
        return self.template.pids().get("template", 0)

    def told(self, process: RealProcess) -> dict[str, object]:
        """What the child says of itself."""
        while not (messages := process.receive()):
            self.loop.wait(WAIT)
        return messages[0]

    def end(self, process: RealProcess) -> int:
        while (code := process.poll()) is None:
            self.loop.wait(0.05)
        process.close()
        return code


Make = Callable[..., Bench]


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Make]:
    benches: list[Bench] = []

    def one(spec: ChildSpec = SPEC, launched: Launched | None = None) -> Bench:
        benches.append(Bench(tmp_path, spec, launched))
        return benches[-1]

    yield one
    for bench in benches:
        bench.template.close()
        bench.loop.close()
        bench.files.close()
    # This process would keep the orphans of other tests as zombies.
    ctypes.CDLL(None).prctl(module.PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0)


@pytest.fixture
def bench(make: Make) -> Bench:
    return make()


def test_what_it_makes_is_a_child_as_any_other(bench: Bench) -> None:
    bench.load()
    first, second = bench.fork(), bench.fork()
    randoms = set()
    for process in (first, second):
        process.send({"type": "settings", "name": "worker-1", "home": "", "settings": {}})
        told = bench.told(process)
        randoms |= {told["random"], told["key"]}
        assert told["pid"] == process.pid
        assert told["parent"] == os.getpid()
        assert told["group"] == told["session"] == process.pid
        assert told["threads"] == 2  # its own and the lifeline's
        assert told["folder"] == str(bench.home)
        assert told["comm"] == "chatd-worker-1"
        assert process.pid != bench.pid
    assert len(randoms) == 4
    first.send({"type": "end", "code": 65})
    assert bench.end(first) == 65
    second.signal(signal.SIGKILL)
    assert bench.end(second) == -signal.SIGKILL


def test_its_children_hold_nothing_but_their_own(bench: Bench) -> None:
    """A pipe's end that a brother holds would hide a death."""
    bench.load()
    first, second = bench.fork(), bench.fork()
    for process in (first, second):
        process.send({"type": "settings", "name": "worker-1", "home": "", "settings": {}})
    held = [bench.told(process)["fds"] for process in (first, second)]
    assert len(set(map(str, held))) == 1
    # standard three, channel, lifeline, log, and the folder that is being listed
    assert held[0] == 7
    for process in (first, second):
        process.send({"type": "end", "code": 0})
        assert bench.end(process) == 0


def test_there_is_none_while_it_loads_nor_for_what_it_does_not_know(bench: Bench) -> None:
    bench.tick()
    assert bench.template.starter(SPEC) is None
    bench.load()
    assert bench.template.starter(SPEC)
    assert not bench.template.starter(OTHER)
    bench.tick(wanted=False)
    assert bench.template.starter(SPEC) is None
    assert not bench.template.pids()


def test_one_that_cannot_load_is_given_up_for_a_while(make: Make, caplog: pytest.LogCaptureFixture) -> None:
    bench = make(NOT_THERE)
    bench.load()
    assert not bench.template.loading
    assert bench.template.starter(NOT_THERE) is None
    bench.tick()
    assert not bench.template.loading
    assert not bench.pid
    assert "ModuleNotFoundError" in str(vars(caplog.records[0]))


def test_one_that_hangs_while_it_loads_is_given_up(bench: Bench) -> None:
    bench.tick()
    os.kill(bench.pid, signal.SIGSTOP)
    bench.tick(LOAD_SECONDS)
    assert not bench.template.loading


def test_a_frozen_one_fails_a_start_and_is_replaced_later(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "FORK_SECONDS", 0.2)
    monkeypatch.setattr("chatd.supervisor.template_process.time.monotonic", lambda: bench.now)
    bench.load()
    os.kill(bench.pid, signal.SIGSTOP)
    with pytest.raises(OSError, match="does not answer"):
        bench.fork()
    assert bench.template.starter(SPEC) is None
    bench.tick(AGAIN_SECONDS - 1)
    assert not bench.pid
    bench.tick(1)
    bench.load()
    assert bench.template.starter(SPEC) is not None


def zombie(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return False


def test_what_it_left_half_made_is_reaped_and_nobody_elses_children(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "FORK_SECONDS", 0.2)
    bench.load()
    os.kill(bench.pid, signal.SIGSTOP)
    with pytest.raises(OSError, match="does not answer"):
        bench.fork()
    # It outlives the shell, which would wait for it otherwise.
    orphaned = ["sh", "-c", "sleep 0.3 & echo $!"]
    with subprocess.Popen(["true"]) as child:
        wait_until(lambda: zombie(child.pid), what="the end of our own child")
        orphan = int(subprocess.run(orphaned, capture_output=True, check=True).stdout)
        wait_until(lambda: zombie(orphan), what="the end of the orphan")
        bench.template.tick(bench.now, wanted=True, children=[child.pid, None])
        assert zombie(child.pid)
        assert child.wait() == 0
    bench.template.tick(bench.now, wanted=True, children=[])
    assert not zombie(orphan)


def test_a_dead_one_is_noticed(bench: Bench) -> None:
    bench.load()
    os.kill(bench.pid, signal.SIGKILL)
    while bench.template.starter(SPEC):
        bench.loop.wait(WAIT)
    assert not bench.template.pids()


def test_without_orphans_there_is_no_template(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_adopt_orphans", lambda: False)
    bench = make()
    bench.tick()
    assert not bench.pid
    assert not bench.template.loading


def test_one_that_was_launched_before_is_taken_over(make: Make) -> None:
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
