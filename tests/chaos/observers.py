"""One process of the storm's clients: python -m tests.chaos.observers CLIENTS IDENTITY...

The clients are the product's own, with its jitter, each on a thread of its own. A thousand of them in one
process would wait for one another's interpreter and not for the server. Commands and answers are JSON lines:

    {"do": "settled", "after": T}   when all have caught up after T (monotonic): {"back": [T, ...]}
    {"do": "seen", "seqs": [...]}   when all have seen the last of these: {"wrong": how many saw others}
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


class Listener:
    """One client. Its I/O thread writes here; the rest is read when that has happened."""

    def __init__(self, identity: Path) -> None:
        self.client = Client(read_identity(identity))
        self.seen: list[int] = []
        self.caught_up = 0.0
        self.client.on_event(self._note)

    def _note(self, event: object) -> None:
        if isinstance(event, CaughtUp):
            self.caught_up = time.monotonic()
        elif isinstance(event, Message):
            self.seen.append(event.seq)


def main(count: int, identities: list[Path]) -> None:
    """Until the end of standard input."""
    # A thread that waits for the interpreter looks for it so often; a hundred in each of ten processes
    # took both cores from the server with that alone.
    sys.setswitchinterval(SWITCH_SECONDS)
    listeners = [Listener(identities[n % len(identities)]) for n in range(count)]
    try:
        for listener in listeners:
            listener.client.start()
        for line in sys.stdin:
            print(json.dumps(_answer(listeners, json.loads(line))), flush=True)
    finally:
        for listener in listeners:
            listener.client.close()


def _answer(listeners: list[Listener], command: dict[str, Any]) -> dict[str, Any]:
    if command["do"] == "settled":
        late = _until(listeners, lambda one: one.caught_up > command["after"])
        return late or {"back": [one.caught_up for one in listeners]}
    seqs = command["seqs"]
    late = _until(listeners, lambda one: bool(one.seen) and one.seen[-1] >= seqs[-1])
    return late or {"wrong": sum(one.seen != seqs for one in listeners)}


def _until(listeners: list[Listener], done: Callable[[Listener], bool]) -> dict[str, Any]:
    deadline = time.monotonic() + SETTLE_SECONDS
    while not all(map(done, listeners)):
        if time.monotonic() > deadline:
            connected = sum(one.client.connected for one in listeners)
            return {"error": f"{connected} of {len(listeners)} clients are connected"}
        time.sleep(0.05)
    return {}


if __name__ == "__main__":
    main(int(sys.argv[1]), [Path(name) for name in sys.argv[2:]])
