"""A member of a busy room stops reading: the effect on the others, its cost, and when it is cut."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import datetime
from typing import Any, NamedTuple

from tests.bench.dialects import DIALECTS
from tests.bench.limits.testbed import Chatd, Testbed, say, serving
from tests.bench.limits.verdict import Result, Row, at_most, exactly, measured, median_of
from tests.bench.machine import usage
from tests.bench.trial import Json, Shape, Trial
from tests.bench.wire_client import Connection


class Case(NamedTuple):
    """A room, its load in deliveries per second, and how many processes do nothing but compute.

    ``percent``: the load is this part of what the server can do, which is measured first.
    """

    name: str
    clients: int
    load: int
    with_seconds: float
    hogs: int
    percent: int = 0


# Filling the kernel's buffers and then the outbox takes about 20 s at 200 messages per second, 5 s at 1,200.
CASES = (
    Case("room of 50, 200 messages/s", 50, 10_000, 34.0, 0),
    Case("room of 12, 1,200 messages/s", 12, 14_400, 15.0, 0),
    Case("room of 12, 1,200 messages/s, all processors busy", 12, 14_400, 15.0, os.cpu_count() or 1),
    Case("room of 50, 80 % of what the server can do", 50, 0, 6.0, 0, percent=80),
)
WITHOUT_SECONDS, ROUNDS = 12.0, 2
SHORT_SECONDS, SHORT_OUTBOX = 20.0, str(64 * 1024)
RECEIVE_BUFFER = 4096
FLAT_OUT_SECONDS = 4.0
P99_RATIO = 1.2
GROWTH_MB = 2.0
CUT_SECONDS = 10.0
SAMPLE_SECONDS = 0.25


def run(testbed: Testbed) -> Result:
    """For each case alternate phases without and with the stopped member."""
    # Fill the outbox in a few seconds.
    settings = {"CHATD_LIMITS__OUTBOX_BYTES": SHORT_OUTBOX} if testbed.short else {}
    server = Chatd(testbed.folder, testbed.home(), 1, **settings)
    rows: list[Row] = []
    found: Json = {}
    with serving(server):
        for case in CASES[:1] if testbed.short else CASES:
            shape = Shape(case.clients, 1, case.load or _share(server, case), 0.0, 0.0)
            with _hogs(case.hogs), closing(Trial(server, shape)) as trial:
                trial.connect()
                found[case.name] = _phases(trial, server, case, testbed.short)
            rows += _rows(case, found[case.name])
    return Result(rows, found)


def _share(server: Chatd, case: Case) -> int:
    """Measure what the server can do with the case's room; return the case's part of it."""
    with closing(Trial(server, Shape(case.clients, 1, 0, 0.0, 0.0))) as trial:
        trial.connect()
        flat = trial.phase("flat_out", seconds=FLAT_OUT_SECONDS, per_message=case.clients)
    say(f"flat out: {flat['per_second']:,.0f} deliveries/s")
    return int(flat["per_second"] * case.percent / 100)


@contextmanager
def _hogs(count: int) -> Iterator[None]:
    """Keep so many processors busy."""
    hogs = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(count)]
    try:
        yield
    finally:
        for hog in hogs:
            hog.kill()
            hog.wait()


def _phases(trial: Trial, server: Chatd, case: Case, short: bool) -> Json:
    without_seconds = SHORT_SECONDS / 2 if short else WITHOUT_SECONDS
    with_seconds = SHORT_SECONDS if short else case.with_seconds
    # Warm-up: fill the hub's memory of recent events and SQLite's cache.
    trial.fixed(without_seconds)
    found: Json = {"without": [], "with": []}
    for _ in range(1 if short else ROUNDS):
        found["without"].append(_phase(trial, server, without_seconds))
        member = _stopped_member(server)
        try:
            found["with"].append(_phase(trial, server, with_seconds) | _cut(server))
        finally:
            member.close()
        say(f"{case.name}, with the stopped member: {found['with'][-1]}")
    return found


def _stopped_member(server: Chatd) -> Connection:
    """Connect a member that catches up and then never reads again."""
    dialect = DIALECTS["chatd"]([server.home.identity(1)])
    member = dialect.connect(("127.0.0.1", server.port), 0, 0)
    dialect.subscribe(member, 0)
    member.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER)
    return member


def _phase(trial: Trial, server: Chatd, seconds: float) -> Json:
    began = time.time()
    with Growth(server.workers()) as workers:
        fixed = trial.fixed(seconds)
    return {"began": began, "fixed": fixed, "growth_mb": workers.growth_kb / 1024}


def _cut(server: Chatd) -> Json:
    """When the last member was cut, and why, from the log; ``None`` if it was not."""
    time.sleep(0.5)
    lines = server.home.daemon.log_lines("connections.log")
    full = [line for line in lines if line["event"] == "slow_consumer"]
    closed = [line for line in lines if line["event"] == "session_closed" and line["user"] == "bench1"]
    if not full or not closed or closed[-1]["at"] < full[-1]["at"]:
        return {"full": None, "closed": None, "reason": None}
    return {"full": _seconds(full[-1]), "closed": _seconds(closed[-1]), "reason": full[-1]["event"]}


def _seconds(line: Json) -> float:
    return datetime.fromisoformat(line["at"]).timestamp()


class Growth:
    """Measures the peak growth of some processes' memory while the context is open."""

    def __init__(self, pids: list[int]) -> None:
        self._pids = pids
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch)
        self._initial = self._peak = self._now()

    def __enter__(self) -> Growth:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    @property
    def growth_kb(self) -> int:
        return self._peak - self._initial

    def _now(self) -> int:
        return sum(usage(pid).rss_kb for pid in self._pids)

    def _watch(self) -> None:
        while not self._stop.wait(SAMPLE_SECONDS):
            self._peak = max(self._peak, self._now())


def _rows(case: Case, found: Json) -> list[Row]:
    without, stopped = found["without"], found["with"]
    before, after = (median_of(phases, "fixed", "ages", 7) for phases in (without, stopped))
    rows = [
        measured("p99 of the others, without stopped member", before, "ms"),
        measured("p99 of the others, with stopped member", after, "ms"),
        at_most("with / without", after / before, P99_RATIO, ""),
        measured("growth of the workers, without stopped member", median_of(without, "growth_mb"), "MB"),
        at_most(
            "growth of the workers, with stopped member", median_of(stopped, "growth_mb"), GROWTH_MB, "MB"
        ),
        exactly(
            "stopped members that were cut", sum(phase["full"] is not None for phase in stopped), len(stopped)
        ),
    ]
    cut: list[Any] = [phase for phase in stopped if phase["full"] is not None]
    if cut:
        full = max(phase["closed"] - phase["full"] for phase in cut)
        rows.append(measured("time until its outbox was full", max(p["full"] - p["began"] for p in cut), "s"))
        rows.append(at_most(f"time from then until it was cut ({cut[0]['reason']})", full, CUT_SECONDS, "s"))
    return [row._replace(what=f"{case.name}: {row.what}") for row in rows]
