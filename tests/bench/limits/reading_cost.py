"""Read pages of 500 from random places of a long log, and search it for beginnings and parts of words."""

from __future__ import annotations

import random
import statistics
import time
from collections.abc import Callable
from typing import Any

from chatctl.client import Client
from chatd.pki.identity import read_identity
from tests.bench.limits.testbed import Chatd, Testbed, serving
from tests.bench.limits.verdict import Result, Row, at_most, measured

ROOM = "#lobby"
EVENTS, SHORT_EVENTS = 1_000_000, 20_000
TIMES, SHORT_TIMES = 300, 20
PAGE = 500
PAGE_MS, SEARCH_MS = 50.0, 100.0


def run(testbed: Testbed) -> Result:
    """Let one client ask for the three in turns, so that a slow moment meets all."""
    events = SHORT_EVENTS if testbed.short else EVENTS
    server = Chatd(testbed.folder, testbed.long_home(events))
    page: list[float] = []
    beginning: list[float] = []
    part: list[float] = []
    with serving(server), Client(read_identity(server.home.identity(0))) as client:
        client.wait_connected(30)
        for _ in range(SHORT_TIMES if testbed.short else TIMES):
            # Each message has a "alice-NUMBER" (`tests.chaos.bigstart.fill`), two words for the index.
            number = str(random.randint(PAGE + 1, events))
            page.append(_timed(_read_page, client, int(number)))
            beginning.append(_timed(_search, client, f"{number[:-1]}*"))
            part.append(_timed(_search, client, f"*{number[1:]}*"))
    rows = [
        *_rows(f"a page of {PAGE}", page, PAGE_MS),
        *_rows("a search for a beginning", beginning, SEARCH_MS),
        *_rows("a search for a part", part, SEARCH_MS),
    ]
    return Result(rows, {"events": events, "page": page, "beginning": beginning, "part": part})


def _read_page(client: Client, before: int) -> None:
    """Read backwards; an answer holds as many messages as fit its frame."""
    found = 0
    while found < PAGE:
        answer = client.request("history", room=ROOM, before=before, limit=PAGE - found)
        found += len(answer["events"])
        before = answer["events"][0]["seq"]


def _search(client: Client, query: str) -> None:
    assert client.request("search", query=query, limit=50)["events"], query


def _timed(ask: Callable[[Client, Any], None], client: Client, what: Any) -> float:
    """Return how many ms it takes."""
    start = time.perf_counter()
    ask(client, what)
    return (time.perf_counter() - start) * 1e3


def _rows(what: str, taken: list[float], most: float) -> list[Row]:
    cuts = statistics.quantiles(taken, n=100)
    return [measured(f"{what}: p50", cuts[49], "ms"), at_most(f"{what}: p99", cuts[98], most, "ms")]
