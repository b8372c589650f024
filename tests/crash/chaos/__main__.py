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

from tests.crash.chaos import kills


def main() -> int:
    """0: nothing was found; 1: the trial's folder is kept and named."""
    parser = argparse.ArgumentParser(prog="python -m tests.crash.chaos", description=__doc__)
    parser.add_argument("--seed", type=int, default=None, help="default: a random one, printed")
    commands = parser.add_subparsers(dest="trial", required=True)
    some = commands.add_parser("kills", help="random kill -9 and SIGSTOP of everything under load")
    some.add_argument("--kills", type=int, default=20)
    some.add_argument("--minutes", type=float, default=1e9, help="at most so long")
    some.add_argument("--talkers", type=int, default=6)
    some.add_argument("--window", type=int, default=16, help="messages of a client under way")
    options = parser.parse_args()
    seed = options.seed if options.seed is not None else secrets.randbelow(1_000_000)
    folder = Path(tempfile.mkdtemp(prefix=f"chatd-{options.trial}-"))
    sys.stdout.write(f"trial {options.trial}, seed {seed}, folder {folder}\n")
    sys.stdout.flush()
    result: dict[str, Any] = kills.run(
        folder,
        kills=options.kills,
        seed=seed,
        minutes=options.minutes,
        talkers=options.talkers,
        window=options.window,
    )
    sys.stdout.write(json.dumps(result, indent=1) + "\n")
    if result["findings"]:
        return 1
    shutil.rmtree(folder)
    return 0


if __name__ == "__main__":
    sys.exit(main())
