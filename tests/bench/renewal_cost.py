"""The server's CPU for one renewal of a device's certificate: all of its processes, as /proc counts it.

python -m tests.bench.renewal_cost [COUNT]
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from chatd.pki.identity import read_identity
from tests.bench.enrolment_cost import MOST, cpu_seconds
from tests.support.daemon import running
from tests.support.joining import RawJoiner


def main(count: int) -> None:
    """Print milliseconds of CPU for each renewal, by process. A device has one a day, so each has its own."""
    with tempfile.TemporaryDirectory() as folder, running(Path(folder) / "home") as daemon:
        names = Path(folder) / "names.csv"
        names.write_text("".join(f"u{number}\n" for number in range(count)))
        daemon.chatd("user", "add", "--file", str(names))
        identities = [read_identity(path) for path in sorted(daemon.identity("x").parent.glob("u*.pem"))]
        before = cpu_seconds(daemon)
        for identity in identities:
            with RawJoiner(daemon.port) as joiner:
                assert joiner.receive()["type"] == "authority"
                assert joiner.renew(identity, joiner.proof_of(identity))["type"] == "enrolled"
        after = cpu_seconds(daemon)
        spent = {name: (after[name] - before[name]) * 1000 / len(identities) for name in after}
        for name, milliseconds in spent.items():
            print(f"{name:10} {milliseconds:6.2f} ms")
        print(f"{'all':10} {sum(spent.values()):6.2f} ms")


if __name__ == "__main__":
    main(min(MOST, int(sys.argv[1]) if len(sys.argv) > 1 else MOST))
