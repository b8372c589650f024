"""Shared by the trials: homes that are created once, servers on them, interleaved rounds."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.bench.bench_server import Server
from tests.bench.chathome import ROOMS, ChatHome
from tests.bench.limits.verdict import Row, measured
from tests.bench.machine import calibrate, usage
from tests.bench.servers import ChatdServer
from tests.bench.trial import Json, Shape, measure
from tests.chaos.bigstart import fill

# After the first start, the server indexes a million events in the background. Indexing is over once the
# server uses less than IDLE_CPU seconds of CPU in QUIET_SECONDS; it sometimes waits for the disk.
INDEX_SECONDS, QUIET_SECONDS, IDLE_CPU = 600.0, 4.0, 0.2


class Chatd(ChatdServer):
    """chatd with additional settings. The clients log in as the first ``users`` users of the home."""

    dialect = "chatd_users"

    def __init__(self, folder: Path, home: ChatHome, users: int = 1, **settings: str) -> None:
        super().__init__(folder, home)
        self._users = users
        self._settings = settings

    def identities(self) -> list[Path]:
        return [self.home.identity(number) for number in range(self._users)]

    def start(self) -> None:
        self.home.start(**self._settings)
        self.port = self.home.port

    def workers(self) -> list[int]:
        """The pids of the workers."""
        children = self.home.daemon.status()["children"]
        return [child["pid"] for child in children if child["name"].startswith("worker-")]


@contextmanager
def serving(server: Chatd) -> Iterator[Chatd]:
    """Run ``server`` while the context is open."""
    server.start()
    try:
        yield server
    finally:
        server.stop()


class Testbed:
    """The folder of a run and the homes in it. ``short``: run small versions of the trials."""

    def __init__(self, folder: Path, short: bool) -> None:
        self.folder = folder
        self.short = short
        self._homes: dict[str, ChatHome] = {}
        self._event_counts: dict[str, int] = {}

    def home(self, name: str = "usual", users: int = ROOMS + 1) -> ChatHome:
        """Return a home; create it on first use."""
        if name not in self._homes:
            say(f"creating the home '{name}' with {users} users")
            self._homes[name] = ChatHome(self.folder / name, users)
        return self._homes[name]

    def long_home(self, events: int) -> ChatHome:
        """Return a home whose log has at least ``events`` messages, all of them indexed."""
        home = self.home("long")
        if self._event_counts.get("long", 0) < events:
            say(f"filling the log with {events} messages")
            start = time.monotonic()
            fill(home.data, events)
            home.start()
            try:
                _wait_until_indexed(home.pid())
            finally:
                home.stop()
            say(f"filled and indexed in {time.monotonic() - start:.0f} s")
            self._event_counts["long"] = events
        return home

    def interleaved(self, servers: dict[str, Server], shapes: list[Shape], rounds: int) -> list[Json]:
        """Run every server with every shape; another server goes first in each round.

        Raises RuntimeError if a trial fails, because nothing can then be compared.
        """
        found: list[Json] = []
        names = list(servers)
        for number in range(rounds):
            first = number % len(names)
            for shape in shapes:
                for name in names[first:] + names[:first]:
                    before = calibrate()
                    row = measure(servers[name], shape)
                    if "error" in row:
                        raise RuntimeError(f"{name} with {shape.name} clients: {row['error']}")
                    row |= {"round": number, "server": name, "clients": shape.clients}
                    row["calibration"] = max(before, calibrate())
                    found.append(row)
                    say(_line(row))
        return found


def trials_of(rows: list[Json], server: str, clients: int) -> list[Json]:
    """The trials of one server with this number of clients."""
    return [row for row in rows if row["server"] == server and row["clients"] == clients]


def _wait_until_indexed(pid: int) -> None:
    until = time.monotonic() + INDEX_SECONDS
    while time.monotonic() < until:
        before = usage(pid).cpu
        time.sleep(QUIET_SECONDS)
        if usage(pid).cpu - before < IDLE_CPU:
            return
    raise RuntimeError(f"the search index was not complete after {INDEX_SECONDS:.0f} s")


def steadiness(rows: list[Json]) -> Row:
    """The machine's own variation: the slowest and fastest run of a fixed piece of work."""
    times = [row["calibration"] for row in rows]
    return measured("machine speed: slowest / fastest calibration", max(times) / min(times))


def _line(row: Json) -> str:
    fixed, flat = row["fixed"], row.get("flat")
    return (
        f"{row['round']} {row['server']:20} {row['clients']:>5}  {fixed['us']:6.1f} us"
        f"  p50/p99 {fixed['ages'][3]:.1f}/{fixed['ages'][7]:.1f} ms  lost {fixed['lost']}"
        + (f"  flat {flat['per_second'] / 1e3:.0f} k/s ({flat['us']:.1f} us)" if flat else "")
        + f"  calibration {row['calibration'] * 1e3:.1f} ms"
    )


def say(text: str) -> None:
    """Print progress to standard error."""
    print(text, file=sys.stderr, flush=True)
