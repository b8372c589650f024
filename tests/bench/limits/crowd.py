"""Many connections, held by several processes of the load generator."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from tests.bench.limits.testbed import Chatd
from tests.bench.load import SENT, SHARED_BYTES, Shared
from tests.bench.machine import settle, usage
from tests.bench.trial import Json, Process

MODULE = "tests.bench.limits.member_count"


class Crowd:
    """``connections`` of a server that is up, spread over ``processes``; nobody is logged in yet."""

    def __init__(self, server: Chatd, folder: Path, connections: int, processes: int) -> None:
        self.server = server
        self.pid = server.pid
        self._each = connections // processes
        self._shared: list[Shared] = []
        self._parts: list[Process] = []
        for number in range(processes + 1):
            # One each: every process counts its own deliveries.
            path = folder / f"shared{number}"
            path.write_bytes(bytes(SHARED_BYTES))
            self._shared.append(Shared(path))
            role = "send" if number == processes else "receive"
            self._parts.append(Process(role, server, path, MODULE))
        self._sender = self._parts.pop()

    def __enter__(self) -> Crowd:
        return self

    def __exit__(self, *_: object) -> None:
        self.end()

    def end(self) -> None:
        """Everybody is gone."""
        for part in (*self._parts, self._sender):
            part.end()

    def all(self, do: str, **arguments: Any) -> list[Json]:
        """The same of every process that receives."""
        for part in self._parts:
            part.ask(do, **arguments)
        return [part.answer() for part in self._parts]

    def log_in(self) -> float:
        """Seconds until the last of them is."""
        start = time.monotonic()
        for number, part in enumerate(self._parts):
            first = number * self._each
            part.ask("login", port=self.server.port, first=first, count=self._each, rooms=1)
        for part in self._parts:
            part.answer()
        return time.monotonic() - start

    def hear(self) -> None:
        """All get what happens from now on."""
        self.all("hear", rooms=1)
        settle(self.pid)

    def say(self, count: int, gap: float) -> list[Json]:
        """``count`` messages to the lobby; what each process got of them."""
        self._sender.call("login", port=self.server.port, first=0, rooms=1)
        for part in self._parts:
            part.ask("run", per_message=self._each)
        self._sender.call("rate", gap=gap, count=count, rooms=1)
        for shared in self._shared:
            shared.set(SENT, count)
        return [part.answer() for part in self._parts]

    def own_rss_kb(self) -> int:
        """Memory of the load generator."""
        return sum(usage(part.pid).rss_kb for part in (*self._parts, self._sender))
