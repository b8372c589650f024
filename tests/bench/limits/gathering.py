"""Compare the age of messages with gathered commits, immediate commits, and the floor program."""

from __future__ import annotations

from tests.bench.bench_server import Server
from tests.bench.limits.disk_load import commit_ages
from tests.bench.limits.testbed import Chatd, Testbed, steadiness, trials_of
from tests.bench.limits.verdict import Result, Row, at_most, measured, median_of
from tests.bench.servers import Floor
from tests.bench.trial import Json, Shape

LOAD = 10_000
CLIENTS = (50, 200)
# p99 in milliseconds.
TARGETS = {"gathered": 20.0, "at once": 5.0}


def run(testbed: Testbed) -> Result:
    """Run interleaved rounds of all three."""
    home = testbed.home()
    servers: dict[str, Server] = {
        "gathered": Chatd(testbed.folder, home),
        "at once": Chatd(testbed.folder, home, CHATD_WORKERS__GATHER_MS="0"),
        "floor": Floor(testbed.folder, home),
    }
    seconds, rounds = (2.0, 1) if testbed.short else (6.0, 3)
    shapes = [Shape(clients, 1, LOAD, seconds, 0.0) for clients in CLIENTS]
    disk = _disk(testbed)
    rows = testbed.interleaved(servers, shapes, rounds)
    return Result(
        [*disk, *(row for clients in CLIENTS for row in _rows(rows, clients)), steadiness(rows)],
        {"trials": rows},
    )


def _disk(testbed: Testbed) -> list[Row]:
    """The disk's share: a message is delivered after its commit, which takes at least this long."""
    ages = commit_ages(testbed.folder, min(CLIENTS) / LOAD, 200 if testbed.short else 2_000)
    return [
        measured(f"commit on the bare disk: {name}", ages[round(len(ages) * share)], "ms")
        for name, share in (("p50", 0.5), ("p99", 0.99))
    ]


def _rows(rows: list[Json], clients: int) -> list[Row]:
    made = []
    for name in ("floor", *TARGETS):
        trials = trials_of(rows, name, clients)
        p99 = median_of(trials, "fixed", "ages", 7)
        where = f"N = {clients}, {name}"
        if name in TARGETS:
            made.append(at_most(f"{where}: p99", p99, TARGETS[name], "ms"))
        else:
            made.append(measured(f"{where}: p99", p99, "ms"))
        made.append(measured(f"{where}: p50", median_of(trials, "fixed", "ages", 3), "ms"))
        made.append(measured(f"{where}: CPU per delivery", median_of(trials, "fixed", "us"), "us"))
    return made
