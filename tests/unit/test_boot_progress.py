"""A start may take as long as it makes progress; whoever hangs is still replaced."""

from __future__ import annotations

import signal
import time
from pathlib import Path

import pytest

from chatd.child.boot_progress import PROGRESS_SECONDS, BootProgress
from chatd.errors import ChatdError
from chatd.hub.recovery import recover
from chatd.store import database
from chatd.store.entry import Entry
from chatd.store.event_log import EventLog
from chatd.supervisor.health import BOOT_SECONDS
from chatd.supervisor.states import ChildState
from tests.unit.test_supervisor_health import Bench

ROOMS = 300


class Interrupt(Exception):
    """Ends what reports its progress."""


def test_a_child_that_starts_for_an_hour_is_left_alone_while_it_tells_of_progress() -> None:
    bench = Bench()
    bench.child.wanted = True
    bench.tick()
    progress = BootProgress(bench.run.arrived.append, lambda: bench.now)
    for _ in range(120):
        progress()
        bench.tick(BOOT_SECONDS - 0.1)
    assert bench.run.signals == []
    assert bench.child.state is ChildState.STARTING
    bench.run.arrived.append({"type": "ready"})
    assert bench.tick() is ChildState.RUNNING


def test_a_child_that_stops_making_progress_is_aborted() -> None:
    bench = Bench()
    bench.child.wanted = True
    bench.tick()
    progress = BootProgress(bench.run.arrived.append, lambda: bench.now)
    for _ in range(3):
        progress()
        bench.tick(BOOT_SECONDS - 0.1)
    bench.tick(BOOT_SECONDS + 0.1)
    assert bench.run.signals == [signal.SIGABRT]


def test_progress_is_told_at_most_once_a_second() -> None:
    told: list[dict[str, object]] = []
    now = 0.0
    progress = BootProgress(told.append, lambda: now)
    for _ in range(10_000):
        progress()
    assert told == []
    now = PROGRESS_SECONDS
    for _ in range(10_000):
        progress()
    assert told == [{"type": "progress"}]


def write_log(data: Path) -> None:
    log = EventLog.open(data, now=0)
    fields = b'"topic":"","guests":false,"by":"server"}'
    log.append(
        [
            Entry(
                seq,
                seq,
                "room_created",
                f"#r{seq}",
                "server/box",
                None,
                None,
                b'{"type":"room_created","seq":%d,"at":%d,"room":"#r%d",%b' % (seq, seq, seq, fields),
            )
            for seq in range(1, ROOMS + 1)
        ]
    )
    log.close()


def test_migrating_and_verifying_tell_of_their_progress(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also inside one statement: a step of a migration is one, however large the log is."""
    write_log(tmp_path)
    monkeypatch.setattr(database, "PROGRESS_STEPS", 100)
    calls: list[float] = []
    log = EventLog.open(tmp_path, now=0, progress=lambda: calls.append(time.monotonic()))
    verified = len(calls)
    assert verified > ROOMS // 20
    assert recover(log, progress=lambda: calls.append(time.monotonic())).room_count == ROOMS
    assert len(calls) == verified + ROOMS
    before = len(calls)
    log.append([Entry(ROOMS + 1, 1, "message", "#r1", "a/b", b"x" * 16, None, b"{}")])
    assert len(calls) == before, "a log that is open tells nothing"
    log.close()


def test_one_long_statement_tells_of_its_progress(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_log(tmp_path)
    monkeypatch.setattr(database, "PROGRESS_STEPS", 100)
    calls: list[None] = []
    connection = database.connect_writer(tmp_path)
    with database.reporting(connection, lambda: calls.append(None)):
        connection.execute("CREATE INDEX one ON events(kind, room)")
    assert len(calls) > ROOMS // 20
    connection.close()


def test_a_log_that_another_program_locks_still_says_so(tmp_path: Path) -> None:
    write_log(tmp_path)
    other = database.connect_writer(tmp_path)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(ChatdError) as refusal:
        EventLog.open(tmp_path, now=0, progress=lambda: None)
    assert database.is_locked(refusal.value)
    other.close()
