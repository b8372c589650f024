"""Fuzz the parsers: ``python -m tests.fuzz [TARGET]... --count N | --minutes M``.

Each target runs in a process of its own. The executions of --count are split by the shares of the table,
the time of --minutes evenly. Input that fails is kept in --failures; a line says how to run it again.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from tests.fuzz.targets import TARGETS

ROOT = Path(__file__).parents[2]
MEMORY_MB = 2048
# Wall-clock time after which an execution counts as hung, on any machine.
HUNG_SECONDS = 120
# Enough for a traceback behind libFuzzer's notes.
OUTPUT_CHARS = 6000
_DONE = re.compile(r"^stat::number_of_executed_units: (\d+)$", re.MULTILINE)


class Outcome(NamedTuple):
    """The result of one target: executions, seconds, and the output of a run that failed."""

    target: str
    executions: int
    seconds: float
    failure: str


def main() -> int:
    """Run the targets; return 1 if one of them failed, 2 without atheris."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("targets", nargs="*", metavar="TARGET", help=f"one of: {', '.join(TARGETS)}")
    amount = parser.add_mutually_exclusive_group()
    amount.add_argument("--count", type=int, default=1_000_000, help="executions of all targets together")
    amount.add_argument("--minutes", type=float, help="time for all targets together")
    parser.add_argument("--seed", type=int, default=1, help="seed of the fuzzer; default: 1")
    parser.add_argument("--corpus", type=Path, help="keep the inputs found here, to start from next time")
    parser.add_argument(
        "--failures", type=Path, default=Path(".venv/fuzz-failures"), help="where failing input goes"
    )
    parser.add_argument("--json", type=Path, help="write the results here")
    options = parser.parse_args()
    if unknown := set(options.targets) - set(TARGETS):
        parser.error(f"there is no target {', '.join(sorted(unknown))}")
    if not available():
        print("fuzzing needs atheris, which has no wheel for this Python", file=sys.stderr)
        return 2
    outcomes = []
    for outcome in run(options):
        outcomes.append(outcome._asdict())
        print(f"{outcome.target:18} {outcome.executions:10} executions {outcome.seconds:7.0f} s", flush=True)
        if outcome.failure:
            print(outcome.failure, file=sys.stderr, flush=True)
        if options.json:
            options.json.write_text(json.dumps(outcomes, indent=1) + "\n")
    print(f"{'all':18} {sum(one['executions'] for one in outcomes):10} executions")
    return int(any(one["failure"] for one in outcomes))


def available() -> bool:
    """Whether this Python has atheris."""
    return importlib.util.find_spec("atheris") is not None


def run(options: argparse.Namespace) -> Iterator[Outcome]:
    """Yield the outcome of each target."""
    names = options.targets or list(TARGETS)
    shares = sum(TARGETS[name].share for name in names)
    for name in names:
        if options.minutes is None:
            bound = f"-runs={max(1, options.count * TARGETS[name].share // shares)}"
        else:
            bound = f"-max_total_time={max(1, int(options.minutes * 60 / len(names)))}"
        yield fuzz(name, [bound, f"-seed={options.seed}"], corpus=options.corpus, failures=options.failures)


def fuzz(name: str, bounds: list[str], *, corpus: Path | None, failures: Path) -> Outcome:
    """Fuzz one target from its seeds and the inputs that ``corpus`` keeps."""
    memory = "/dev/shm" if Path("/dev/shm").is_dir() else None  # a file for each execution wears a disk
    with tempfile.TemporaryDirectory(prefix="chatd-fuzz-", dir=memory) as scratch:
        kept = (corpus or Path(scratch)) / name
        kept.mkdir(parents=True, exist_ok=True)
        failures.mkdir(parents=True, exist_ok=True)
        options = [
            *bounds,
            f"-max_len={TARGETS[name].longest}",
            f"-rss_limit_mb={MEMORY_MB}",
            f"-timeout={HUNG_SECONDS}",
            f"-artifact_prefix={failures}/{name}-",
            "-print_final_stats=1",
            "-verbosity=0",
        ]
        began = time.monotonic()
        ended = subprocess.run(
            [sys.executable, "-m", "tests.fuzz.run_target", name, str(kept), *options],
            cwd=ROOT,
            env={**os.environ, "TMPDIR": scratch},
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
        )
    output = ended.stdout + ended.stderr
    done = _DONE.search(output)
    again = f"again: python -m tests.fuzz.run_target {name} {failures}/{name}-*"
    failure = "" if ended.returncode == 0 and done else f"{output[-OUTPUT_CHARS:]}\n{again}"
    return Outcome(name, int(done[1]) if done else 0, time.monotonic() - began, failure)


if __name__ == "__main__":
    sys.exit(main())
