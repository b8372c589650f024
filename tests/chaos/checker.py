"""Judge a trial from its journals and the log alone, with no code of chatd.

The rules are numbered as in docs/reliability.md:

I1   an acknowledged message is in the log exactly once
I2   the log and the clients have only messages that somebody sent
I3   everybody sees one order, which keeps each sender's own order
I4   a message of unknown outcome is in the log at most once
I5   acknowledged bans, mutes, roles and revocations take effect
I6   nobody is shown an event without being entitled to it
I7   the hash chain is intact
I10  every incident is in the server's log
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

EXPELLED_CODES = ("E206", "E207", "E208")  # revoked, banned, kicked


class Finding(NamedTuple):
    """A broken rule: its number, the kind of failure, and where."""

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
    def completed(self) -> bool:
        """Whether it ended by itself, after it had seen every answer and event."""
        return any(line["k"] == "end" for line in self.lines[-1:])


@dataclass
class Verdict:
    """The findings, and how many of each thing were checked."""

    findings: list[Finding] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)

    def add(self, rule: str, kind: str, detail: str) -> None:
        self.findings.append(Finding(rule, kind, detail))


def read_runs(folder: Path) -> list[Run]:
    """Read the clients' journals (client-*.jsonl), sorted by client and run."""
    runs = []
    for path in folder.glob("client-*.jsonl"):
        lines = list(read_journal(path))
        if lines:  # an empty journal: killed before its first line
            start = lines[0]
            runs.append(Run(start["who"], start["run"], start["durable"], start["cursor"], lines[1:]))
    return sorted(runs, key=lambda run: (run.who, run.run))


def judge(log: Log, runs: list[Run], admin: Iterable[Line]) -> Verdict:
    """Check every rule except I10, which `incidents` checks."""
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


# --- I1, I2, I4: messages in the log ------------------------------------------------------------------


def _contents(verdict: Verdict, log: Log, runs: list[Run]) -> None:
    by_body: dict[str, list[Event]] = defaultdict(list)
    for event in messages(log.events):
        by_body[event.body["body"]].append(event)
    sent_by: dict[str, Run] = {line["b"]: run for run in runs for line in run.of("try")}
    _once(verdict, by_body, sent_by)
    answered = set()
    for run in runs:
        for line in run.of("ack"):
            answered.add(line["b"])
            _acknowledged(verdict, by_body, sent_by, line)
        for line in run.of("no"):
            answered.add(line["b"])
            if line["b"] in by_body:
                verdict.add("I2", "unexpected", f"{line['b']} was refused with {line['c']} and is in the log")
    _unknown(verdict, by_body, runs, answered)


def _once(verdict: Verdict, by_body: dict[str, list[Event]], sent_by: dict[str, Run]) -> None:
    """Each message in the log was sent by its sender, and has one seq and one msg_id."""
    ids = Counter((event.device, event.msg_id) for events in by_body.values() for event in events)
    for (device, msg_id), times in ids.items():
        if times > 1:
            verdict.add("I1", "duplicated", f"{device} {msg_id} is in the log {times} times")
    for body, events in by_body.items():
        if body not in sent_by or sent_by[body].who != events[0].device:
            verdict.add("I2", "unexpected", f"{body!r} at seq {events[0].seq}, which its sender did not send")
        if len(events) > 1:
            verdict.add("I1", "duplicated", f"{body} at seq {[event.seq for event in events]}")


def _acknowledged(
    verdict: Verdict, by_body: dict[str, list[Event]], sent_by: dict[str, Run], ack: Line
) -> None:
    verdict.counts["acknowledged"] += 1
    events = by_body.get(ack["b"], [])
    if not events:
        user, counter = _split_body(ack["b"])
        position = _position(
            counter, (_split_body(body)[1] for body in by_body if _split_body(body)[0] == user)
        )
        verdict.add("I1", f"lost {position}", f"{ack['b']}, acknowledged as seq {ack['s']}")
    elif (events[0].seq, events[0].msg_id) != (ack["s"], ack["id"]):
        verdict.add("I1", "moved", f"{ack['b']} acknowledged as seq {ack['s']}, is seq {events[0].seq}")
    if ack["b"] not in sent_by:
        verdict.add("I2", "unexpected", f"an acknowledgement for {ack['b']}, which was not sent")


def _unknown(verdict: Verdict, by_body: dict[str, list[Event]], runs: list[Run], answered: set[str]) -> None:
    """Messages without a recorded answer. One that a durable client kept must be in the log even so: the
    client's next run resends it, unless the earlier run was killed just after it got the answer."""
    last = {run.who: run for run in runs}
    for run in runs:
        kept = {line["b"] for line in run.of("kept")}
        for line in run.of("try"):
            if line["b"] in answered:
                continue
            verdict.counts["unknown, in the log" if line["b"] in by_body else "unknown, not in the log"] += 1
            if run.durable and line["b"] in kept - by_body.keys() and last[run.who].completed:
                verdict.add(
                    "I1", "lost in the outbox", f"{line['b']} was in the outbox and is not in the log"
                )


def _split_body(body: str) -> tuple[str, int]:
    user, _, counter = body.rpartition("-")
    return user, int(counter) if counter.isdigit() else -1


