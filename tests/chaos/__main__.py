"""The trials as commands; each prints its seed first and its result as one JSON object."""

from __future__ import annotations

import argparse
import json
import secrets
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

from tests.chaos import bigstart, kills, points, storm


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--seed", type=int, default=None, help="default: a random one, printed")
    parser.add_argument("--keep", action="store_true", help="keep the trial's folder in any case")
    trials = parser.add_subparsers(dest="trial", required=True)
    trial = trials.add_parser("kills", help="random kill -9 and SIGSTOP of everything under load")
    trial.add_argument("--kills", type=int, default=20)
    trial.add_argument("--minutes", type=float, default=1e9, help="at most so long")
    trial.add_argument("--talkers", type=int, default=6)
    trial.add_argument("--window", type=int, default=16, help="messages of a client under way")
    trial.add_argument("--pause", type=float, default=1.0, help="seconds between two faults, on average")
    trial = trials.add_parser("points", help="a crash at every named point")
    trial.add_argument("--group", choices=points.GROUPS, action="append", help="default: all, one by one")
    trial = trials.add_parser("storm", help="many clients whose server, hub or workers are killed")
    trial.add_argument("--clients", type=int, default=1000)
    trial.add_argument("--what", choices=("server", "workers", "hub"), default="server")
    trial = trials.add_parser("bigstart", help="the hub's start on a long log")
    trial.add_argument("--events", type=int, default=1_000_000)
    return parser.parse_args()


def _run(options: argparse.Namespace, folder: Path, seed: int) -> list[dict[str, Any]]:
    if options.trial == "points":
        results = []
        for group in options.group or points.GROUPS:
            (folder / group).mkdir()
            results.append(points.run(folder / group, names=points.GROUPS[group], seed=seed))
        return results
    if options.trial == "storm":
        return [storm.run(folder, clients=options.clients, what=options.what, seed=seed)]
    if options.trial == "bigstart":
        return [bigstart.run(folder, events=options.events, seed=seed)]
    return [
        kills.run(
            folder,
            kills=options.kills,
            seed=seed,
            minutes=options.minutes,
            talkers=options.talkers,
            window=options.window,
            pause=options.pause,
        )
    ]


def main() -> int:
    """0: nothing was found; 1: something was, and the folder with all journals is kept."""
    options = _options()
    seed = options.seed if options.seed is not None else secrets.randbelow(1_000_000)
    folder = Path(tempfile.mkdtemp(prefix=f"chatd-{options.trial}-"))
    sys.stdout.write(f"trial {options.trial}, seed {seed}, folder {folder}\n")
    sys.stdout.flush()
    results = _run(options, folder, seed)
    for result in results:
        sys.stdout.write(json.dumps(result, indent=1) + "\n")
    found = any(result["findings"] for result in results)
    if not (found or options.keep):
        shutil.rmtree(folder)
    return int(found)


if __name__ == "__main__":
    sys.exit(main())
