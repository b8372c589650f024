"""One client reads a long room from its beginning, page by page, as fast as it can."""

from __future__ import annotations

from tests.bench.limits.crowd import Crowd
from tests.bench.limits.stage import Chatd, Stage
from tests.bench.limits.verdict import Result, Row, at_least, told
from tests.bench.machine import settle, usage
from tests.bench.trial import Json

ROOM = "#lobby"
MESSAGES, SHORT_MESSAGES = 200_000, 20_000
LEAST = 200_000.0


def run(stage: Stage) -> Result:
    """By `history` and by `resume`, twice each."""
    messages = SHORT_MESSAGES if stage.short else MESSAGES
    server = Chatd(stage.folder, stage.long_home(messages))
    server.start()
    try:
        found: dict[str, list[Json]] = {"history": [], "resume": []}
        with Crowd(server, stage.folder, 1, 1) as crowd:
            crowd.log_in()
            settle(crowd.pid)
            for _ in range(2):
                for via, results in found.items():
                    results.append(_replay(crowd, via, messages))
    finally:
        server.stop()
    return Result([row for via, results in found.items() for row in _rows(via, results[-1])], dict(found))


def _replay(crowd: Crowd, via: str, messages: int) -> Json:
    before = usage(crowd.pid).cpu
    (result,) = crowd.all("replay", via=via, room=ROOM, messages=messages)
    return {**result, "server_cpu": usage(crowd.pid).cpu - before}


def _rows(via: str, result: Json) -> list[Row]:
    # The pages are whole, so there may be a few more than were asked for.
    messages = result["messages"]
    return [
        at_least(f"{via}: messages a second and core", messages / result["server_cpu"], LEAST, ""),
        told(f"{via}: messages a second", messages / result["seconds"]),
        told(f"{via}: server CPU a page", result["server_cpu"] / result["pages"] * 1e3, "ms"),
        told(f"{via}: messages a page", messages / result["pages"]),
        told(f"{via}: messages", messages),
        told(f"{via}: generator busy", result["cpu"] / result["seconds"] * 100, "%"),
    ]