def _position(counter: int, present: Iterable[int]) -> str:
    counters = sorted(present)
    if not counters or counter > counters[-1]:
        return "postfix"
    return "prefix" if counter < counters[0] else "middle"


# --- I3: order ---------------------------------------------------------------------------------------


def _orders(verdict: Verdict, log: Log, runs: list[Run]) -> None:
    """Messages are in the order of sending: per client if its outbox is on disk, else per run."""
    sender: dict[str, tuple[str, int]] = {}
    for run in runs:
        for line in run.of("try"):
            sender[line["b"]] = (run.who, 0 if run.durable else run.run)
    newest: dict[tuple[str, int], int] = {}
    for event in messages(log.events):
        key, counter = sender.get(event.body["body"]), _split_body(event.body["body"])[1]
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
            logged = (event.room, event.body["body"], event.device)
            if logged != (line["r"], line["b"], line["f"]):
                verdict.add(
                    "I2", "unexpected", f"{run.who} was shown {line['b']} as seq {seq}, which is {logged}"
                )


def _ending(verdict: Verdict, run: Run) -> None:
    """A client gives up for good only if the server expelled it."""
    last = run.lines[-1] if run.lines else {"k": ""}
    if last["k"] == "gave up" or (last["k"] == "ended" and last["c"] not in EXPELLED_CODES):
        verdict.add("I1", "stuck", f"{run.who} run {run.run}: {last}")


def _chains(runs: list[Run]) -> Iterator[list[Run]]:
    """Group runs that continue one another: all runs of a client with a cursor on disk, else each alone."""
    durable: dict[str, list[Run]] = defaultdict(list)
    for run in runs:
        if run.durable:
            durable[run.who].append(run)
        else:
            yield [run]
    yield from durable.values()


def _complete(verdict: Verdict, log: Log, standing: Standing, chain: list[Run]) -> None:
    """A client missed no message of its rooms between its first and its last event. A killed run ends at
    the last event it saw; a completed run must have seen the whole log."""
    begin = next((line["at"] for run in chain for line in run.of("live")), None)
    first = chain[0].cursor
    seen = {line["s"] for run in chain for line in run.of("see")}
    if begin is None and first is None:
        return
    start = first if first is not None else begin
    for event in log.events[start : len(log.events) if chain[-1].completed else max(seen, default=0)]:
        if event.kind == "message" and event.seq not in seen and standing.stays_in(chain[0].user, event):
            verdict.add("I3", "not shown", f"{chain[0].who} never saw seq {event.seq} in {event.room}")


# --- I5, I6: permissions ---------------------------------------------------------------------------------


def _entitled(verdict: Verdict, standing: Standing, run: Run) -> None:
    opened, live = 0, False
    for line in run.lines:
        if line["k"] == "open":
            opened, live = line["head"], False
            if why := standing.excluded(run.who, opened):
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
    """Each acknowledged act of the admin is in the log once; one of unknown outcome at most once."""
    acknowledged = {line["n"] for line in admin if line["k"] == "did"}
    refused = {line["n"] for line in admin if line["k"] == "failed" and line["c"][:2] in ("E3", "E4")}
    least: Counter[tuple[str, str, str]] = Counter()
    most: Counter[tuple[str, str, str]] = Counter()
    for line in (line for line in admin if line["k"] == "do" and line["op"] in _MADE):
        act = (_MADE[line["op"]], line["user"], line["arg"])
        least[act] += line["n"] in acknowledged
        most[act] += line["n"] not in refused
    logged = Counter(standing.acts)
    verdict.counts["moderation acknowledged"] = least.total()
    for act in set(logged) | set(least):
        if logged[act] < least[act]:
            verdict.add("I5", "lost", f"{act}: {least[act]} acknowledged, {logged[act]} in the log")
        if logged[act] > most[act]:
            verdict.add("I5", "duplicated", f"{act}: {most[act]} asked for, {logged[act]} in the log")
    for event in messages(log.events):
        if why := standing.silenced(event.device or "", event.seq):
            verdict.add("I5", "let speak", f"{event.device} at seq {event.seq}: {why}")


# --- I10: the server's log files -----------------------------------------------------------------------


def incidents(verdict: Verdict, faults: Iterable[Line], server_log: Iterable[Line], seconds: float) -> None:
    """Each kill left a log line within ``seconds``: the crash, or the start of the next supervisor."""
    logged = defaultdict(list)
    for line in server_log:
        name = {"up": "supervisor", "template_lost": "template"}.get(line["event"]) or line.get("child", "")
        if line["event"] in ("up", "template_lost", "child_crashed", "child_hung", "child_stopped"):
            logged[name].append(line["wall"])
            logged[name.partition("-")[0]].append(line["wall"])
    for fault in faults:
        if fault["k"] != "kill":
            continue
        verdict.counts["kills"] += 1
        names = (fault["name"], "supervisor")
        if not any(0 <= at - fault["wall"] + 0.01 <= seconds for name in names for at in logged[name]):
            verdict.add("I10", "unlogged", f"the kill of {fault['name']} at {fault['wall']}")
