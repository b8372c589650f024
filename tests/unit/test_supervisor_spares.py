"""Spares: taken once, replaced in quiet times only, gone when they should be."""

from __future__ import annotations

import signal
from typing import cast

import pytest

from chatd.supervisor.process import ChildSpec, RealProcess
from chatd.supervisor.spares import AGAIN_SECONDS, CALM_SECONDS, Spares

HUB = ChildSpec("hub", "hub", ("true",), spare=True)
WORKERS = [ChildSpec(f"worker-{n}", "worker", ("true",), spare=True) for n in (1, 2)]
OTHER = ChildSpec("other", "other", ("true",))


class FakeProcess:
    """As much of a RealProcess as a spare is."""

    count = 0

    def __init__(self) -> None:
        FakeProcess.count += 1
        self.pid = FakeProcess.count
        self.name = ""
        self.code: int | None = None
        self.closed = False

    def rename(self, name: str) -> None:
        self.name = name

    def signal(self, number: signal.Signals) -> None:
        self.code = -number

    def poll(self) -> int | None:
        return self.code

    def close(self) -> None:
        self.closed = True


class Bench:
    def __init__(self) -> None:
        self.spawned: list[FakeProcess] = []
        self.broken = False
        self.now = 100.0
        self.spares = Spares([HUB, *WORKERS, OTHER], self.spawn)

    def spawn(self, spec: ChildSpec) -> RealProcess:
        if self.broken:
            raise OSError(11, "no more processes")
        self.spawned.append(FakeProcess())
        return cast(RealProcess, self.spawned[-1])

    def wait(self, seconds: float, *, calm: bool = True) -> None:
        self.now += seconds
        self.spares.tick(self.now, calm=calm)

    def settle(self) -> None:
        self.wait(0)
        for _ in range(4):
            self.wait(CALM_SECONDS)


def test_one_of_each_kind_and_only_while_it_is_calm() -> None:
    bench = Bench()
    for _ in range(5):
        bench.wait(CALM_SECONDS, calm=False)
    assert not bench.spawned
    bench.settle()
    assert [process.name for process in bench.spawned] == ["hub-spare", "worker-spare"]
    assert set(bench.spares.pids().values()) == {process.pid for process in bench.spawned}


def test_a_spare_becomes_the_child_and_is_replaced_later() -> None:
    bench = Bench()
    bench.settle()
    taken = cast(FakeProcess, bench.spares.take(WORKERS[1]))
    assert taken.name == "worker-2"
    assert taken.pid not in bench.spares.pids().values()
    assert bench.spares.take(WORKERS[0]) is None
    assert bench.spares.take(OTHER) is None
    bench.wait(0, calm=False)
    bench.settle()
    assert bench.spares.take(WORKERS[0]) is not None


def test_those_that_are_prepared_are_there_at_once() -> None:
    bench = Bench()
    bench.spares.prepare([*WORKERS, OTHER])
    assert len(bench.spawned) == 2
    assert bench.spares.take(WORKERS[0]) is not bench.spares.take(WORKERS[1])
    assert bench.spares.take(WORKERS[0]) is None


def test_a_dead_spare_is_not_taken_and_not_replaced_soon() -> None:
    bench = Bench()
    bench.settle()
    bench.spawned[1].code = 1
    assert bench.spares.take(WORKERS[0]) is None
    bench.settle()
    assert len(bench.spawned) == 2
    assert bench.spawned[1].closed
    bench.wait(AGAIN_SECONDS)
    assert len(bench.spawned) == 3


def test_a_spawn_that_fails_is_not_tried_all_the_time(monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Bench()
    monkeypatch.setattr("chatd.supervisor.spares.time.monotonic", lambda: bench.now)
    bench.broken = True
    bench.settle()
    bench.broken = False
    bench.settle()
    assert not bench.spawned
    bench.wait(AGAIN_SECONDS)
    bench.settle()
    assert len(bench.spawned) == 2


def test_dropped_spares_are_killed_and_reaped() -> None:
    bench = Bench()
    bench.settle()
    bench.spares.drop()
    assert bench.spares.take(HUB) is None
    assert not bench.spares.pids()
    bench.spares.close()
    assert all(p.code == -signal.SIGKILL and p.closed for p in bench.spawned)
