"""A crash at every named point of chatd/crashpoints.py, one after the other, under a conversation."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from signal import SIGKILL
from typing import Any

from chatd.crashpoints import POINTS
from tests.chaos.admin import Admin
from tests.chaos.clients import Cast, Part
from tests.chaos.journal import Journal
from tests.chaos.kills import WORKERS
from tests.chaos.stage import Stage
from tests.chaos.summary import judge_trial, summary

# Passed hundreds of times a second by the conversation; the others by a start, a login or a command.
_BUSY = (
    *("store.append", "store.mark", "hub.request", "hub.commit", "hub.flush"),
    *("worker.request", "worker.reply", "worker.flush"),
)
# Passes before the crash: the process has then served about three seconds, which keeps the restarts prompt.
PASSES = (500, 700)
HIT_SECONDS = 60.0
# How long to wait before doing what leads to a point once more.
AGAIN_SECONDS = 1.0
GROUPS = {
    "hub": [name for name in POINTS if name.startswith(("hub.", "store."))],
    "worker": [name for name in POINTS if name.startswith("worker.")],
    "supervisor": [name for name in POINTS if name.startswith("supervisor.")],
}


def crash_order(names: Sequence[str], rng: random.Random) -> list[str]:
    """Busy points in turn with others: a process that was just crashed is crashed again as it starts."""
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
    """Crash at each of ``names``; the result, with the points that were never hit as findings."""
    rng = random.Random(seed)
    order = crash_order(names, rng)
    fired = folder / "fired"
    fired.mkdir()
    passes = {name: rng.randint(*PASSES) if name.startswith(_BUSY) else 1 for name in order}
    journal = Journal(folder / "faults.jsonl")
    stage = Stage(folder / "home", journal)
    stage.daemon.init()
    parts = [Part(f"user{n}", "laptop", ["#lobby"], n % 2 == 0, 4, 0.02) for n in range(4)]
    cast = Cast(stage, folder, parts)
    for part in parts:  # while nothing runs and nothing crashes
        stage.daemon.add_user(part.user, device=part.device)
    stage.daemon.environ["CHATD_CRASH_AT"] = ",".join(f"{name}:{passes[name]}" for name in order)
    stage.daemon.environ["CHATD_CRASH_ONCE"] = str(fired)
    admin = Admin(stage.daemon.identity("alice", "console"), Journal(folder / "admin.jsonl"), rng, {}, [])
    missed = []
    try:
        stage.keep()
        cast.begin()
        for name in order:
            if not _hit(stage, fired / name):
                missed.append(name)
                (fired / name).touch()
        stage.wait_running()
        cast.quiet()
        admin.make_rooms([])
        admin.announce_end()
        late = cast.end()
    finally:
        admin.close()
        cast.close()
        stage.stop()
    for name in set(order) - set(missed):
        wall = (fired / name).stat().st_mtime
        who = name.partition(".")[0].replace("store", "hub")
        journal.write("kill", name=who, wall=wall)
    verdict = judge_trial(folder, stage.home)
    for name in missed:
        verdict.add("trial", "missed", name)
    for user in late:
        verdict.add("I1", "stuck", f"{user} did not come to its end")
    return summary(verdict, trial="points", seed=seed, points=len(order) - len(missed))


def _hit(stage: Stage, path: Path) -> bool:
    """Wait until a point has fired, and do now and then what leads to it."""
    lead = next((do for prefix, do in _LEADS.items() if path.name.startswith(prefix)), None)
    deadline = time.monotonic() + HIT_SECONDS
    again = time.monotonic() + AGAIN_SECONDS
    while not path.exists():
        if time.monotonic() > deadline:
            return False
        if lead is not None and time.monotonic() > again and stage.status().get("state") == "running":
            lead(stage)
            again = time.monotonic() + AGAIN_SECONDS
        time.sleep(0.02)
    return True


def _strike(*names: str) -> Callable[[Stage], None]:
    def lead(stage: Stage) -> None:
        stage.strike(list(names), SIGKILL)

    return lead


def _replay(stage: Stage) -> None:
    """Something that is not a message, for the next start of the hub to apply."""
    stage.daemon.add_user(f"late{time.monotonic_ns()}")
    stage.strike(["hub"], SIGKILL)


def _ask(kind: str, **fields: object) -> Callable[[Stage], None]:
    return lambda stage: stage.ask_once(kind, **fields)


_LEADS: dict[str, Callable[[Stage], None]] = {
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
