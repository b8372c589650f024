"""Memory goes back to the system after a rush of sessions, not during it, and not for a few."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest

from chatd.child import libc
from chatd.child.memory import MANY_SESSIONS, PATIENCE_SECONDS, QUIET_SECONDS, MemoryReturn
from chatd.config.schema import Settings
from tests.support.hub_harness import HubHarness


class Bench:
    """A `MemoryReturn` with a clock that the test moves."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.released: list[float] = []
        self.memory = MemoryReturn(lambda: self.released.append(self.now), lambda: self.now)

    def notes(self, count: int) -> None:
        for _ in range(count):
            self.memory.note()


def test_released_once_after_many_sessions_and_a_pause() -> None:
    bench = Bench()
    bench.notes(MANY_SESSIONS)
    bench.memory.run()
    bench.now += QUIET_SECONDS - 0.1
    bench.memory.run()
    assert bench.released == []
    bench.now += 0.1
    bench.memory.run()
    bench.now += 1000
    bench.memory.run()
    assert len(bench.released) == 1


def test_a_few_sessions_release_nothing() -> None:
    bench = Bench()
    bench.notes(MANY_SESSIONS - 1)
    bench.now += 1000
    bench.memory.run()
    assert bench.released == []


def test_a_rush_without_a_pause_does_not_wait_for_ever() -> None:
    bench = Bench()
    start = bench.now
    while bench.now < start + 3 * PATIENCE_SECONDS:
        bench.notes(MANY_SESSIONS)
        bench.memory.run()
        bench.now += QUIET_SECONDS / 2
    assert 2 <= len(bench.released) <= 3


def test_trim_calls_the_c_library_if_it_can(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[int] = []
    monkeypatch.setattr(libc, "_libc", SimpleNamespace(malloc_trim=calls.append))
    libc.trim_memory()
    assert calls == [0]
    monkeypatch.setattr(libc, "_libc", None)
    libc.trim_memory()


def test_the_hub_counts_logins_and_their_ends(tmp_path: Path) -> None:
    harness, bench = HubHarness(tmp_path / "data", Settings()), Bench()
    try:
        harness.hub._door.memory = bench.memory
        harness.ask(harness.operator, 0, "user_add", user="ann", device="desk", serial="a1")
        worker = harness.workers[0]
        for sid in range(1, MANY_SESSIONS // 2 + 1):
            assert harness.open_session(worker, sid, "ann", "desk", "a1")
            harness.close_session(worker, sid)
        bench.now += QUIET_SECONDS
        bench.memory.run()
        assert len(bench.released) == 1
    finally:
        harness.close()
