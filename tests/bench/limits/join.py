"""A thousand connected users join one room; each join is delivered to all members."""

from __future__ import annotations

from tests.bench.limits.crowd import Crowd
from tests.bench.limits.testbed import Chatd, Testbed, serving
from tests.bench.limits.verdict import Result, Row, at_most, exactly, measured
from tests.bench.machine import usage, wait_until_idle
from tests.bench.trial import Json

MEMBERS, SHORT_MEMBERS = 1_000, 100
# Seconds between two joins.
PACES = {"#r1": ("at once", 0.0), "#r2": ("100 per second", 0.01)}
CPU_SECONDS = 4.0


def run(testbed: Testbed) -> Result:
    """Fill one room at each pace."""
    members = SHORT_MEMBERS if testbed.short else MEMBERS
    server = Chatd(testbed.folder, testbed.home(f"crowd of {members}", members), members)
    with serving(server), Crowd(server, testbed.folder, members, 1) as crowd:
        crowd.log_in()
        crowd.subscribe()
        found = {pace: _join(crowd, room, gap) for room, (pace, gap) in PACES.items()}
    return Result([row for pace, result in found.items() for row in _rows(pace, result)], {"joins": found})


def _join(crowd: Crowd, room: str, gap: float) -> Json:
    before = usage(crowd.pid).cpu
    (result,) = crowd.ask_all("join", room=room, gap=gap)
    wait_until_idle(crowd.pid)
    return {**result, "server_cpu": usage(crowd.pid).cpu - before}


def _rows(pace: str, result: Json) -> list[Row]:
    return [
        at_most(f"{pace}: total server CPU", result["server_cpu"], CPU_SECONDS, "s"),
        exactly(f"{pace}: deliveries", result["deliveries"], result["expected"]),
        measured(
            f"{pace}: CPU per delivery", result["server_cpu"] / max(1, result["deliveries"]) * 1e6, "us"
        ),
        measured(f"{pace}: time until every join was delivered", result["seconds"], "s"),
        measured(f"{pace}: generator busy", result["busy"] * 100, "%"),
    ]
