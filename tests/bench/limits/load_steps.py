"""Measure the age of messages and the CPU per delivery at several shares of what the server can do."""

from __future__ import annotations

from tests.bench.limits.testbed import Chatd, Testbed, say, serving
from tests.bench.limits.verdict import Result, Row, at_most, measured
from tests.bench.trial import Json, Shape, Trial

CLIENTS = 50
PERCENT = (10, 30, 60, 90)
# At the first step nothing waits for a commit.
QUIET_P50_MS = 2.0


def run(testbed: Testbed) -> Result:
    """Find the rate of sending flat out, then run shares of it on the same connections."""
    seconds = 2.0 if testbed.short else 8.0
    with serving(Chatd(testbed.folder, testbed.home())) as server:
        trial = Trial(server, Shape(CLIENTS, 1, 0, seconds, 0.0))
        try:
            trial.connect()
            flat = trial.phase("flat_out", seconds=seconds / 2, per_message=CLIENTS)
            steps = {
                percent: _step(trial, flat["per_second"] * percent / 100, seconds) for percent in PERCENT
            }
        finally:
            trial.close()
    rows = [measured("flat out", flat["per_second"], "deliveries/s")]
    for percent, step in steps.items():
        rows += _rows(percent, step)
    return Result(rows, {"flat": flat, "steps": steps})


def _step(trial: Trial, load: float, seconds: float) -> Json:
    gap = CLIENTS / load
    # The window follows the load of the last two seconds.
    trial.phase("rate", gap=gap, count=round(seconds / 2 / gap), rooms=1)
    step = trial.phase("rate", gap=gap, count=round(seconds / gap), rooms=1)
    say(f"{load:,.0f} deliveries/s: {step['us']:.1f} us, p50/p99 {step['ages'][3]}/{step['ages'][7]} ms")
    return step


def _rows(percent: int, step: Json) -> list[Row]:
    where = f"{percent} % of that"
    p50 = step["ages"][3]
    return [
        measured(f"{where}: CPU per delivery", step["us"], "us"),
        at_most(f"{where}: p50", p50, QUIET_P50_MS, "ms")
        if percent == PERCENT[0]
        else measured(f"{where}: p50", p50, "ms"),
        measured(f"{where}: p99", step["ages"][7], "ms"),
    ]
