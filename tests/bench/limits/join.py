"""A thousand members who are connected join one room, each of which is told to all who are in it."""

from __future__ import annotations

from tests.bench.limits.crowd import Crowd
from tests.bench.limits.testbed import Chatd, Stage, serving
from tests.bench.limits.verdict import Result, Row, at_most, exactly, told
from tests.bench.machine import settle, usage
from tests.bench.trial import Json

MEMBERS, SHORT_MEMBERS = 1_000, 100
# All at the same time, and a hundred a second.
PACES = {"#r1": ("at once", 0.0), "#r2": ("100 a second", 0.01)}
CPU_SECONDS = 4.0


def run(stage: Stage) -> Result:
    """Two rooms, one after the other."""
    members = SHORT_MEMBERS if stage.short else MEMBERS
    server = Chatd(stage.folder, stage.home(f"crowd of {members}", members), members)
    with serving(server), Crowd(server, stage.folder, members, 1) as crowd:
        crowd.log_in()
        crowd.hear()
        found = {pace: _join(crowd, room, gap) for room, (pace, gap) in PACES.items()}
    return Result([row for pace, one in found.items() for row in _rows(pace, one)], {"joins": found})


def _join(crowd: Crowd, room: str, gap: float) -> Json:
    before = usage(crowd.pid).cpu
    (result,) = crowd.all("join", room=room, gap=gap)
    settle(crowd.pid)
    return {**result, "server_cpu": usage(crowd.pid).cpu - before}


def _rows(pace: str, one: Json) -> list[Row]:
    return [
        at_most(f"{pace}: server CPU in all", one["server_cpu"], CPU_SECONDS, "s"),
        exactly(f"{pace}: deliveries", one["deliveries"], one["expected"]),
        told(f"{pace}: CPU a delivery", one["server_cpu"] / max(1, one["deliveries"]) * 1e6, "us"),
        told(f"{pace}: until all had heard of all", one["seconds"], "s"),
        told(f"{pace}: generator busy", one["busy"] * 100, "%"),
    ]
