"""A whole server restarted under many clients: how long until each of them is back and has missed nothing.

The clients are in processes of their own (see `listeners`). Before the kill, while it is down and afterwards
somebody keeps talking.
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
from tests.chaos.stage import Stage
from tests.chaos.summary import spread

USERS = 20
ROOM = "#lobby"
TALK_PAUSE = 0.5
# Clients of one process; at several hundred they wait for its interpreter.
TOGETHER = 100


class Crowd:
    """All clients, in as many processes as they need."""

    def __init__(self, clients: int, identities: list[Path]) -> None:
        sizes = [min(TOGETHER, clients - start) for start in range(0, clients, TOGETHER)]
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
        """The answers of all processes. Raises AssertionError when clients do not get there."""
        for process in self._processes:
            assert process.stdin
            process.stdin.write(json.dumps({"do": do, **arguments}) + "\n")
            process.stdin.flush()
        answers = []
        for process in self._processes:
            assert process.stdout
            answer = json.loads(process.stdout.readline() or '{"error": "a process of clients has ended"}')
            if "error" in answer:
                raise AssertionError(answer["error"])
            answers.append(answer)
        return answers

    def close(self) -> None:
        """Hang up."""
        for process in self._processes:
            assert process.stdin
            process.stdin.close()
        for process in self._processes:
            assert process.stdout
            process.wait(60)
            process.stdout.close()


def run(folder: Path, *, clients: int, what: str, seed: int) -> dict[str, Any]:
    """``what``: kill the whole "server", its "workers", or its "hub". Times are seconds after the kill."""
    stage = Stage(folder / "home", Journal(folder / "faults.jsonl"))
    crowd: Crowd | None = None
    try:
        stage.begin()
        identities = [stage.daemon.add_user(f"user{n}") for n in range(USERS)]
        crowd = Crowd(clients, identities)
        crowd.ask("settled", after=0.0)
        talker = _Talker(stage.daemon.identity("alice", "console"))
        time.sleep(3.0)
        names = {"server": ["supervisor"], "hub": ["hub"], "workers": ["worker-1", "worker-2"]}[what]
        killed = time.monotonic()
        stage.kill(names)
        up = time.monotonic() - killed
        if what == "hub":
            time.sleep(2.0)  # nobody is disconnected: the worker says "lagged", the clients resume
        back = [at - killed for part in crowd.ask("settled", after=killed) for at in part["back"]]
        sent = talker.stop()
        # All listened before the first was sent.
        wrong = sum(part["wrong"] for part in crowd.ask("seen", seqs=sent))
    finally:
        if crowd is not None:
            crowd.close()
        stage.stop()
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
    """Says something twice a second; `stop` gives the seqs of all of it."""

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
