"""The server's CPU for one enrolment: all of its processes, as /proc counts it.

python -m tests.bench.enrolment_cost [COUNT]
"""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path

from chatd.enrol.admission import ATTEMPTS_PER_BLOCK, ATTEMPTS_PER_BLOCK_BURST_SECONDS
from tests.support.daemon import Daemon, running
from tests.support.joining import RawJoiner

# As many as one block may make at once.
MOST = int(ATTEMPTS_PER_BLOCK * ATTEMPTS_PER_BLOCK_BURST_SECONDS) - 10


def cpu_seconds(daemon: Daemon) -> dict[str, float]:
    """Return user and system time of each child."""
    tick = os.sysconf("SC_CLK_TCK")
    found = {}
    for child in daemon.status()["children"]:
        fields = Path(f"/proc/{child['pid']}/stat").read_text().rpartition(")")[2].split()
        found[child["name"]] = (int(fields[11]) + int(fields[12])) / tick
    return found


def main(count: int) -> None:
    """Print milliseconds of CPU for each enrolment, by process."""
    with tempfile.TemporaryDirectory() as folder, running(Path(folder) / "home") as daemon:
        names = Path(folder) / "names.csv"
        names.write_text("".join(f"u{number}\n" for number in range(count)))
        lines = daemon.chatctl("invite", "create", "--file", str(names)).stdout.splitlines()
        before = cpu_seconds(daemon)
        for line in lines:
            with RawJoiner(daemon.port) as joiner:
                assert joiner.redeem(line.split()[-1])["type"] == "enrolled"
        after = cpu_seconds(daemon)
        spent = {name: (after[name] - before[name]) * 1000 / count for name in after}
        for name, milliseconds in spent.items():
            print(f"{name:10} {milliseconds:6.2f} ms")
        print(f"{'all':10} {sum(spent.values()):6.2f} ms")


if __name__ == "__main__":
    main(min(MOST, int(sys.argv[1]) if len(sys.argv) > 1 else MOST))
