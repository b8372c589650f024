"""Run the trial, print its figures as JSON and what they miss; exit 1 if they miss anything."""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path

from tests.abuse import abuse_trial
from tests.abuse.attackers import ATTACKS


def main() -> int:
    """Return 0, or 1 if a promise is not kept."""
    parser = argparse.ArgumentParser(prog="python -m tests.abuse", description=__doc__)
    parser.add_argument("--seconds", type=float, default=60.0, help="length of each phase; default: 60")
    parser.add_argument(
        "--who", choices=ATTACKS, action="append", help="default: guest, user and host at once"
    )
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="chatd-abuse-") as folder:
        figures = abuse_trial.run(Path(folder), seconds=options.seconds, who=options.who)
    missed = abuse_trial.missed_targets(figures)
    sys.stdout.write(json.dumps(figures, indent=1) + "\n")
    for line in missed:
        sys.stdout.write(f"missed: {line}\n")
    return int(bool(missed))


if __name__ == "__main__":
    sys.exit(main())
