"""CPU of the server's processes for a connection: login, welcome, join, resume, end.

python -m tests.bench.connect_cost [CONNECTIONS]

The clients connect one after another, as one user after another. The gateway is left out.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from chatctl.client import CaughtUp, Client, read_identity
from tests.bench.chathome import ChatHome
from tests.support.daemon import wait_until

USERS = 20
# Time for what the server does after an answer.
SETTLE_SECONDS = 1.0
# The processes' own work is subtracted. It is read in steps of 10 ms, so measure it for a while.
IDLE_SECONDS = 8.0


def cpu(home: ChatHome) -> Counter[str]:
    """Milliseconds of CPU of each kind of process."""
    status = home.daemon.status()
    found: Counter[str] = Counter()
    children = [(child["name"], child["pid"]) for child in status["children"]]
    for name, pid in [("supervisor", status["pid"]), *children]:
        times = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[11:13]
        found[name.rstrip("-0123456789")] += 10 * sum(map(int, times))
    return found


@contextmanager
def connected(home: ChatHome, number: int) -> Iterator[Client]:
    """Connect, join a room, and wait until nothing is missed."""
    with Client(read_identity(home.identity(number % USERS + 1)), reconnect=False) as client:
        client.start()
        client.wait_connected(60)
        client.request("join", room=f"#r{number % USERS + 1}")
        wait_until(lambda: isinstance(client.next_event(0.1), CaughtUp))
        yield client


def main(count: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        home = ChatHome(Path(folder), USERS + 1)
        home.start()
        try:
            for number in range(USERS):
                with connected(home, number):
                    pass
            time.sleep(SETTLE_SECONDS)
            idle = cpu(home)
            time.sleep(IDLE_SECONDS)
            before = cpu(home)
            idle = before - idle
            began = time.monotonic()
            for number in range(count):
                with connected(home, number):
                    pass
            time.sleep(SETTLE_SECONDS)
            seconds = time.monotonic() - began
            spent = cpu(home)
        finally:
            home.stop()
    total = 0.0
    for name in sorted(spent):
        each = (spent[name] - before[name] - idle[name] * seconds / IDLE_SECONDS) / count
        total += each
        print(f"{name:12} {each:6.2f} ms a connection")
    print(f"{'all':12} {total:6.2f} ms a connection, {count} connections in {seconds:.1f} s")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 300)
