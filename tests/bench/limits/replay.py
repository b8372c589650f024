"""One client reads a long room from the beginning, page by page at full speed."""

from __future__ import annotations

from tests.bench.limits.crowd import Crowd
from tests.bench.limits.testbed import Chatd, Testbed, serving
from tests.bench.limits.verdict import Result, Row, at_least, measured, median_of
from tests.bench.machine import usage, wait_until_idle
from tests.bench.trial import Json

ROOM = "#lobby"
MESSAGES, SHORT_MESSAGES = 200_000, 20_000
MIN_PER_CORE = 200_000.0
ROUNDS = 3


def run(testbed: Testbed) -> Result:
    """Read by `history` and by `resume` in interleaved rounds."""
    messages = SHORT_MESSAGES if testbed.short else MESSAGES
    server = Chatd(testbed.folder, testbed.long_home(messages))
    with serving(server):
        found: dict[str, list[Json]] = {"history": [], "resume": []}
        with Crowd(server, testbed.folder, 1, 1) as crowd:
            crowd.log_in()
            wait_until_idle(crowd.pid)
            for _ in range(ROUNDS):
                for via, results in found.items():
                    results.append(_replay(crowd, via, messages))
    return Result([row for via, results in found.items() for row in _rows(via, results)], dict(found))


def _replay(crowd: Crowd, via: str, messages: int) -> Json:
    before = usage(crowd.pid).cpu
    (result,) = crowd.ask_all("replay", via=via, room=ROOM, messages=messages)
    cpu = usage(crowd.pid).cpu - before
    return {
        **result,
        "server_cpu": cpu,
        "per_core": result["messages"] / cpu,
        "per_second": result["messages"] / result["seconds"],
        "page_ms": cpu / result["pages"] * 1e3,
        "busy": result["cpu"] / result["seconds"] * 100,
    }


def _rows(via: str, results: list[Json]) -> list[Row]:
    # Pages are read whole, so there may be a few more messages than requested.
    messages, pages = results[0]["messages"], results[0]["pages"]
    return [
        at_least(f"{via}: messages per second per core", median_of(results, "per_core"), MIN_PER_CORE, ""),
        measured(f"{via}: messages per second", median_of(results, "per_second")),
        measured(f"{via}: server CPU per page", median_of(results, "page_ms"), "ms"),
        measured(f"{via}: messages per page", messages / pages),
        measured(f"{via}: messages", messages),
        measured(f"{via}: generator busy", median_of(results, "busy"), "%"),
    ]
