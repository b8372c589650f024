"""The chaos checker accepts a sound trial and finds every planted fault."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.chaos.checker import Run, Verdict, incidents, judge
from tests.chaos.journal import Journal, Line, read_journal
from tests.chaos.log_chain import Event, Log, read_log
from tests.support.storelog import filled


class Trial:
    """A small sound trial: two talkers in #war and a user who is banned for a while."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.alice = Run("alice/laptop", 1, durable=True, cursor=None)
        self.bob = Run("bob/laptop", 1, durable=False, cursor=None)
        self.eve = Run("eve/laptop", 1, durable=True, cursor=None)
        self.admin: list[Line] = []
        for user in ("alice", "bob", "eve"):
            self.log("joined", room="#war", user=user)
        for run in (self.alice, self.bob, self.eve):
            self.line(run, "open", head=3)
            self.line(run, "live", at=3)
        for counter in range(4):
            self.say(self.alice, counter)
            self.say(self.bob, 10 + counter)
        self.act("ban", "banned", "eve")
        self.say(self.alice, 4, [self.alice, self.bob])
        self.act("unban", "unbanned", "eve")
        self.line(self.eve, "gone", c="E207")
        self.line(self.eve, "open", head=len(self.events))
        self.see(self.eve, 13)
        self.line(self.eve, "live", at=len(self.events))
        self.act("mute", "muted", "bob")
        self.act("unmute", "unmuted", "bob")
        self.act("role_set", "role_set", "eve", "guest")
        self.log("parted", room="#war", user="eve")
        self.say(self.alice, 5, [self.alice, self.bob])
        self.line(self.bob, "try", b="bob-14", r="#war")
        for run in (self.alice, self.bob, self.eve):
            self.line(run, "end")

    def log(self, kind: str, /, **body: Any) -> int:
        device, msg_id = body.pop("by", None), body.pop("msg_id", "")
        event = Event(len(self.events) + 1, kind, body.get("room"), device, msg_id, body)
        self.events.append(event)
        return event.seq

    @staticmethod
    def line(run: Run, kind: str, **fields: Any) -> None:
        run.lines.append({"k": kind, "t": 0.0, **fields})

    def say(self, run: Run, counter: int, readers: list[Run] | None = None) -> int:
        body = f"{run.user}-{counter}"
        self.line(run, "try", b=body, r="#war")
        self.line(run, "kept", b=body)
        seq = self.log("message", room="#war", body=body, by=run.who, msg_id=f"id-{body}")
        self.line(run, "ack", b=body, s=seq, id=f"id-{body}")
        for reader in readers if readers is not None else (self.alice, self.bob, self.eve):
            self.see(reader, seq)
        return seq

    def see(self, run: Run, seq: int) -> None:
        event = self.events[seq - 1]
        more = {"b": event.body["body"], "f": event.device} if event.kind == "message" else {}
        self.line(run, "see", s=seq, e=event.kind, r=event.room, **more)

    def act(self, word: str, kind: str, user: str, arg: str = "") -> None:
        number = len(self.admin)
        self.admin.append({"k": "do", "n": number, "op": word, "user": user, "arg": arg})
        self.log(kind, user=user, **({"role": arg} if arg else {}))
        self.admin.append({"k": "did", "n": number})

    def remove(self, body: str) -> None:
        """Remove a message from the log and from every journal, and close the gap."""
        removed = next(e for e in self.events if e.body.get("body") == body)
        self.events = [e for e in self.events if e is not removed]
        self.events = [e._replace(seq=n) for n, e in enumerate(self.events, 1)]
        for run in (self.alice, self.bob, self.eve):
            run.lines = [line for line in run.lines if not (line["k"] == "see" and line["s"] == removed.seq)]
            for line in run.lines:
                if line.get("s", 0) > removed.seq:
                    line["s"] -= 1

    def judged(self) -> Verdict:
        return judge(Log(self.events, ""), [self.alice, self.bob, self.eve], self.admin)


def _index(run: Run, kind: str, **fields: Any) -> int:
    return next(
        n
        for n, line in enumerate(run.lines)
        if line["k"] == kind and all(line[name] == value for name, value in fields.items())
    )


def test_a_sound_trial_has_no_findings() -> None:
    verdict = Trial().judged()
    assert verdict.findings == []
    assert verdict.counts["acknowledged"] == 10
    assert verdict.counts["unknown, not in the log"] == 1


