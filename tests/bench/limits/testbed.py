"""What the trials share: homes that are made once, servers on them, rounds that take turns."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.bench.bench_server import Server
from tests.bench.chathome import ROOMS, ChatHome
from tests.bench.limits.verdict import Row, told
from tests.bench.machine import calibrate, usage
from tests.bench.servers import ChatdServer
from tests.bench.trial import Json, Shape, measure
from tests.chaos.bigstart import fill

# The search index of a million events is made in the background after the first start. It is done when the
# server has needed less CPU than IDLE_CPU seconds for QUIET_SECONDS; it also waits for the disk at times.
INDEX_SECONDS, QUIET_SECONDS, IDLE_CPU = 600.0, 4.0, 0.2


class Chatd(ChatdServer):
    """chatd with settings of its own. ``users``: how many of the home's users the clients take turns as."""

    dialect = "crowd"

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
        """The pids of its workers."""
        children = self.home.daemon.status()["children"]
        return [child["pid"] for child in children if child["name"].startswith("worker-")]


@contextmanager
def serving(server: Chatd) -> Iterator[Chatd]:
    """``server``, up for so long."""
    server.start()
    try:
        yield server
    finally:
        server.stop()


class Stage:
    """The folder of a run and the homes in it. ``short``: little of everything, to see that it works."""

    def __init__(self, folder: Path, short: bool) -> None:
        self.folder = folder
        self.short = short
        self._homes: dict[str, ChatHome] = {}
        self._filled: dict[str, int] = {}

    def home(self, name: str = "usual", users: int = ROOMS + 1) -> ChatHome:
        """Made when it is first asked for."""
        if name not in self._homes:
            say(f"making the home '{name}' with {users} users")
            self._homes[name] = ChatHome(self.folder / name, users)
        return self._homes[name]

    def long_home(self, events: int) -> ChatHome:
        """One whose log has at least ``events`` messages, all of them indexed."""
        home = self.home("long")
        if self._filled.get("long", 0) < events:
            say(f"filling its log with {events} messages")
            start = time.monotonic()
            fill(home.data, events)
            home.start()
            try:
                _indexed(home.pid())
            finally:
                home.stop()
            say(f"filled and indexed in {time.monotonic() - start:.0f} s")
            self._filled["long"] = events
        return home

    def in_turns(self, servers: dict[str, Server], shapes: list[Shape], rounds: int) -> list[Json]:
        """Trials of every server with every shape; another server goes first each round.

        Raises RuntimeError when one fails: a comparison without one side is none.
        """
        found: list[Json] = []
        names = list(servers)
        for number in range(rounds):
            turn = number % len(names)
            for shape in shapes:
                for name in names[turn:] + names[:turn]:
                    before = calibrate()
                    row = measure(servers[name], shape)
                    if "error" in row:
                        raise RuntimeError(f"{name} with {shape.name} clients: {row['error']}")
                    row |= {"round": number, "server": name, "clients": shape.clients}
                    row["calibration"] = max(before, calibrate())
                    found.append(row)
                    say(_line(row))
        return found


def chosen(rows: list[Json], server: str, clients: int) -> list[Json]:
    """The trials of one server with so many clients."""
    return [row for row in rows if row["server"] == server and row["clients"] == clients]


def _indexed(pid: int) -> None:
    until = time.monotonic() + INDEX_SECONDS
    while time.monotonic() < until:
        before = usage(pid).cpu
        time.sleep(QUIET_SECONDS)
        if usage(pid).cpu - before < IDLE_CPU:
            return
    raise RuntimeError(f"the search index was not done in {INDEX_SECONDS:.0f} s")


def steadiness(rows: list[Json]) -> Row:
    """How much of the difference may be the machine's: a fixed piece of work at its slowest and fastest."""
    times = [row["calibration"] for row in rows]
    return told("the machine: slowest / fastest trial", max(times) / min(times))


def _line(row: Json) -> str:
    fixed, flat = row["fixed"], row.get("flat")
    return (
        f"{row['round']} {row['server']:20} {row['clients']:>5}  {fixed['us']:6.1f} us"
        f"  p50/p99 {fixed['ages'][3]:.1f}/{fixed['ages'][7]:.1f} ms  lost {fixed['lost']}"
        + (f"  flat {flat['per_second'] / 1e3:.0f} k/s ({flat['us']:.1f} us)" if flat else "")
        + f"  calibration {row['calibration'] * 1e3:.1f} ms"
    )


def say(what: str) -> None:
    """Progress goes to standard error."""
    print(what, file=sys.stderr, flush=True)
