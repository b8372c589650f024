"""Kill and suspend random processes under load while an admin acts; then judge the result."""

from __future__ import annotations

import random
import sys
import time
from collections.abc import Callable
from pathlib import Path
from signal import SIGKILL
from typing import Any, Protocol

from tests.chaos.admin import Admin
from tests.chaos.checker import Verdict
from tests.chaos.clients import Clients, ClientSpec
from tests.chaos.journal import Journal
from tests.chaos.summary import judge_trial, spread, summary
from tests.chaos.trial_server import TrialServer

WORKERS = ["worker-1", "worker-2"]
ROOMS = ["#war", "#lab"]
OUTCASTS = 6
EXPELLED_SECONDS = 3.0


def client_specs(talkers: int, window: int, breath: float) -> list[ClientSpec]:
    """``talkers`` clients in two rooms, half of them with an outbox on disk; then the admin's victims.

    ``breath`` is the pause in seconds between two messages of a talker.
    """
    specs = [
        ClientSpec(
            f"user{n}",
            "laptop",
            [ROOMS[n % 2]],
            durable=n % 4 < 2,
            window=window,
            pause=breath,
            never_killed=n == 0,
        )
        for n in range(talkers)
    ]
    everywhere = ["#lobby", *ROOMS]
    specs += [
        ClientSpec("banned", "laptop", everywhere, durable=True, window=2, pause=0.1, may_be_expelled=True),
        ClientSpec("muted", "laptop", everywhere, durable=True, window=2, pause=0.1, never_killed=True),
        ClientSpec("turned", "laptop", everywhere, durable=True, window=2, pause=0.1, never_killed=True),
    ]
    specs += [
        ClientSpec("outcast", f"d{n}", ["#lobby"], durable=False, window=1, pause=0.5, may_be_expelled=True)
        for n in range(OUTCASTS)
    ]
    return specs


class FaultInjector:
    """Inject weighted random faults, one at a time."""

    def __init__(
        self, server: TrialServer, clients: Clients, rng: random.Random, *, clustered: bool = False
    ) -> None:
        self.kills = 0
        self.client_kills = 0
        self._server = server
        self._clients = clients
        self._rng = rng
        self._choices: list[tuple[int, Callable[[], None]]] = [
            (28, lambda: self._kill([rng.choice(WORKERS)])),
            (24, lambda: self._kill(["hub"])),
            (12, lambda: self._kill(["supervisor"])),
            (6, lambda: self._kill([*WORKERS])),
            (6, lambda: self._kill(["hub", *WORKERS])),
            (6, lambda: self._kill_next("hub", "hub")),
            (4, lambda: self._suspend("hub")),
            (4, lambda: self._suspend(rng.choice(WORKERS))),
            (2, lambda: self._suspend("supervisor")),
            # Rare: for the next minute, children are started from their command lines.
            (3, lambda: self._kill(["template"])),
            (2, lambda: self._kill_next("supervisor", "template")),
            (3, self._suspend_template),
            (8, self._kill_client),
        ]
        if clustered:
            self._choices += [
                (20, lambda: self._kill(["nats"])),
                (6, lambda: self._kill(["nats", "hub"])),
                (6, lambda: self._kill_next("nats", "hub")),
                (6, lambda: self._suspend_stream()),
            ]

    def inject(self) -> None:
        """Inject one fault and wait for the recovery."""
        weights = [weight for weight, _ in self._choices]
        self._rng.choices([fault for _, fault in self._choices], weights)[0]()

    def _kill(self, names: list[str]) -> None:
        self.kills += self._server.kill(names)

    def _kill_next(self, first: str, then: str) -> None:
        """Kill ``first``, then kill the ``then`` that replaces it while it loads or recovers."""
        old = self._server.pids().get(then)
        self.kills += len(self._server.strike([first], SIGKILL))
        deadline = time.monotonic() + 10.0
        while self._server.pids().get(then, old) == old and time.monotonic() < deadline:
            time.sleep(0.005)
        time.sleep(self._rng.uniform(0.0, 0.5))
        struck = self._server.strike([then], SIGKILL)
        self.kills += len(struck)
        # "running" alone is not enough: a supervisor that has not noticed the death yet says it too, and the
        # time of the next single kill would include the rest of this recovery.
        self._server.wait_until_replaced(struck)

    def _suspend(self, name: str) -> None:
        with self._server.suspended(name):
            time.sleep(self._rng.uniform(1.0, 8.0))
        self._server.wait_until_running()

    def _suspend_stream(self) -> None:
        """Suspend nats-server itself: an append stays undecided, and the hub ends after a while."""
        with self._server.suspended("nats-server"):
            time.sleep(self._rng.uniform(0.5, 6.0))
        self._server.wait_until_running()

    def _suspend_template(self) -> None:
        """Kill a child while the template is suspended: the supervisor gives up on it after 1 s."""
        with self._server.suspended("template"):
            struck = self._server.strike([self._rng.choice(["hub", *WORKERS])], SIGKILL)
            self.kills += len(struck)
            time.sleep(self._rng.uniform(0.1, 4.0))
        self._server.wait_until_replaced(struck)

    def _kill_client(self) -> None:
        self.client_kills += 1
        self._clients.kill_one(self._rng)