def _lost(body: str) -> Callable[[Trial], None]:
    return lambda trial: trial.remove(body)


def _second_copy(trial: Trial) -> None:
    trial.log("message", room="#war", body="alice-2", by="alice/laptop", msg_id="id-other")


def _same_id(trial: Trial) -> None:
    trial.line(trial.alice, "try", b="alice-9", r="#war")
    trial.log("message", room="#war", body="alice-9", by="alice/laptop", msg_id="id-alice-2")


def _sent_by_nobody(trial: Trial) -> None:
    trial.log("message", room="#war", body="mallory-1", by="mallory/x", msg_id="id-m")


def _under_another_name(trial: Trial) -> None:
    trial.line(trial.alice, "try", b="alice-9", r="#war")
    trial.log("message", room="#war", body="alice-9", by="bob/laptop", msg_id="id-9")


def _refused_but_logged(trial: Trial) -> None:
    trial.line(trial.alice, "try", b="alice-9", r="#war")
    trial.line(trial.alice, "no", b="alice-9", c="E400")
    trial.log("message", room="#war", body="alice-9", by="alice/laptop", msg_id="id-9")


def _other_seq(trial: Trial) -> None:
    trial.alice.lines[_index(trial.alice, "ack", b="alice-2")]["s"] += 1


def _left_in_outbox(trial: Trial) -> None:
    trial.line(trial.alice, "try", b="alice-9", r="#war")
    trial.line(trial.alice, "kept", b="alice-9")
    trial.line(trial.alice, "end")


def _out_of_order(trial: Trial) -> None:
    at = [n for n, e in enumerate(trial.events) if e.body.get("body") in ("alice-0", "alice-1")]
    first, second = (trial.events[n] for n in at)
    trial.events[at[0]] = second._replace(seq=first.seq)
    trial.events[at[1]] = first._replace(seq=second.seq)


def _shown_out_of_order(trial: Trial) -> None:
    lines = trial.bob.lines
    one, two = _index(trial.bob, "see", s=6), _index(trial.bob, "see", s=7)
    lines[one], lines[two] = lines[two], lines[one]


def _shown_twice(trial: Trial) -> None:
    at = _index(trial.bob, "see", s=6)
    trial.bob.lines.insert(at, trial.bob.lines[at])


def _shown_other_text(trial: Trial) -> None:
    trial.bob.lines[_index(trial.bob, "see", s=6)]["b"] = "alice-77"


def _shown_before_commit(trial: Trial) -> None:
    trial.line(trial.bob, "see", s=99, e="message", r="#war", b="alice-99", f="alice/laptop")


def _not_shown(trial: Trial) -> None:
    del trial.bob.lines[_index(trial.bob, "see", s=6)]


def _gave_up(trial: Trial) -> None:
    trial.line(trial.bob, "ended", c="E500", why="a defect")


def _end_not_shown(trial: Trial) -> None:
    del trial.bob.lines[_index(trial.bob, "see", s=len(trial.events))]


def _ban_lost(trial: Trial) -> None:
    at = next(n for n, e in enumerate(trial.events) if e.kind == "muted")
    trial.events[at] = trial.events[at]._replace(kind="topic")


def _ban_doubled(trial: Trial) -> None:
    trial.log("muted", user="bob")


def _let_in(trial: Trial) -> None:
    trial.eve.lines[_index(trial.eve, "open", head=14)]["head"] = 13


def _shown_after_ban(trial: Trial) -> None:
    at = _index(trial.eve, "gone")
    trial.see(trial.eve, 13)
    trial.eve.lines.insert(at, trial.eve.lines.pop())
    del trial.eve.lines[_index(trial.eve, "open", head=14) + 1]


def _spoke_while_muted(trial: Trial) -> None:
    at = next(n for n, e in enumerate(trial.events) if e.kind == "unmuted")
    trial.events = trial.events[:at]
    trial.admin = trial.admin[:-4]
    trial.say(trial.bob, 50)
    trial.act("unmute", "unmuted", "bob")


def _shown_after_leaving(trial: Trial) -> None:
    trial.see(trial.eve, len(trial.events))


