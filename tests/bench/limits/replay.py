"""One client reads a long room from its beginning, page by page, as fast as it can."""

from __future__ import annotations

from tests.bench.limits.crowd import Crowd
from tests.bench.limits.testbed import Chatd, Stage, serving
from tests.bench.limits.verdict import Result, Row, at_least, middle, told
from tests.bench.machine import settle, usage
from tests.bench.trial import Json

ROOM = "#lobby"
MESSAGES, SHORT_MESSAGES = 200_000, 20_000
LEAST = 200_000.0
ROUNDS = 3


def run(stage: Stage) -> Result:
    """By `history` and by `resume` in turns."""
    messages = SHORT_MESSAGES if stage.short else MESSAGES
    server = Chatd(stage.folder, stage.long_home(messages))
    with serving(server):
        found: dict[str, list[Json]] = {"history": [], "resume": []}
        with Crowd(server, stage.folder, 1, 1) as crowd:
            crowd.log_in()
            settle(crowd.pid)
            for _ in range(ROUNDS):
                for via, results in found.items():
                    results.append(_replay(crowd, via, messages))
    return Result([row for via, results in found.items() for row in _rows(via, results)], dict(found))


def _replay(crowd: Crowd, via: str, messages: int) -> Json:
    before = usage(crowd.pid).cpu
    (result,) = crowd.all("replay", via=via, room=ROOM, messages=messages)
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
    # The pages are whole, so there may be a few more than were asked for.
    messages, pages = results[0]["messages"], results[0]["pages"]
    return [
        at_least(f"{via}: messages a second and core", middle(results, "per_core"), LEAST, ""),
        told(f"{via}: messages a second", middle(results, "per_second")),
        told(f"{via}: server CPU a page", middle(results, "page_ms"), "ms"),
        told(f"{via}: messages a page", messages / pages),
        told(f"{via}: messages", messages),
        told(f"{via}: generator busy", middle(results, "busy"), "%"),
    ]
