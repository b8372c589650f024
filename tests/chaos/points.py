"""Crash at every named point of chatd/crashpoints.py, one at a time, during a conversation."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from signal import SIGKILL
from typing import Any

from chatd.crashpoints import POINTS
from tests.chaos.admin import Admin
from tests.chaos.clients import Clients, ClientSpec
from tests.chaos.journal import Journal
from tests.chaos.kills import WORKERS, add_unfinished
from tests.chaos.summary import judge_trial, summary
from tests.chaos.trial_server import TrialServer

# The conversation passes these hundreds of times a second; the other points need a start, login or command.
_BUSY = (
    *("store.append", "store.mark", "hub.request", "hub.commit", "hub.flush"),
    *("worker.request", "worker.reply", "worker.flush"),
)
# Passes before the crash: about three seconds of service, long enough to restart without a delay.
PASSES = (500, 700)
FIRE_SECONDS = 60.0
# Pause between two attempts to trigger a point.
RETRIGGER_SECONDS = 1.0
GROUPS = {
    "hub": [name for name in POINTS if name.startswith(("hub.", "store."))],
    "worker": [name for name in POINTS if name.startswith("worker.")],
    "supervisor": [name for name in POINTS if name.startswith("supervisor.")],
}


def crash_order(names: Sequence[str], rng: random.Random) -> list[str]:
    """Alternate busy points with others, so that a process that just crashed crashes again as it starts."""
    busy = [name for name in names if name.startswith(_BUSY)]
    other = [name for name in names if not name.startswith(_BUSY)]
    rng.shuffle(busy)
    rng.shuffle(other)
    order = []
    while busy or other:
        order += busy[:1] + other[:1]
        del busy[:1], other[:1]
    return order


def run(folder: Path, *, names: Sequence[str], seed: int) -> dict[str, Any]:
    """Crash at each of ``names``. A point that never fires is a finding."""
    rng = random.Random(seed)
    order = crash_order(names, rng)
    fired = folder / "fired"
    fired.mkdir()
    passes = {name: rng.randint(*PASSES) if name.startswith(_BUSY) else 1 for name in order}
    journal = Journal(folder / "faults.jsonl")
    server = TrialServer(folder / "home", journal)
    server.daemon.init()
    specs = [ClientSpec(f"user{n}", "laptop", ["#lobby"], n % 2 == 0, 4, 0.02) for n in range(4)]
    clients = Clients(server, folder, specs)
    for spec in specs:  # before anything can crash
        server.daemon.add_user(spec.user, device=spec.device)
    server.daemon.environ["CHATD_CRASH_AT"] = ",".join(f"{name}:{passes[name]}" for name in order)
    server.daemon.environ["CHATD_CRASH_ONCE"] = str(fired)
    admin = Admin(server.daemon.identity("alice", "console"), Journal(folder / "admin.jsonl"), rng, {}, [])
    missed = []
    try:
        server.keep_running()
        clients.begin()
        for name in order:
            if not _fire(server, fired / name):
                missed.append(name)
                (fired / name).touch()
        server.wait_until_running()
        clients.quiet()
        admin.make_rooms([])
        admin.announce_end()
        unfinished = clients.end()
    finally:
        admin.close()
        clients.close()
        server.stop()
    for name in set(order) - set(missed):
        wall = (fired / name).stat().st_mtime
        process = name.partition(".")[0].replace("store", "hub")
        journal.write("kill", name=process, wall=wall)
    verdict = judge_trial(folder, server.home)
    for name in missed:
        verdict.add("trial", "missed", name)
    add_unfinished(verdict, unfinished)
    return summary(verdict, trial="points", seed=seed, points=len(order) - len(missed))


def _fire(server: TrialServer, path: Path) -> bool:
    """Trigger a point until its file ``path`` exists; False if it does not fire in time."""
    trigger = next((do for prefix, do in _TRIGGERS.items() if path.name.startswith(prefix)), None)
    deadline = time.monotonic() + FIRE_SECONDS
    next_attempt = time.monotonic() + RETRIGGER_SECONDS
    while not path.exists():
        if time.monotonic() > deadline:
            return False
        if (
            trigger is not None
            and time.monotonic() > next_attempt
            and server.status().get("state") == "running"
        ):
            trigger(server)
            next_attempt = time.monotonic() + RETRIGGER_SECONDS
        time.sleep(0.02)
    return True


def _strike(*names: str) -> Callable[[TrialServer], None]:
    def trigger(server: TrialServer) -> None:
        server.strike(list(names), SIGKILL)

    return trigger


def _replay(server: TrialServer) -> None:
    """Log a change of state, so that the next start of the hub has something to replay."""
    server.daemon.add_user(f"late{time.monotonic_ns()}")
    server.strike(["hub"], SIGKILL)


def _ask(kind: str, **fields: object) -> Callable[[TrialServer], None]:
    return lambda server: server.try_request(kind, **fields)


_TRIGGERS: dict[str, Callable[[TrialServer], None]] = {
    "store.open": _strike("hub"),
    "store.snapshot": _ask("restart"),
    "store.close": _ask("restart"),
    "hub.open.replaying": _replay,
    "hub.open": _strike("hub"),
    "hub.drain": _ask("restart"),
    "hub.session": _strike(*WORKERS),
    "worker.start": _strike("worker-1"),
    "worker.login": _strike(*WORKERS),
    "worker.session": _strike(*WORKERS),
    "worker.hub": _strike("hub"),
    "worker.drain": _ask("restart", rolling=True),
    "supervisor.start": _strike("supervisor"),
    "supervisor.child": _strike("worker-2"),
    "supervisor.reload": _ask("reload"),
    "supervisor.rolling": _ask("restart", rolling=True),
    "supervisor.stop": _ask("stop"),
}
