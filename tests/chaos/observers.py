"""A process that holds some clients of the storm: python -m tests.chaos.observers CLIENTS IDENTITY...

Each is a real client with its own thread and reconnect jitter. A thousand in one process would wait for
the interpreter lock instead of the server. Commands and answers are JSON lines:

    {"do": "settled", "after": T}   answered {"back": [T, ...]} when all have caught up after T (monotonic)
    {"do": "seen", "seqs": [...]}   answered {"wrong": N} when all have seen the last seq; N saw others
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from chatctl.client import CaughtUp, Client
from chatd.pki.identity import read_identity
from chatd.proto.events import Message

SETTLE_SECONDS = 300.0
SWITCH_SECONDS = 0.1


class Observer:
    """One client. Its I/O thread writes the attributes; the main thread only reads them."""

    def __init__(self, identity: Path) -> None:
        self.client = Client(read_identity(identity))
        self.seen: list[int] = []
        self.caught_up = 0.0
        self.client.on_event(self._record)

    def _record(self, event: object) -> None:
        if isinstance(event, CaughtUp):
            self.caught_up = time.monotonic()
        elif isinstance(event, Message):
            self.seen.append(event.seq)


def main(count: int, identities: list[Path]) -> None:
    """Answer commands until the end of standard input."""
    # Threads that wait for the interpreter lock wake up this often. At the default of 5 ms, a thousand
    # clients keep both cores busy with that alone.
    sys.setswitchinterval(SWITCH_SECONDS)
    observers = [Observer(identities[n % len(identities)]) for n in range(count)]
    try:
        for observer in observers:
            observer.client.start()
        for line in sys.stdin:
            print(json.dumps(_answer(observers, json.loads(line))), flush=True)
    finally:
        for observer in observers:
            observer.client.close()


def _answer(observers: list[Observer], command: dict[str, Any]) -> dict[str, Any]:
    if command["do"] == "settled":
        timeout = _wait_for_all(observers, lambda o: o.caught_up > command["after"])
        return timeout or {"back": [o.caught_up for o in observers]}
    seqs = command["seqs"]
    timeout = _wait_for_all(observers, lambda o: bool(o.seen) and o.seen[-1] >= seqs[-1])
    return timeout or {"wrong": sum(o.seen != seqs for o in observers)}


def _wait_for_all(observers: list[Observer], done: Callable[[Observer], bool]) -> dict[str, Any]:
    deadline = time.monotonic() + SETTLE_SECONDS
    while not all(map(done, observers)):
        if time.monotonic() > deadline:
            connected = sum(o.client.connected for o in observers)
            return {
                "error": f"{connected} of {len(observers)} clients are connected after {SETTLE_SECONDS:.0f} s"
            }
        time.sleep(0.05)
    return {}


if __name__ == "__main__":
    main(int(sys.argv[1]), [Path(name) for name in sys.argv[2:]])
