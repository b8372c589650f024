"""Run one chaos trial: print its seed, then its result as a JSON object."""

from __future__ import annotations

import argparse
import json
import secrets
import shutil
import signal
import sys
import tempfile
from pathlib import Path
from typing import Any

from tests.chaos import bigstart, cluster_away, cluster_kills, kills, partitions, points, revocations, storm
from tests.chaos.wires import KINDS
from tests.support import wired_network


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--seed", type=int, default=None, help="default: random")
    parser.add_argument(
        "--keep", action="store_true", help="keep the trial's folder even if nothing is found"
    )
    trials = parser.add_subparsers(dest="trial", required=True)
    trial = trials.add_parser("kills", help="kill or suspend random processes under load")
    trial.add_argument("--kills", type=int, default=20, help="stop after this many; default: 20")
    trial.add_argument("--minutes", type=float, default=1e9, help="time limit; default: none")
    trial.add_argument("--talkers", type=int, default=6, help="clients that send without a pause; default: 6")
    trial.add_argument("--window", type=int, default=16, help="unacknowledged messages per client")
    trial.add_argument("--pause", type=float, default=1.0, help="mean seconds between faults")
    trial.add_argument("--clustered", action="store_true", help="with the log in a stream of NATS, too")
    trial = trials.add_parser("cluster", help="kill or suspend processes and nodes of a cluster of three")
    trial.add_argument("--kills", type=int, default=20, help="stop after this many; default: 20")
    trial.add_argument("--minutes", type=float, default=1e9, help="time limit; default: none")
    trial.add_argument("--talkers", type=int, default=6, help="clients that send without a pause; default: 6")
    trial = trials.add_parser("partitions", help="cut the wires between three nodes in network namespaces")
    trial.add_argument("--faults", type=int, default=20, help="stop after this many; default: 20")
    trial.add_argument("--minutes", type=float, default=1e9, help="time limit; default: none")
    trial.add_argument("--talkers", type=int, default=4, help="clients that send all the time; default: 4")
    trial.add_argument("--kinds", default="all", help=f"some of {','.join(KINDS)}; default: all")
    trial = trials.add_parser("points", help="crash at every named crash point")
    trial.add_argument("--group", choices=points.GROUPS, action="append", help="default: every group in turn")
    trial = trials.add_parser("storm", help="kill the server under many clients")
    trial.add_argument("--clients", type=int, default=1000)
    trial.add_argument("--what", choices=("server", "workers", "hub"), default="server", help="what to kill")
    trial = trials.add_parser("bigstart", help="time the hub's start on a long log")
    trial.add_argument("--events", type=int, default=1_000_000)
    trial = trials.add_parser("away", help="time how a node of a cluster catches up")
    trial.add_argument("--events", type=int, default=1_000_000)
    trial = trials.add_parser("revocations", help="take the access of people who are talking")
    trial.add_argument("--rounds", type=int, default=200)
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
    if options.trial == "away":
        return [cluster_away.run(folder, events=options.events, seed=seed)]
    if options.trial == "revocations":
        return [revocations.run(folder, rounds=options.rounds, seed=seed)]
    if options.trial == "partitions":
        kinds = list(KINDS) if options.kinds == "all" else options.kinds.replace(",", " ").split()
        if why := wired_network.missing():
            sys.stdout.write(f"skipped: {why}\n")
            return []
        length = {"faults": options.faults, "minutes": options.minutes, "talkers": options.talkers}
        return [partitions.run(folder, kinds=kinds, seed=seed, **length)]
    load: dict[str, Any] = {
        "kills": options.kills,
        "seed": seed,
        "minutes": options.minutes,
        "talkers": options.talkers,
    }
    if options.trial == "cluster":
        return [cluster_kills.run(folder, **load, window=8, pause=1.0)]
    return [
        kills.run(folder, **load, window=options.window, pause=options.pause, clustered=options.clustered)
    ]


def main() -> int:
    """Return 0, or 1 if there are findings; the folder with all journals is then kept."""
    options = _options()
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # as Ctrl-C: what it has started ends, too
    seed = options.seed if options.seed is not None else secrets.randbelow(1_000_000)
    folder = Path(tempfile.mkdtemp(prefix=f"chatd-{options.trial}-"))
    sys.stdout.write(f"trial {options.trial}, seed {seed}, folder {folder}\n")
    sys.stdout.flush()
    results = _run(options, folder, seed)
    for result in results:
        sys.stdout.write(json.dumps(result, indent=1) + "\n")
    has_findings = any(result["findings"] for result in results)
    if not (has_findings or options.keep):
        shutil.rmtree(folder)
    return int(has_findings)


if __name__ == "__main__":
    sys.exit(main())
