"""Measure chatd at its limits; each result is shown with its target.

    gathering  age of messages with and without gathered commits, compared with the floor program
    steps      CPU and age of messages at 10, 30, 60 and 90 % of what the server can do
    join       a thousand connected users join one room
    many       5,000 connections
    slow       a member of a busy room stops reading
    workers    flat out with one worker and with two
    longlog    the same load on an empty log and on a million events
    replay     one client reads 200,000 messages
    pages      one client reads pages of 500 from a million messages, and searches them
    snippet    snippets in a room of 200, and the same text as messages

To restart a server under a thousand clients, run
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

from tests.bench.limits import (
    gathering,
    join,
    load_steps,
    longlog,
    many,
    reading_cost,
    replay,
    slow,
    snippet,
    workers,
)
from tests.bench.limits.testbed import Testbed, say
from tests.bench.limits.verdict import Result, table
from tests.bench.machine import allow_descriptors, calibrate, describe_machine
from tests.bench.trial import Json

# `longlog` comes before `replay` and `pages`, which reuse its log.
TRIALS: dict[str, Callable[[Testbed], Result]] = {
    "gathering": gathering.run,
    "steps": load_steps.run,
    "join": join.run,
    "many": many.run,
    "slow": slow.run,
    "workers": workers.run,
    "longlog": longlog.run,
    "replay": replay.run,
    "pages": reading_cost.run,
    "snippet": snippet.run,
}


def main() -> int:
    """Return 1 if a trial failed to run. A missed target is a result, not a failure."""
    options = _options()
    # On SIGTERM, still stop the server under test.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    allow_descriptors()
    best = min(calibrate() for _ in range(3))
    result: Json = {"machine": describe_machine(best), "short": options.short, "trials": {}}
    with tempfile.TemporaryDirectory(prefix="limits-") as folder:
        testbed = Testbed(Path(folder), options.short)
        for name in [name for name in TRIALS if name in (options.names or TRIALS)]:
            result["trials"][name] = _run(name, testbed)
    if options.json:
        Path(options.json).write_text(json.dumps(result, indent=1))
    return int(any("error" in trial for trial in result["trials"].values()))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m tests.bench.limits",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help="trials to run; default: all")
    parser.add_argument(
        "--short", action="store_true", help="run small versions of the trials, to see that they work"
    )
    parser.add_argument("--json", default="", metavar="FILE", help="write all results to this file")
    options = parser.parse_args()
    if unknown := [name for name in options.names if name not in TRIALS]:
        parser.error(f"unknown trial {', '.join(unknown)}; choose from {', '.join(TRIALS)}")
    return options


def _run(name: str, testbed: Testbed) -> Json:
    say(f"--- {name}")
    start = time.monotonic()
    try:
        result = TRIALS[name](testbed)
    except (RuntimeError, OSError, AssertionError) as error:
        print(f"### {name}\n\nFAILED: {error}\n", flush=True)
        return {"error": str(error)}
    seconds = round(time.monotonic() - start, 1)
    print(table(name, result), flush=True)
    print(
        json.dumps({"trial": name, "seconds": seconds, "rows": result.as_json()["rows"]}) + "\n", flush=True
    )
    return {"seconds": seconds, **result.as_json()}


if __name__ == "__main__":
    sys.exit(main())
