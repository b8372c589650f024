"""The judge of a trial: from the journals and the log alone, with no code of chatd.

What it looks for is numbered as in docs/reliability.md: I1 acknowledged = in the log once; I2 nothing
that nobody sent; I3 one order for all, each sender's own order; I4 unknown outcomes are in the log at
most once; I5 acknowledged bans, mutes, roles, revocations hold; I6 nothing is shown to somebody who is
not entitled; I7 the chain; I10 every incident is in the server's log.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from tests.chaos.journal import Line, read_journal
from tests.chaos.log_chain import Event, Log, messages
from tests.chaos.standing import Standing

PUT_OUT = ("E206", "E207", "E208")  # revoked, banned, kicked


class Finding(NamedTuple):
    """Something that must not be: which rule, which class, and where."""

    rule: str
    kind: str
    detail: str


@dataclass
class Run:
    """One run of one client process."""

    who: str
    run: int
    durable: bool
    cursor: int | None
    lines: list[Line] = field(default_factory=list)

    @property
    def user(self) -> str:
        return self.who.partition("/")[0]

    def of(self, kind: str) -> Iterator[Line]:
        return (line for line in self.lines if line["k"] == kind)

    @property
    def whole(self) -> bool:
        """It ended by itself, after everything was answered and seen."""
        return any(line["k"] == "end" for line in self.lines[-1:])


@dataclass
class Verdict:
    """``findings`` is empty when everything is as promised."""

    findings: list[Finding] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)

    def add(self, rule: str, kind: str, detail: str) -> None:
        self.findings.append(Finding(rule, kind, detail))


def read_runs(folder: Path) -> list[Run]:
    """All clients' journals (client-*.jsonl), runs of one client in their order."""
    runs = []
    for path in folder.glob("client-*.jsonl"):
        lines = list(read_journal(path))
        if lines:  # else killed before its first word
            start = lines[0]
            runs.append(Run(start["who"], start["run"], start["durable"], start["cursor"], lines[1:]))
    return sorted(runs, key=lambda run: (run.who, run.run))


def judge(log: Log, runs: list[Run], admin: Iterable[Line]) -> Verdict:
    """Everything but I10 (see `incidents`)."""
    verdict = Verdict()
    standing = Standing(log.events)
    if log.fault:
        verdict.add("I7", "chain", log.fault)
    _contents(verdict, log, runs)
    _orders(verdict, log, runs)
    for run in runs:
        _seen(verdict, log, run)
        _entitled(verdict, standing, run)
        _ending(verdict, run)
    for chain in _chains(runs):
        _complete(verdict, log, standing, chain)
    _sanctions(verdict, standing, log, list(admin))
    verdict.counts["events"] = len(log.events)
    return verdict


# --- I1, I2, I4: what is in the log ------------------------------------------------------------------


def _contents(verdict: Verdict, log: Log, runs: list[Run]) -> None:
    by_body: dict[str, list[Event]] = defaultdict(list)
    for event in messages(log.events):
        by_body[event.body["body"]].append(event)
    tried: dict[str, Run] = {line["b"]: run for run in runs for line in run.of("try")}
    _once(verdict, by_body, tried)
    answered = set()
    for run in runs:
        for line in run.of("ack"):
            answered.add(line["b"])
            _acknowledged(verdict, by_body, tried, line)
        for line in run.of("no"):
            answered.add(line["b"])
            if line["b"] in by_body:
                verdict.add("I2", "unexpected", f"{line['b']} was refused with {line['c']} and is in the log")
    _unknown(verdict, by_body, runs, answered)


def _once(verdict: Verdict, by_body: dict[str, list[Event]], tried: dict[str, Run]) -> None:
    """Everything in the log was sent by its sender, and is there under one seq and one msg_id."""
    ids = Counter((event.device, event.msg_id) for events in by_body.values() for event in events)
    for (device, msg_id), times in ids.items():
        if times > 1:
            verdict.add("I1", "duplicated", f"{device} {msg_id} is in the log {times} times")
    for body, events in by_body.items():
        if body not in tried or tried[body].who != events[0].device:
            verdict.add("I2", "unexpected", f"{body!r} at seq {events[0].seq}, sent by nobody")
        if len(events) > 1:
            verdict.add("I1", "duplicated", f"{body} at seq {[event.seq for event in events]}")


