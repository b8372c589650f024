"""Compare the same load on an empty log and on a long one."""

from __future__ import annotations

from tests.bench.bench_server import Server
from tests.bench.limits.testbed import Chatd, Testbed, steadiness, trials_of
from tests.bench.limits.verdict import Result, Row, at_most, measured, median_of
from tests.bench.trial import Json, Shape

LOAD = 10_000
CLIENTS = 50
EVENTS, SHORT_EVENTS = 1_000_000, 20_000
# The highest allowed ratio of the long log's results to the empty log's.
MAX_RATIO = 1.1


def run(testbed: Testbed) -> Result:
    """Run interleaved rounds of both."""
    events = SHORT_EVENTS if testbed.short else EVENTS
    servers: dict[str, Server] = {
        "empty": Chatd(testbed.folder, testbed.home()),
        "long": Chatd(testbed.folder, testbed.long_home(events)),
    }
    seconds, rounds = (2.0, 2) if testbed.short else (6.0, 4)
    rows = testbed.interleaved(servers, [Shape(CLIENTS, 1, LOAD, seconds, 0.0)], rounds)
    return Result([*_rows(rows), steadiness(rows)], {"events": events, "trials": rows})


def _rows(rows: list[Json]) -> list[Row]:
    empty, long = (trials_of(rows, name, CLIENTS) for name in ("empty", "long"))
    made: list[Row] = []
    metrics: list[tuple[str, tuple[str | int, ...], str, float]] = [
        ("CPU per delivery", ("fixed", "us"), "us", 1.0),
        ("p50", ("fixed", "ages", 3), "ms", 1.0),
        ("p99", ("fixed", "ages", 7), "ms", 1.0),
        ("server's RSS", ("rss_kb_after",), "MB", 1 / 1024),
    ]
    for name, path, unit, scale in metrics:
        before, after = median_of(empty, *path) * scale, median_of(long, *path) * scale
        made.append(measured(f"{name}, empty log", before, unit))
        made.append(measured(f"{name}, long log", after, unit))
        made.append(at_most(f"{name}: long / empty", after / before, MAX_RATIO, ""))
    return made
