"""Random kill -9 and SIGSTOP of everything under load, with an admin at work; then the judgement."""

from __future__ import annotations

import random
import sys
import time
from collections.abc import Callable
from pathlib import Path
from signal import SIGKILL
from typing import Any

from tests.chaos.admin import Admin
from tests.chaos.clients import Cast, Part
from tests.chaos.journal import Journal
from tests.chaos.stage import Stage
from tests.chaos.summary import judge_trial, spread, summary

WORKERS = ["worker-1", "worker-2"]
ROOMS = ["#war", "#lab"]
OUTCASTS = 6


def parts(talkers: int, window: int) -> list[Part]:
    """``talkers`` clients in two rooms, every other one with its outbox on disk; then those for the admin."""
    cast = [
        Part(f"user{n}", "laptop", [ROOMS[n % 2]], durable=n % 4 < 2, window=window, pause=0.0, sturdy=n == 0)
        for n in range(talkers)
    ]
    everywhere = ["#lobby", *ROOMS]
    cast += [
        Part("banned", "laptop", everywhere, durable=True, window=2, pause=0.1, put_out=True),
        Part("muted", "laptop", everywhere, durable=True, window=2, pause=0.1, sturdy=True),
        Part("turned", "laptop", everywhere, durable=True, window=2, pause=0.1, sturdy=True),
    ]
    cast += [
        Part("outcast", f"d{n}", ["#lobby"], durable=False, window=1, pause=0.5, put_out=True)
        for n in range(OUTCASTS)
    ]
    return cast


class Faults:
    """Chooses and does one fault after the other."""

    def __init__(self, stage: Stage, cast: Cast, rng: random.Random) -> None:
        self.kills = 0
        self.client_kills = 0
        self._stage = stage
        self._cast = cast
        self._rng = rng
        self._choices: list[tuple[int, Callable[[], None]]] = [
            (28, lambda: self._kill([rng.choice(WORKERS)])),
            (24, lambda: self._kill(["hub"])),
            (12, lambda: self._kill(["supervisor"])),
            (6, lambda: self._kill([*WORKERS])),
            (6, lambda: self._kill(["hub", *WORKERS])),
            (6, lambda: self._kill_next("hub", "hub")),
            (4, lambda: self._freeze("hub")),
            (4, lambda: self._freeze(rng.choice(WORKERS))),
            (2, lambda: self._freeze("supervisor")),
            # Seldom: after that children come from their command lines for a minute.
            (3, lambda: self._kill(["template"])),
            (2, lambda: self._kill_next("supervisor", "template")),
            (3, self._freeze_template),
            (8, self._kill_client),
        ]

    def one(self) -> None:
        """One fault, and the way back from it."""
        weights = [weight for weight, _ in self._choices]
        self._rng.choices([fault for _, fault in self._choices], weights)[0]()

    def _kill(self, names: list[str]) -> None:
        self.kills += self._stage.kill(names)

    def _kill_next(self, first: str, then: str) -> None:
        """Kill ``first``, and what becomes ``then`` by that while it loads or recovers."""
        old = self._stage.pids().get(then)
        self.kills += len(self._stage.strike([first], SIGKILL))
        deadline = time.monotonic() + 10.0
        while self._stage.pids().get(then, old) == old and time.monotonic() < deadline:
            time.sleep(0.005)
        time.sleep(self._rng.uniform(0.0, 0.5))
        struck = self._stage.strike([then], SIGKILL)
        self.kills += len(struck)
        # Not merely until "running": that is also said by a supervisor that has not seen the death yet, and
        # the next single kill would be charged with the rest of this recovery.
        self._stage.wait_replaced(struck)

    def _freeze(self, name: str) -> None:
        with self._stage.frozen(name):
            time.sleep(self._rng.uniform(1.0, 8.0))
        self._stage.wait_running()

    def _freeze_template(self) -> None:
        """While it is stopped, one is needed: the supervisor waits for it for 1 s, then gives it up."""
        with self._stage.frozen("template"):
            struck = self._stage.strike([self._rng.choice(["hub", *WORKERS])], SIGKILL)
            self.kills += len(struck)
            time.sleep(self._rng.uniform(0.1, 4.0))
        self._stage.wait_replaced(struck)

    def _kill_client(self) -> None:
        self.client_kills += 1
        self._cast.kill_one(self._rng)


def run(
    folder: Path, *, kills: int, seed: int, minutes: float, talkers: int, window: int, pause: float
) -> dict[str, Any]:
    """The trial: at least ``kills`` kill -9 of server processes, at most ``minutes`` long; its result.

    ``pause``: seconds of undisturbed work between two faults, on average.
    """
    rng = random.Random(seed)
    journal = Journal(folder / "faults.jsonl")
    stage = Stage(folder / "home", journal)
    cast = Cast(stage, folder, parts(talkers, window))
    admin: Admin | None = None
    began = time.monotonic()
    try:
        stage.begin()
        victims = {"ban": "banned", "mute": "muted", "role_set": "turned"}
        admin = Admin(
            stage.daemon.identity("alice", "console"),
            Journal(folder / "admin.jsonl"),
            random.Random(seed + 1),
            victims,
            [f"d{n}" for n in range(OUTCASTS)],
        )
        admin.make_rooms(ROOMS)
        cast.begin()
        admin.begin()
        faults = Faults(stage, cast, rng)
        while faults.kills < kills and time.monotonic() - began < minutes * 60:
            time.sleep(rng.expovariate(1 / pause))
            faults.one()
            cast.look_after()
            if sys.stderr.isatty():
                sys.stderr.write(f"\r{faults.kills} of {kills} kills")
        admin.end()
        cast.look_after()
        cast.quiet()
        admin.announce_end()
        late = cast.end()
    finally:
        if admin is not None:
            admin.close()
        cast.close()
        stage.stop()
    verdict = judge_trial(folder, stage.home)
    for user in late:
        verdict.add("I1", "stuck", f"{user} did not come to its end")
    return summary(
        verdict,
        trial="kills",
        seed=seed,
        minutes=round((time.monotonic() - began) / 60, 1),
        freezes=sum(count for word, count in stage.struck.items() if word.startswith("stop")),
        client_kills=faults.client_kills,
        struck=dict(sorted(stage.struck.items())),
        back={name: spread(values) for name, values in stage.recovered.items()},
    )