def _acknowledged(
    verdict: Verdict, by_body: dict[str, list[Event]], tried: dict[str, Run], ack: Line
) -> None:
    verdict.counts["acknowledged"] += 1
    events = by_body.get(ack["b"], [])
    if not events:
        user, counter = _parts(ack["b"])
        where = _where(counter, (_parts(body)[1] for body in by_body if _parts(body)[0] == user))
        verdict.add("I1", f"lost {where}", f"{ack['b']}, acknowledged as seq {ack['s']}")
    elif (events[0].seq, events[0].msg_id) != (ack["s"], ack["id"]):
        verdict.add("I1", "moved", f"{ack['b']} acknowledged as seq {ack['s']}, is seq {events[0].seq}")
    if ack["b"] not in tried:
        verdict.add("I2", "unexpected", f"an acknowledgement for {ack['b']}, which was not sent")


def _unknown(verdict: Verdict, by_body: dict[str, list[Event]], runs: list[Run], answered: set[str]) -> None:
    """Sent, and no answer was written down. What a durable client has kept must be in the log all the
    same: its next run sends it again, unless the one before had the answer and was killed right then."""
    last = {run.who: run for run in runs}
    for run in runs:
        kept = {line["b"] for line in run.of("kept")}
        for line in run.of("try"):
            if line["b"] in answered:
                continue
            verdict.counts["unknown, in the log" if line["b"] in by_body else "unknown, not in the log"] += 1
            if run.durable and line["b"] in kept - by_body.keys() and last[run.who].whole:
                verdict.add("I1", "lost in the outbox", f"{line['b']} was kept and is not in the log")


def _parts(body: str) -> tuple[str, int]:
    user, _, counter = body.rpartition("-")
    return user, int(counter) if counter.isdigit() else -1


def _where(counter: int, present: Iterable[int]) -> str:
    there = sorted(present)
    if not there or counter > there[-1]:
        return "postfix"
    return "prefix" if counter < there[0] else "middle"


# --- I3: order ---------------------------------------------------------------------------------------


def _orders(verdict: Verdict, log: Log, runs: list[Run]) -> None:
    """Each sender's messages in the order of sending: per client with an outbox on disk, else per run."""
    sender: dict[str, tuple[str, int]] = {}
    for run in runs:
        for line in run.of("try"):
            sender[line["b"]] = (run.who, 0 if run.durable else run.run)
    newest: dict[tuple[str, int], int] = {}
    for event in messages(log.events):
        key, counter = sender.get(event.body["body"]), _parts(event.body["body"])[1]
        if key is None:
            continue
        if counter < newest.get(key, -1):
            verdict.add("I3", "reordered", f"{event.body['body']} at seq {event.seq} after {newest[key]}")
        newest[key] = max(counter, newest.get(key, -1))


def _seen(verdict: Verdict, log: Log, run: Run) -> None:
    last = run.cursor or 0
    for line in run.of("see"):
        seq = line["s"]
        if seq <= last:
            verdict.add("I3", "reordered", f"{run.who} run {run.run} was shown seq {seq} after {last}")
        last = max(last, seq)
        event = log.events[seq - 1] if seq <= len(log.events) else None
        verdict.counts["seen"] += 1
        if event is None or event.kind != line["e"]:
            verdict.add("I2", "unexpected", f"{run.who} was shown a {line['e']} as seq {seq}, not in the log")
        elif event.kind == "message":
            there = (event.room, event.body["body"], event.device)
            if there != (line["r"], line["b"], line["f"]):
                verdict.add("I2", "unexpected", f"{run.who} was shown {line['b']} as seq {seq}: {there}")


def _ending(verdict: Verdict, run: Run) -> None:
    """A client gives up for good only when it was put out."""
    last = run.lines[-1] if run.lines else {"k": ""}
    if last["k"] == "gave up" or (last["k"] == "ended" and last["c"] not in PUT_OUT):
        verdict.add("I1", "stuck", f"{run.who} run {run.run}: {last}")


def _chains(runs: list[Run]) -> Iterator[list[Run]]:
    """Runs that go on where the one before ended: all of a client that keeps its cursor, else each one."""
    durable: dict[str, list[Run]] = defaultdict(list)
    for run in runs:
        if run.durable:
            durable[run.who].append(run)
        else:
            yield [run]
    yield from durable.values()


