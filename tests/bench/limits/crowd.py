"""Many connections, spread over several processes of the load generator."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from tests.bench.limits.testbed import Chatd
from tests.bench.load import SENT, SHARED_BYTES, Shared
from tests.bench.machine import usage, wait_until_idle
from tests.bench.trial import Json, Process

MODULE = "tests.bench.limits.member_count"


class Crowd:
    """``connections`` to a running server, spread over ``processes``. None is logged in yet."""

    def __init__(self, server: Chatd, folder: Path, connections: int, processes: int) -> None:
        self.server = server
        self.pid = server.pid
        self._per_process = connections // processes
        self._shared: list[Shared] = []
        self._receivers: list[Process] = []
        for number in range(processes + 1):
            # A file for each: every process counts its own deliveries.
            path = folder / f"shared{number}"
            path.write_bytes(bytes(SHARED_BYTES))
            self._shared.append(Shared(path))
            role = "send" if number == processes else "receive"
            self._receivers.append(Process(role, server, path, MODULE))
        self._sender = self._receivers.pop()

    def __enter__(self) -> Crowd:
        return self

    def __exit__(self, *_: object) -> None:
        self.end()

    def end(self) -> None:
        """End all processes, and so all connections."""
        for process in (*self._receivers, self._sender):
            process.end()

    def ask_all(self, do: str, **arguments: Any) -> list[Json]:
        """Send a command to every receiver; return the answers."""
        for process in self._receivers:
            process.ask(do, **arguments)
        return [process.answer() for process in self._receivers]

    def log_in(self) -> float:
        """Log all connections in; return how many seconds that took."""
        start = time.monotonic()
        for number, process in enumerate(self._receivers):
            first = number * self._per_process
            process.ask("login", port=self.server.port, first=first, count=self._per_process, rooms=1)
        for process in self._receivers:
            process.answer()
        return time.monotonic() - start

    def subscribe(self) -> None:
        """Subscribe all connections to the lobby."""
        self.ask_all("subscribe", rooms=1)
        wait_until_idle(self.pid)

    def say(self, count: int, gap: float) -> list[Json]:
        """Send ``count`` messages to the lobby; return what each receiver got."""
        self._sender.call("login", port=self.server.port, first=0, rooms=1)
        for process in self._receivers:
            process.ask("run", per_message=self._per_process)
        self._sender.call("rate", gap=gap, count=count, rooms=1)
        for shared in self._shared:
            shared.set(SENT, count)
        return [process.answer() for process in self._receivers]

    def own_rss_kb(self) -> int:
        """Memory of the load generator."""
        return sum(usage(process.pid).rss_kb for process in (*self._receivers, self._sender))
