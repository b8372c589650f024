"""Compare sending flat out with one worker and with two.

On two cores, the load generator and the hub leave little CPU for a second worker. Deliveries per CPU
second say more there than the ratio of the rates.
"""

from __future__ import annotations

from tests.bench.bench_server import Server
from tests.bench.limits.testbed import Chatd, Testbed, steadiness, trials_of
from tests.bench.limits.verdict import Result, Row, at_least, measured, median_of
from tests.bench.trial import Json, Shape

LOAD = 10_000
CLIENTS = 200
MIN_RATIO = 1.7
NAMES = {1: "one worker", 2: "two workers"}


def run(testbed: Testbed) -> Result:
    """Run interleaved rounds of both."""
    servers: dict[str, Server] = {
        NAMES[count]: Chatd(testbed.folder, testbed.home(), CHATD_WORKERS__COUNT=str(count))
        for count in (1, 2)
    }
    seconds, flat, rounds = (1.0, 2.0, 1) if testbed.short else (3.0, 5.0, 3)
    rows = testbed.interleaved(servers, [Shape(CLIENTS, 1, LOAD, seconds, flat)], rounds)
    return Result([*_rows(rows), steadiness(rows)], {"trials": rows})


def _rows(rows: list[Json]) -> list[Row]:
    one, two = (trials_of(rows, NAMES[count], CLIENTS) for count in (1, 2))
    made: list[Row] = []
    for name, trials in ((NAMES[1], one), (NAMES[2], two)):
        made.append(measured(f"{name}: deliveries/s", median_of(trials, "flat", "per_second")))
        made.append(measured(f"{name}: CPU per delivery", median_of(trials, "flat", "us"), "us"))
        for process in ("receiver", "sender"):
            busy = median_of(trials, "flat", f"{process}_busy") * 100
            made.append(measured(f"{name}: generator's {process} busy", busy, "%"))
    ratio = median_of(two, "flat", "per_second") / median_of(one, "flat", "per_second")
    made.append(at_least("deliveries/s: two / one", ratio, MIN_RATIO, ""))
    # Deliveries per CPU second are the inverse of CPU per delivery.
    made.append(
        measured(
            "deliveries per CPU second: two / one",
            median_of(one, "flat", "us") / median_of(two, "flat", "us"),
        )
    )
    return made
