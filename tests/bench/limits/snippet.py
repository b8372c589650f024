"""Compare snippets of 32 KiB in a room of 200 with messages that hold the same text."""

from __future__ import annotations

from tests.bench.dialects import ChatdLines, ChatdSnippets
from tests.bench.limits.testbed import Chatd, Testbed, steadiness, trials_of
from tests.bench.limits.verdict import Result, Row, at_most, measured, median_of
from tests.bench.trial import Json, Shape

CLIENTS, SHORT_CLIENTS = 200, 20
CHARS = {"snippets": ChatdSnippets.chars, "messages": ChatdLines.chars}
MAX_RATIO = 1.0


class _Lines(Chatd):
    dialect = "chatd_lines"


class _Snippets(Chatd):
    dialect = "chatd_snippets"


def run(testbed: Testbed) -> Result:
    """Send 32 KiB a second both ways, in interleaved rounds."""
    clients = SHORT_CLIENTS if testbed.short else CLIENTS
    seconds, rounds = (2.0, 1) if testbed.short else (20.0, 3)
    home = testbed.home()
    servers = {"snippets": _Snippets(testbed.folder, home), "messages": _Lines(testbed.folder, home)}
    rows: list[Json] = []
    for number in range(rounds):
        for name in sorted(servers, reverse=bool(number % 2)):
            shape = Shape(clients, 1, clients * ChatdSnippets.chars // CHARS[name], seconds, 0.0)
            (row,) = testbed.interleaved({name: servers[name]}, [shape], 1)
            kib = row["fixed"]["deliveries"] * CHARS[name] / 1024
            rows.append(row | {"us_per_kib": row["fixed"]["server_cpu"] / kib * 1e6})
    return Result([*_rows(rows, clients), steadiness(rows)], {"trials": rows})


def _rows(rows: list[Json], clients: int) -> list[Row]:
    cost = {name: median_of(trials_of(rows, name, clients), "us_per_kib") for name in CHARS}
    return [
        *(measured(f"{name}: CPU per KiB delivered", us, "us") for name, us in cost.items()),
        *(
            measured(f"{name}: p99", median_of(trials_of(rows, name, clients), "fixed", "ages", 7), "ms")
            for name in CHARS
        ),
        at_most("CPU: snippets / messages", cost["snippets"] / cost["messages"], MAX_RATIO, ""),
    ]
