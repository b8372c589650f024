"""Age of messages with commits gathered, as it is by default, and without; beside the floor program."""

from __future__ import annotations

from tests.bench.bench_server import Server
from tests.bench.limits.disk_load import commit_ages
from tests.bench.limits.testbed import Chatd, Stage, chosen, steadiness
from tests.bench.limits.verdict import Result, Row, at_most, middle, told
from tests.bench.servers import Floor
from tests.bench.trial import Json, Shape

LOAD = 10_000
CLIENTS = (50, 200)
# p99 in milliseconds.
TARGETS = {"gathered": 20.0, "at once": 5.0}


def run(stage: Stage) -> Result:
    """Rounds of all three."""
    home = stage.home()
    servers: dict[str, Server] = {
        "gathered": Chatd(stage.folder, home),
        "at once": Chatd(stage.folder, home, CHATD_WORKERS__GATHER_MS="0"),
        "floor": Floor(stage.folder, home),
    }
    seconds, rounds = (2.0, 1) if stage.short else (6.0, 3)
    shapes = [Shape(clients, 1, LOAD, seconds, 0.0) for clients in CLIENTS]
    disk = _disk(stage)
    rows = stage.in_turns(servers, shapes, rounds)
    return Result(
        [*disk, *(row for clients in CLIENTS for row in _rows(rows, clients)), steadiness(rows)],
        {"trials": rows},
    )


def _disk(stage: Stage) -> list[Row]:
    """No message is told before its commit, which can take no less than this."""
    ages = commit_ages(stage.folder, min(CLIENTS) / LOAD, 200 if stage.short else 2_000)
    return [
        told(f"the disk alone, a commit: {name}", ages[round(len(ages) * part)], "ms")
        for name, part in (("p50", 0.5), ("p99", 0.99))
    ]


def _rows(rows: list[Json], clients: int) -> list[Row]:
    made = []
    for name in ("floor", *TARGETS):
        trials = chosen(rows, name, clients)
        p99 = middle(trials, "fixed", "ages", 7)
        where = f"N = {clients}, {name}"
        if name in TARGETS:
            made.append(at_most(f"{where}: p99", p99, TARGETS[name], "ms"))
        else:
            made.append(told(f"{where}: p99", p99, "ms"))
        made.append(told(f"{where}: p50", middle(trials, "fixed", "ages", 3), "ms"))
        made.append(told(f"{where}: CPU a delivery", middle(trials, "fixed", "us"), "us"))
    return made