PLANTED = [
    (_lost("alice-0"), "I1", "lost prefix"),
    (_lost("alice-3"), "I1", "lost middle"),
    (_lost("alice-5"), "I1", "lost postfix"),
    (_second_copy, "I1", "duplicated"),
    (_same_id, "I1", "duplicated"),
    (_other_seq, "I1", "moved"),
    (_left_in_outbox, "I1", "lost in the outbox"),
    (_gave_up, "I1", "stuck"),
    (_sent_by_nobody, "I2", "unexpected"),
    (_under_another_name, "I2", "unexpected"),
    (_refused_but_logged, "I2", "unexpected"),
    (_shown_other_text, "I2", "unexpected"),
    (_shown_before_commit, "I2", "unexpected"),
    (_out_of_order, "I3", "reordered"),
    (_shown_out_of_order, "I3", "reordered"),
    (_shown_twice, "I3", "reordered"),
    (_not_shown, "I3", "not shown"),
    (_end_not_shown, "I3", "not shown"),
    (_ban_lost, "I5", "lost"),
    (_ban_doubled, "I5", "duplicated"),
    (_let_in, "I5", "let in"),
    (_spoke_while_muted, "I5", "let speak"),
    (_shown_after_ban, "I6", "shown"),
    (_shown_after_leaving, "I6", "shown"),
]


@pytest.mark.parametrize(("plant", "rule", "kind"), PLANTED)
def test_a_planted_fault_is_found(plant: Callable[[Trial], None], rule: str, kind: str) -> None:
    trial = Trial()
    plant(trial)
    assert (rule, kind) in {(finding.rule, finding.kind) for finding in trial.judged().findings}


@pytest.mark.parametrize(
    ("statement", "fault"),
    [
        ("", ""),
        ("DELETE FROM events WHERE seq = 30", "entry 30 is missing"),
        ("UPDATE events SET room = '#x' WHERE seq = 30", "entry 30 does not fit"),
        ("UPDATE events SET at = at + 1 WHERE seq = 30", "entry 30 does not fit"),
        ("UPDATE events SET body = x'7b7d' WHERE seq = 30", "entry 30 has another body"),
        ("UPDATE events SET chain = zeroblob(32) WHERE seq = 30", "entry 30 does not fit"),
    ],
)
def test_a_broken_chain_is_reported(tmp_path: Path, statement: str, fault: str) -> None:
    filled(tmp_path / "data", 60).close()
    with sqlite3.connect(tmp_path / "data" / "events.db") as database:
        database.execute(statement or "SELECT 1")
    database.close()
    log = read_log(tmp_path / "data", tmp_path / "copy")
    assert log.fault.startswith(fault)
    assert bool(log.fault) == bool(fault)
    assert len(log.events) == 60 - statement.startswith("DELETE")


@pytest.mark.parametrize(
    ("lines", "found"),
    [
        ([{"event": "child_crashed", "child": "hub", "wall": 100.2}], 0),
        ([{"event": "up", "wall": 103.0}], 0),
        ([{"event": "child_crashed", "child": "worker-1", "wall": 100.2}], 1),
        ([{"event": "child_crashed", "child": "hub", "wall": 99.0}], 1),
        ([{"event": "template_lost", "wall": 100.2}], 1),
        ([], 1),
    ],
)
def test_a_kill_must_be_in_the_server_log(lines: list[Line], found: int) -> None:
    verdict = Verdict()
    incidents(verdict, [{"k": "kill", "name": "hub", "wall": 100.0}], lines, 10.0)
    assert [finding.rule for finding in verdict.findings] == ["I10"] * found


def test_a_kill_of_the_template_must_be_in_the_server_log() -> None:
    kill: Line = {"k": "kill", "name": "template", "wall": 100.0}
    for event, found in (("template_lost", 0), ("child_crashed", 1)):
        verdict = Verdict()
        incidents(verdict, [kill], [{"event": event, "wall": 100.2, "child": "hub"}], 10.0)
        assert len(verdict.findings) == found


def test_an_unfinished_last_line_of_a_journal_is_ignored(tmp_path: Path) -> None:
    path = tmp_path / "client.jsonl"
    journal = Journal(path)
    journal.write("try", b="alice-1", r="#war")
    journal.close()
    complete = path.read_bytes()
    path.write_bytes(complete + b'{"k":"ack","b":"ali')
    assert [json.dumps(line["b"]) for line in read_journal(path)] == ['"alice-1"']