def _complete(verdict: Verdict, log: Log, standing: Standing, chain: list[Run]) -> None:
    """From where it began to its end, nothing of the rooms that it is in was left out. A run that was
    killed ends with the last that it saw; one that ended by itself has seen everything."""
    begin = next((line["at"] for run in chain for line in run.of("live")), None)
    first = chain[0].cursor
    seen = {line["s"] for run in chain for line in run.of("see")}
    if begin is None and first is None:
        return
    start = first if first is not None else begin
    for event in log.events[start : len(log.events) if chain[-1].whole else max(seen, default=0)]:
        if event.kind == "message" and event.seq not in seen and standing.stays_in(chain[0].user, event):
            verdict.add("I3", "not shown", f"{chain[0].who} never saw seq {event.seq} in {event.room}")


# --- I5, I6: who may ---------------------------------------------------------------------------------


def _entitled(verdict: Verdict, standing: Standing, run: Run) -> None:
    opened, live = 0, False
    for line in run.lines:
        if line["k"] == "open":
            opened, live = line["head"], False
            if why := standing.out(run.who, opened):
                verdict.add("I5", "let in", f"{run.who} run {run.run} at head {opened}: {why}")
        elif line["k"] in ("live", "lagged", "gone"):
            live = line["k"] == "live"
        elif line["k"] == "see":
            if why := standing.cut_between(run.who, opened, line["s"]):
                verdict.add("I6", "shown", f"{run.who} saw seq {line['s']}: {why}")
            if not standing.may_read(run.user, line["r"], line["s"], live):
                verdict.add("I6", "shown", f"{run.who} saw seq {line['s']} of {line['r']}, not a member")


_MADE = {
    "ban": "banned",
    "unban": "unbanned",
    "mute": "muted",
    "unmute": "unmuted",
    "role_set": "role_set",
    "revoke": "device_revoked",
}


def _sanctions(verdict: Verdict, standing: Standing, log: Log, admin: list[Line]) -> None:
    """Every acknowledged act of the admin is in the log once, one of unknown outcome at most once."""
    acknowledged = {line["n"] for line in admin if line["k"] == "did"}
    refused = {line["n"] for line in admin if line["k"] == "failed" and line["c"][:2] in ("E3", "E4")}
    least: Counter[tuple[str, str, str]] = Counter()
    most: Counter[tuple[str, str, str]] = Counter()
    for line in (line for line in admin if line["k"] == "do" and line["op"] in _MADE):
        act = (_MADE[line["op"]], line["user"], line["arg"])
        least[act] += line["n"] in acknowledged
        most[act] += line["n"] not in refused
    there = Counter(standing.acts)
    verdict.counts["moderation acknowledged"] = least.total()
    for act in set(there) | set(least):
        if there[act] < least[act]:
            verdict.add("I5", "lost", f"{act}: {least[act]} acknowledged, {there[act]} in the log")
        if there[act] > most[act]:
            verdict.add("I5", "duplicated", f"{act}: {most[act]} asked for, {there[act]} in the log")
    for event in messages(log.events):
        if why := standing.silenced(event.device or "", event.seq):
            verdict.add("I5", "let speak", f"{event.device} at seq {event.seq}: {why}")


# --- I10: the server's own log -----------------------------------------------------------------------


def incidents(verdict: Verdict, faults: Iterable[Line], server_log: Iterable[Line], seconds: float) -> None:
    """Every kill of a process left a line: its crash, or the start of the supervisor that came after."""
    told = defaultdict(list)
    for line in server_log:
        name = {"up": "supervisor", "template_lost": "template"}.get(line["event"]) or line.get("child", "")
        if line["event"] in ("up", "template_lost", "child_crashed", "child_hung", "child_stopped"):
            told[name].append(line["wall"])
            told[name.partition("-")[0]].append(line["wall"])
    for fault in faults:
        if fault["k"] != "kill":
            continue
        verdict.counts["kills"] += 1
        names = (fault["name"], "supervisor")
        if not any(0 <= at - fault["wall"] + 0.01 <= seconds for name in names for at in told[name]):
            verdict.add("I10", "unlogged", f"the kill of {fault['name']} at {fault['wall']}")
