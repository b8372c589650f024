"""The clients of a trial: processes that are started, killed, started again, and brought to their end."""

from __future__ import annotations

import json
import random
import subprocess
import sys
import threading
from dataclasses import dataclass
from pathlib import Path

from tests.chaos.journal import read_journal
from tests.chaos.stage import Stage
from tests.chaos.talker import PATIENCE_SECONDS


@dataclass
class Part:
    """What one client does: see `talker.Orders`. ``sturdy`` ones are never killed; a client that the
    server put out (``put_out``) is started again as a person would do it."""

    user: str
    device: str
    rooms: list[str]
    durable: bool
    window: int
    pause: float
    sturdy: bool = False
    put_out: bool = False


class Cast:
    """All clients."""

    def __init__(self, stage: Stage, folder: Path, parts: list[Part]) -> None:
        self._stage = stage
        self._folder = folder
        self._parts = parts
        self._runs: dict[int, int] = {}
        self._next: dict[int, int] = {}
        self._processes: dict[int, subprocess.Popen[str]] = {}

    def begin(self) -> None:
        """Make the identities and start everybody."""
        for number, part in enumerate(self._parts):
            if not self._stage.daemon.identity(part.user, part.device).exists():
                self._stage.daemon.add_user(part.user, device=part.device)
            self._start(number)

    def _start(self, number: int) -> None:
        part = self._parts[number]
        run = self._runs[number] = self._runs.get(number, 0) + 1
        first = self._first_counter(number, run)
        orders = {
            "identity": str(self._stage.daemon.identity(part.user, part.device)),
            "journal": str(self._journal(number, run)),
            "state": str(self._folder / f"state-{part.user}-{part.device}") if part.durable else "",
            "rooms": part.rooms,
            "run": run,
            "first": first,
            "window": part.window,
            "pause": part.pause,
        }
        self._processes[number] = subprocess.Popen(
            [sys.executable, "-m", "tests.chaos.talker", json.dumps(orders)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=Path(__file__).parents[2],
            env=self._stage.daemon.environ,
        )

    def _journal(self, number: int, run: int) -> Path:
        part = self._parts[number]
        return self._folder / f"client-{part.user}-{part.device}-{run}.jsonl"

    def _first_counter(self, number: int, run: int) -> int:
        """After the last that this client has tried; every client has a million numbers of its own."""
        counter = self._next.get(number, number * 1_000_000)
        if run > 1 and (path := self._journal(number, run - 1)).exists():
            tried = [line["b"] for line in read_journal(path) if line["k"] == "try"]
            counter = int(tried[-1].rpartition("-")[2]) + 1 if tried else counter
        self._next[number] = counter
        return counter

    def kill_one(self, rng: random.Random) -> str:
        """kill -9 of a client, and start it again."""
        number = rng.choice([n for n, part in enumerate(self._parts) if not part.sturdy and not part.put_out])
        self._processes[number].kill()
        self._reap(number)
        self._start(number)
        return self._parts[number].user

    def look_after(self) -> None:
        """Start those again that the server has put out: a ban may be over, a revoked device must fail."""
        for number, part in enumerate(self._parts):
            if part.put_out and self._processes[number].poll() is not None:
                self._reap(number)
                self._start(number)

    def quiet(self) -> None:
        """Nobody sends any more, and everybody has all answers."""
        for process in self._processes.values():
            self._tell(process)
        waiting = [
            threading.Thread(target=process.stdout.readline, daemon=True)
            for process in self._processes.values()
            if process.stdout is not None
        ]
        for thread in waiting:
            thread.start()
        for thread in waiting:
            thread.join(PATIENCE_SECONDS)

    def end(self) -> list[str]:
        """Wait for everybody to end; who did not."""
        late = []
        for number, process in self._processes.items():
            try:
                process.wait(PATIENCE_SECONDS)
            except subprocess.TimeoutExpired:
                late.append(self._parts[number].user)
        self.close()
        return late

    def close(self) -> None:
        """Nobody is left."""
        for number, process in self._processes.items():
            if process.poll() is None:
                process.kill()
            self._reap(number)

    @staticmethod
    def _tell(process: subprocess.Popen[str]) -> None:
        assert process.stdin is not None
        try:
            process.stdin.write("end\n")
            process.stdin.flush()
        except OSError:
            pass  # put out by the server already

    def _reap(self, number: int) -> None:
        process = self._processes[number]
        process.wait()
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                try:
                    pipe.close()
                except OSError:
                    pass
