"""Measure what chatd does at its limits, trial by trial; each figure beside its target.

    gathering  age of messages with commits gathered and without, beside the floor program
    join       a thousand members who are connected join one room
    many       5,000 connections
    slow       a member of a busy room stops reading
    workers    flat out with one worker and with two
    longlog    the same load with an empty log and with a million events
    replay     one client reads 200,000 messages

A thousand clients whose server is restarted under them are a trial of their own:
python -m tests.chaos storm --clients 1000 --what server
"""

from __future__ import annotations

import argparse
import json
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from tests.bench.limits import gathering, join, longlog, many, replay, slow, workers
from tests.bench.limits.testbed import Stage, say
from tests.bench.limits.verdict import Result, table
from tests.bench.machine import about, allow_descriptors, calibrate
from tests.bench.trial import Json

# `longlog` before `replay`, which reads its log.
TRIALS: dict[str, Callable[[Stage], Result]] = {
    "gathering": gathering.run,
    "join": join.run,
    "many": many.run,
    "slow": slow.run,
    "workers": workers.run,
    "longlog": longlog.run,
    "replay": replay.run,
}


def main() -> int:
    """1 when a trial could not be run; a target that is not reached is a result."""
    options = _options()
    # Ended from outside, it still stops the server under test.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    allow_descriptors()
    best = min(calibrate() for _ in range(3))
    result: Json = {"machine": about(best), "short": options.short, "trials": {}}
    with tempfile.TemporaryDirectory(prefix="limits-") as folder:
        stage = Stage(Path(folder), options.short)
        for name in [name for name in TRIALS if name in (options.names or TRIALS)]:
            result["trials"][name] = _run(name, stage)
    if options.json:
        Path(options.json).write_text(json.dumps(result, indent=1))
    return int(any("error" in trial for trial in result["trials"].values()))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m tests.bench.limits",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help="trials to run; all, if none is named")
    parser.add_argument("--short", action="store_true", help="little of everything, to see that it works")
    parser.add_argument("--json", default="", metavar="FILE", help="write all figures to a file")
    options = parser.parse_args()
    if unknown := [name for name in options.names if name not in TRIALS]:
        parser.error(f"there is no trial {', '.join(unknown)}; there are: {', '.join(TRIALS)}")
    return options


def _run(name: str, stage: Stage) -> Json:
    say(f"--- {name}")
    start = time.monotonic()
    try:
        result = TRIALS[name](stage)
    except (RuntimeError, OSError, AssertionError) as error:
        print(f"### {name}\n\nFAILED: {error}\n", flush=True)
        return {"error": str(error)}
    took = round(time.monotonic() - start, 1)
    print(table(name, result), flush=True)
    print(json.dumps({"trial": name, "seconds": took, "rows": result.as_json()["rows"]}) + "\n", flush=True)
    return {"seconds": took, **result.as_json()}


if __name__ == "__main__":
    sys.exit(main())