class Faults(Protocol):
    """Injects a fault and waits for the recovery; ``kills`` counts the processes that it has killed."""

    kills: int

    def inject(self) -> None: ...


def make_admin(identity: Path, folder: Path, seed: int) -> Admin:
    """Return the admin who acts on the victims among `client_specs`."""
    return Admin(
        identity,
        Journal(folder / "admin.jsonl"),
        random.Random(seed + 1),
        {"ban": "banned", "mute": "muted", "role_set": "turned"},
        [f"d{n}" for n in range(OUTCASTS)],
    )


def conduct(
    admin: Admin,
    clients: Clients,
    faults: Faults,
    rng: random.Random,
    *,
    kills: int,
    until: float,
    pause: float,
    before_end: Callable[[], None] = lambda: None,
) -> list[str]:
    """Inject faults under load until ``kills`` processes were killed or the time ``until`` has come.

    Then call ``before_end`` and let the clients end; return the users of those that did not.
    """
    admin.make_rooms(ROOMS)
    clients.begin()
    admin.begin()
    with clients.restarting_expelled(EXPELLED_SECONDS):
        while faults.kills < kills and time.monotonic() < until:
            time.sleep(rng.expovariate(1 / pause))
            faults.inject()
            if sys.stderr.isatty():
                sys.stderr.write(f"\r{faults.kills} of {kills} kills")
    admin.end()
    before_end()
    clients.restart_expelled()
    clients.quiet()
    admin.announce_end()
    return clients.end()


def add_unfinished(verdict: Verdict, users: list[str]) -> None:
    """Add a finding for each client that did not end."""
    for user in users:
        verdict.add("I1", "stuck", f"{user} did not end")


def run(
    folder: Path,
    *,
    kills: int,
    seed: int,
    minutes: float,
    talkers: int,
    window: int,
    pause: float,
    breath: float = 0.0,
    clustered: bool = False,
) -> dict[str, Any]:
    """Run the trial until ``kills`` server processes were killed or ``minutes`` have passed.

    ``pause`` is the mean time between faults in seconds. Returns the result.
    """
    rng = random.Random(seed)
    journal = Journal(folder / "faults.jsonl")
    cluster = {"CHATD_CLUSTER__NODE": "alpha"} if clustered else {}
    server = TrialServer(folder / "home", journal, **cluster)
    clients = Clients(server, folder, client_specs(talkers, window, breath))
    admin: Admin | None = None
    began = time.monotonic()
    try:
        server.begin()
        admin = make_admin(server.daemon.identity("alice", "console"), folder, seed)
        faults = FaultInjector(server, clients, rng, clustered=clustered)
        unfinished = conduct(
            admin, clients, faults, rng, kills=kills, until=began + minutes * 60, pause=pause
        )
    finally:
        if admin is not None:
            admin.close()
        clients.close()
        server.stop()
    verdict = judge_trial(folder, server.home)
    add_unfinished(verdict, unfinished)
    return summary(
        verdict,
        trial="kills",
        seed=seed,
        minutes=round((time.monotonic() - began) / 60, 1),
        freezes=sum(count for word, count in server.struck.items() if word.startswith("stop")),
        client_kills=faults.client_kills,
        struck=dict(sorted(server.struck.items())),
        back={name: spread(values) for name, values in server.recovered.items()},
    )
