"""Kill a server under many clients; time how long each takes to be back, and check that it missed nothing.

The clients run in separate processes (see `observers`). One client keeps sending before, during and after
the outage.
"""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

from chatctl.client import Client
from chatd.errors import ChatdError
from chatd.pki.identity import read_identity
from tests.chaos.journal import Journal
from tests.chaos.observers import SETTLE_SECONDS
from tests.chaos.summary import spread
from tests.chaos.trial_server import TrialServer

USERS = 20
ROOM = "#lobby"
TALK_PAUSE = 0.5
# With several hundred in one process, clients wait for its interpreter lock.
CLIENTS_PER_PROCESS = 100


class ObserverPool:
    """All observing clients, spread over processes."""

    def __init__(self, clients: int, identities: list[Path]) -> None:
        sizes = [
            min(CLIENTS_PER_PROCESS, clients - start) for start in range(0, clients, CLIENTS_PER_PROCESS)
        ]
        self._processes = [
            subprocess.Popen(
                [sys.executable, "-m", "tests.chaos.observers", str(size), *map(str, identities)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
            for size in sizes
        ]

    def ask(self, do: str, **arguments: Any) -> list[dict[str, Any]]:
        """Ask all processes; return their answers. Raises AssertionError if clients time out."""
        for process in self._processes:
            assert process.stdin
            process.stdin.write(json.dumps({"do": do, **arguments}) + "\n")
            process.stdin.flush()
        answers = []
        for process in self._processes:
            assert process.stdout
            answer = json.loads(process.stdout.readline() or '{"error": "an observer process has ended"}')
            if "error" in answer:
                raise AssertionError(answer["error"])
            answers.append(answer)
        return answers

    def close(self) -> None:
        """Disconnect all clients and end their processes."""
        for process in self._processes:
            assert process.stdin
            process.stdin.close()
        for process in self._processes:
            assert process.stdout
            process.wait(60)
            process.stdout.close()


def run(folder: Path, *, clients: int, what: str, seed: int) -> dict[str, Any]:
    """Kill ``what``: "server", "workers" or "hub". Times in the result are seconds after the kill."""
    server = TrialServer(folder / "home", Journal(folder / "faults.jsonl"))
    pool: ObserverPool | None = None
    try:
        server.begin()
        identities = [server.daemon.add_user(f"user{n}") for n in range(USERS)]
        pool = ObserverPool(clients, identities)
        pool.ask("settled", after=0.0)
        talker = _Talker(server.daemon.identity("alice", "console"))
        time.sleep(3.0)
        names = {"server": ["supervisor"], "hub": ["hub"], "workers": ["worker-1", "worker-2"]}[what]
        killed = time.monotonic()
        server.kill(names)
        up = time.monotonic() - killed
        if what == "hub":
            time.sleep(2.0)  # clients stay connected: the worker sends "lagged" and they resume
        back = [at - killed for part in pool.ask("settled", after=killed) for at in part["back"]]
        sent = talker.stop()
        # Every observer was live before the first message.
        wrong = sum(part["wrong"] for part in pool.ask("seen", seqs=sent))
    finally:
        if pool is not None:
            pool.close()
        server.stop()
    return {
        "trial": "storm",
        "what": what,
        "seed": seed,
        "clients": clients,
        "server_up": round(up, 3),
        "resumed": spread(back),
        "messages": len(sent),
        "findings": {"lost or doubled": wrong} if wrong else {},
    }


class _Talker:
    """Send a message twice a second; `stop` returns their seqs."""

    def __init__(self, identity: Path) -> None:
        self._client = Client(read_identity(identity), live=False)
        self._client.start()
        self._stop = threading.Event()
        self._seqs: list[int] = []
        self._thread = threading.Thread(target=self._talk, daemon=True)
        self._thread.start()

    def _talk(self) -> None:
        while not self._stop.wait(TALK_PAUSE):
            try:
                self._seqs.append(self._client.send(ROOM, "still here").wait(SETTLE_SECONDS).seq)
            except ChatdError:
                return

    def stop(self) -> list[int]:
        self._stop.set()
        self._thread.join()
        self._client.close()
        return self._seqs
