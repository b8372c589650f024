"""Start, kill, restart and end the client processes of a trial."""

from __future__ import annotations

import json
import random
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.chaos.journal import read_journal
from tests.chaos.talker import TIMEOUT_SECONDS
from tests.chaos.trial_server import TrialServer


@dataclass
class ClientSpec:
    """What one client does; see `talker.RunSpec`. The trial kills it unless ``never_killed``. The server
    may expel it if ``may_be_expelled``; it is then started again, as a person would do."""

    user: str
    device: str
    rooms: list[str]
    durable: bool
    window: int
    pause: float
    never_killed: bool = False
    may_be_expelled: bool = False


class Clients:
    """All clients of a trial."""

    def __init__(
        self,
        server: TrialServer,
        folder: Path,
        specs: list[ClientSpec],
        identity: Callable[[str, str], Path] | None = None,
    ) -> None:
        self._server = server
        # Where the identity of a user's device is, if not in the server's home.
        self._identity = identity or server.daemon.identity
        self._folder = folder
        self._specs = specs
        self._runs: dict[int, int] = {}
        self._next: dict[int, int] = {}
        self._processes: dict[int, subprocess.Popen[str]] = {}
        self._restarting = threading.Lock()

    def begin(self) -> None:
        """Create missing identities and start every client."""
        for number, spec in enumerate(self._specs):
            if not self._identity(spec.user, spec.device).exists():
                self._server.daemon.add_user(spec.user, device=spec.device)
            self._start(number)

    def _start(self, number: int) -> None:
        spec = self._specs[number]
        run = self._runs[number] = self._runs.get(number, 0) + 1
        first = self._first_counter(number, run)
        run_spec = {
            "identity": str(self._identity(spec.user, spec.device)),
            "journal": str(self._journal(number, run)),
            "state": str(self._folder / f"state-{spec.user}-{spec.device}") if spec.durable else "",
            "rooms": spec.rooms,
            "run": run,
            "first": first,
            "window": spec.window,
            "pause": spec.pause,
        }
        self._processes[number] = subprocess.Popen(
            [sys.executable, "-m", "tests.chaos.talker", json.dumps(run_spec)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=Path(__file__).parents[2],
            env=self._server.daemon.environ,
        )

    def _journal(self, number: int, run: int) -> Path:
        spec = self._specs[number]
        return self._folder / f"client-{spec.user}-{spec.device}-{run}.jsonl"

    def _first_counter(self, number: int, run: int) -> int:
        """The counter after the last message this client tried; each client has a million of its own."""
        counter = self._next.get(number, number * 1_000_000)
        if run > 1 and (path := self._journal(number, run - 1)).exists():
            tried = [line["b"] for line in read_journal(path) if line["k"] == "try"]
            counter = int(tried[-1].rpartition("-")[2]) + 1 if tried else counter
        self._next[number] = counter
        return counter

    def kill_one(self, rng: random.Random) -> str:
        """Kill -9 a random client and start it again."""
        number = rng.choice(
            [n for n, spec in enumerate(self._specs) if not spec.never_killed and not spec.may_be_expelled]
        )
        self._processes[number].kill()
        self._reap(number)
        self._start(number)
        return self._specs[number].user

    def restart_expelled(self) -> None:
        """Restart clients that the server expelled: a ban may be over, a revoked device must fail."""
        with self._restarting:
            for number, spec in enumerate(self._specs):
                if spec.may_be_expelled and self._processes[number].poll() is not None:
                    self._reap(number)
                    self._start(number)

    @contextmanager
    def restarting_expelled(self, seconds: float) -> Iterator[None]:
        """Restart them every so many seconds: during a fault, too, there is somebody to expel."""
        over = threading.Event()

        def restart() -> None:
            while not over.wait(seconds):
                self.restart_expelled()

        thread = threading.Thread(target=restart, daemon=True)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()

    def quiet(self) -> None:
        """Stop all sending, and wait until every client has its answers."""
        for process in self._processes.values():
            self._order_end(process)
        waiting = [
            threading.Thread(target=process.stdout.readline, daemon=True)
            for process in self._processes.values()
            if process.stdout is not None
        ]
        for thread in waiting:
            thread.start()
        for thread in waiting:
            thread.join(TIMEOUT_SECONDS)

    def end(self) -> list[str]:
        """Wait until every client has ended; return the users of those that did not."""
        unfinished = []
        for number, process in self._processes.items():
            try:
                process.wait(TIMEOUT_SECONDS)
            except subprocess.TimeoutExpired:
                unfinished.append(self._specs[number].user)
        self.close()
        return unfinished

    def close(self) -> None:
        """Kill the clients that still run."""
        for number, process in self._processes.items():
            if process.poll() is None:
                process.kill()
            self._reap(number)

    @staticmethod
    def _order_end(process: subprocess.Popen[str]) -> None:
        assert process.stdin is not None
        try:
            process.stdin.write("end\n")
            process.stdin.flush()
        except OSError:
            pass  # expelled by the server, so it has ended

    def _reap(self, number: int) -> None:
        process = self._processes[number]
        process.wait()
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                try:
                    pipe.close()
                except OSError:
                    pass
