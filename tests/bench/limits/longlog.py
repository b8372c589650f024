"""The same load with an empty log and with a long one."""

from __future__ import annotations

from tests.bench.bench_server import Server
from tests.bench.limits.testbed import Chatd, Stage, chosen, steadiness
from tests.bench.limits.verdict import Result, Row, at_most, middle, told
from tests.bench.trial import Json, Shape

LOAD = 10_000
CLIENTS = 50
EVENTS, SHORT_EVENTS = 1_000_000, 20_000
# The long log's figures, the empty log's being 1.
MOST = 1.1


def run(stage: Stage) -> Result:
    """Rounds of both."""
    events = SHORT_EVENTS if stage.short else EVENTS
    servers: dict[str, Server] = {
        "empty": Chatd(stage.folder, stage.home()),
        "long": Chatd(stage.folder, stage.long_home(events)),
    }
    seconds, rounds = (2.0, 2) if stage.short else (6.0, 4)
    rows = stage.in_turns(servers, [Shape(CLIENTS, 1, LOAD, seconds, 0.0)], rounds)
    return Result([*_rows(rows), steadiness(rows)], {"events": events, "trials": rows})


def _rows(rows: list[Json]) -> list[Row]:
    empty, long = (chosen(rows, name, CLIENTS) for name in ("empty", "long"))
    made: list[Row] = []
    figures: list[tuple[str, tuple[str | int, ...], str, float]] = [
        ("CPU a delivery", ("fixed", "us"), "us", 1.0),
        ("p50", ("fixed", "ages", 3), "ms", 1.0),
        ("p99", ("fixed", "ages", 7), "ms", 1.0),
        ("server's RSS", ("rss_kb_after",), "MB", 1 / 1024),
    ]
    for what, path, unit, scale in figures:
        before, after = middle(empty, *path) * scale, middle(long, *path) * scale
        made.append(told(f"{what}, empty log", before, unit))
        made.append(told(f"{what}, long log", after, unit))
        made.append(at_most(f"{what}: long / empty", after / before, MOST, ""))
    return made
