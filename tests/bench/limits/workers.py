"""Flat out with one worker and with two.

On two cores the load generator and the hub need most of what a second worker would: what a CPU second
brings says more there than the ratio of the rates.
"""

from __future__ import annotations

from tests.bench.bench_server import Server
from tests.bench.limits.testbed import Chatd, Stage, chosen, steadiness
from tests.bench.limits.verdict import Result, Row, at_least, middle, told
from tests.bench.trial import Json, Shape

LOAD = 10_000
CLIENTS = 200
LEAST = 1.7
NAMES = {1: "one worker", 2: "two workers"}


def run(stage: Stage) -> Result:
    """Rounds of both."""
    servers: dict[str, Server] = {
        NAMES[count]: Chatd(stage.folder, stage.home(), CHATD_WORKERS__COUNT=str(count)) for count in (1, 2)
    }
    seconds, flat, rounds = (1.0, 2.0, 1) if stage.short else (3.0, 5.0, 3)
    rows = stage.in_turns(servers, [Shape(CLIENTS, 1, LOAD, seconds, flat)], rounds)
    return Result([*_rows(rows), steadiness(rows)], {"trials": rows})


def _rows(rows: list[Json]) -> list[Row]:
    one, two = (chosen(rows, NAMES[count], CLIENTS) for count in (1, 2))
    made: list[Row] = []
    for name, trials in ((NAMES[1], one), (NAMES[2], two)):
        made.append(told(f"{name}: deliveries/s", middle(trials, "flat", "per_second")))
        made.append(told(f"{name}: CPU a delivery", middle(trials, "flat", "us"), "us"))
        for process in ("receiver", "sender"):
            busy = middle(trials, "flat", f"{process}_busy") * 100
            made.append(told(f"{name}: generator's {process} busy", busy, "%"))
    ratio = middle(two, "flat", "per_second") / middle(one, "flat", "per_second")
    made.append(at_least("deliveries/s: two / one", ratio, LEAST, ""))
    # Deliveries a CPU second are the inverse of CPU a delivery.
    made.append(
        told("deliveries a CPU second: two / one", middle(one, "flat", "us") / middle(two, "flat", "us"))
    )
    return made
