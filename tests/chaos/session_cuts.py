"""How soon an acknowledged ban or revocation ends the sessions on every node that is connected (C5)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

from tests.chaos.checker import Run, Verdict
from tests.chaos.journal import Line
from tests.chaos.summary import spread

# A node counts as connected again so long after a fault.
AFTER_SECONDS = 5.0
BEFORE_SECONDS = 2.0
_NEVER = float("inf")
# What ends a fault that lasts. A process may be stopped while its node's wire is cut.
_ENDS = {"stop": "cont"} | dict.fromkeys(
    ("cut", "slow", "away", "asleep", "full", "bits", "reseed"), "mended"
)


class Act(NamedTuple):
    """An acknowledged ban or revocation: of whom ("user", or "user/device"), asked and answered when."""

    who: str
    asked: float
    answered: float


class Session(NamedTuple):
    """A session at an address; ``seen`` is its last sign of life, ``end`` infinite if it has none."""

    who: str
    address: str
    begin: float
    seen: float
    end: float


def check_cuts(
    verdict: Verdict,
    runs: list[Run],
    admin: Iterable[Line],
    addresses: Mapping[str, str],
    faults: Mapping[str, list[Line]],
    seconds: float,
) -> dict[str, float]:
    """Add a finding for each session that outlived a cut by ``seconds``; return how long they lived on.

    ``addresses`` maps addresses to nodes; ``faults`` are the lines of the faults that touch a node.
    """
    sessions = [session for run in runs for session in sessions_of(run)]
    trouble = {node: list(_trouble(lines)) for node, lines in faults.items()}
    lived = []
    for act in _acts(admin):
        for one in sessions:
            if not _is_of(one.who, act.who) or not one.begin < act.asked < one.end:
                continue
            node = addresses.get(one.address, "")
            if any(begin - BEFORE_SECONDS < act.answered < end for begin, end in trouble.get(node, ())):
                continue
            last = max(0.0, (one.seen if one.end == _NEVER else one.end) - act.answered)
            lived.append(last)
            if last > seconds:
                verdict.add("C5", "not cut", f"{one.who} lived on for {last:.2f} s on {node} after {act}")
    return spread(lived)


def sessions_of(run: Run) -> Iterator[Session]:
    """Yield the sessions of a run in order."""
    opened: Line | None = None
    seen = 0.0
    for line in run.lines:
        if line["k"] in ("gone", "ended", "end", "gave up", "open") and opened is not None:
            yield Session(run.who, opened["at"], opened["t"], seen, line["t"])
            opened = None
        if line["k"] == "open":
            opened = line
        if line["k"] in ("open", "see", "ack", "live"):
            seen = line["t"]
    if opened is not None:
        yield Session(run.who, opened["at"], opened["t"], seen, _NEVER)


def _acts(admin: Iterable[Line]) -> Iterator[Act]:
    asked: dict[int, Line] = {}
    for line in admin:
        if line["k"] == "do" and line["op"] in ("ban", "revoke"):
            asked[line["n"]] = line
        elif line["k"] == "did" and (act := asked.get(line["n"])):
            who = f"{act['user']}/{act['arg']}" if act["op"] == "revoke" else act["user"]
            yield Act(who, act["t"], line["t"])


def _is_of(who: str, whose: str) -> bool:
    return who == whose or who.partition("/")[0] == whose


def _trouble(lines: Iterable[Line]) -> Iterator[tuple[float, float]]:
    """Yield from when until when a node is not connected, or may not be; the times may overlap."""
    begun: dict[str, float] = {}
    for line in lines:
        if line["k"] == "kill":
            yield line["t"], line["t"] + AFTER_SECONDS
        elif end := _ENDS.get(line["k"]):
            begun.setdefault(end, line["t"])
        elif line["k"] in begun:
            yield begun.pop(line["k"]), line["t"] + AFTER_SECONDS
    for begin in begun.values():
        yield begin, _NEVER
