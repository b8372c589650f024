"""Messages that the filter holds: who sees them, what becomes of them, and that each is published once."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest

from chatd.config.schema import Settings
from chatd.hub import filter_log
from chatd.hub.recovery import snapshot_agrees
from chatd.hub.state import held_book
from chatd.hub.state.model import DAY_MS, State
from chatd.policy.roles import DEFAULT_ROLES
from chatd.store.event_log import EventLog
from chatd.store.export_verifier import check_export
from chatd.store.log_reader import LogReader
from chatd.store.record_export import Choice, export
from chatd.store.verifier import verify
from tests.support.hub_harness import HubHarness
from tests.support.hubworld import World

FIRM = [name for name in DEFAULT_ROLES["user"] if name != "filter.override"]
SETTINGS = Settings.model_validate(
    {
        "roles": {"permissions": {**DEFAULT_ROLES, "user": FIRM}},
        "filter": {"words": ["bomb"], "rules": [{"words": ["merger"], "action": "hold"}]},
    }
)
TEXT = "the merger is on"
MSG_ID = "0a" * 16


class Room:
    """A hub with alice (admin) as session 1, bob as 2 and carol as 3, all in #lobby."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.harness = HubHarness(folder, SETTINGS)
        if "alice" not in self.harness.hub.state.users:
            for name, role in (("alice", "admin"), ("bob", "user"), ("carol", "user")):
                serial = f"{ord(name[0]):x}"
                fields = {"user": name, "device": "d", "serial": serial, "role": role}
                self.harness.ask(self.harness.operator, 0, "user_add", **fields)
        self.worker = self.harness.workers[0]
        for sid, name in enumerate(("alice", "bob", "carol"), 1):
            assert self.harness.open_session(self.worker, sid, name, "d", f"{ord(name[0]):x}")
            self.harness.ask(self.worker, sid, "resume", after=self.harness.log.head)
            self.harness.run_iteration()

    def ask(self, sid: int, kind: str, **fields: Any) -> dict[str, Any]:
        reply = self.harness.ask(self.worker, sid, kind, **fields)
        assert reply is not None
        return reply.get("result") or reply

    def send(self, sid: int = 2, body: str = TEXT, msg_id: str = MSG_ID, **fields: Any) -> dict[str, Any]:
        return self.ask(sid, "send", msg_id=msg_id, to="#lobby", body=body, **fields)

    def types(self, sid: int) -> list[str]:
        return [
            event["type"] for to, event in self.worker.delivered if to == sid and event["type"] != "presence"
        ]

    def texts(self) -> list[str]:
        """Return the texts of the room's history."""
        reader = LogReader(self.folder)
        bodies = [orjson.loads(body) for _, body in reader.history("#lobby", limit=100)]
        reader.close()
        return [event["body"] for event in bodies if event["type"] == "message"]

    def reopen(self) -> Room:
        self.harness.close()
        return Room(self.folder)


@pytest.fixture
def room(tmp_path: Path) -> Iterator[Room]:
    room = Room(tmp_path / "data")
    yield room
    room.harness.close()


def test_a_held_message_reaches_its_writer_and_moderators_only(room: Room) -> None:
    sent = room.send()
    assert sent["held"] is True
    assert [note["rule"] for note in sent["notes"]] == ["held"]
    assert room.types(2) == ["message_held"]
    assert not room.types(1)
    assert not room.types(3)
    assert not room.texts()
    assert room.ask(3, "held_list")["code"] == "E300"
    (one,) = room.ask(1, "held_list")["held"]
    assert (one["seq"], one["user"], one["room"], one["word"], one["body"]) == (
        sent["seq"], "bob", "#lobby", "merger", TEXT,
    )  # fmt: skip


def test_an_approved_message_is_published_once_under_its_writers_name(room: Room) -> None:
    held = room.send()["seq"]
    published = room.ask(1, "held_approve", seq=held)["published"]
    assert published > held
    assert room.types(3) == ["message"]
    (event,) = [event for to, event in room.worker.delivered if to == 3 and event["type"] == "message"]
    assert (event["user"], event["device"], event["msg_id"], event["body"]) == ("bob", "d", MSG_ID, TEXT)
    assert room.types(2) == ["message_held", "message", "message_approved"]
    assert room.ask(1, "held_approve", seq=held)["code"] == "E410"
    assert room.texts() == [TEXT]


@pytest.mark.parametrize("moment", ["held", "approved", "refused"])
@pytest.mark.parametrize("restarted", [False, True])
def test_a_resent_message_is_neither_held_nor_published_twice(
    room: Room, moment: str, restarted: bool
) -> None:
    held = room.send()["seq"]
    published = room.ask(1, "held_approve", seq=held)["published"] if moment == "approved" else None
    if moment == "refused":
        room.ask(1, "held_refuse", seq=held)
    if restarted:
        room = room.reopen()
    again = room.send()
    if moment == "held":
        assert (again["seq"], again["held"]) == (held, True)
        assert len(room.ask(1, "held_list")["held"]) == 1
    elif moment == "approved":
        assert (again["seq"], "held" in again) == (published, False)
        assert room.texts() == [TEXT]
    else:
        assert again["code"] == "E415"
        assert not room.ask(1, "held_list")["held"]
    room.harness.close()


def test_a_message_resent_before_the_approval_is_durable_is_the_published_one(room: Room) -> None:
    held = room.send()["seq"]
    hub, link = room.harness.hub, room.worker.link
    room.worker.replies.clear()
    send = {"type": "send", "id": 8, "msg_id": MSG_ID, "to": "#lobby", "body": TEXT}
    frames = [(1, {"type": "held_approve", "id": 7, "seq": held}), (2, send)]
    hub.take(link, [(["request", sid], orjson.dumps(frame)) for sid, frame in frames])
    room.harness.run_iteration()
    published = room.worker.replies[7]["result"]["published"]
    assert room.worker.replies[8]["result"]["seq"] == published
    assert room.texts() == [TEXT]


@pytest.mark.parametrize("decision", ["held_approve", "held_refuse"])
def test_the_text_leaves_the_log_with_the_decision_and_the_log_verifies(room: Room, decision: str) -> None:
    held = room.send()["seq"]
    room.harness.hub.save_snapshot()
    room.ask(1, decision, seq=held)
    reader = LogReader(room.folder)
    entry = reader.entry(held)
    assert entry is not None
    assert not entry.body
    reader.close()
    assert verify(room.folder, agrees=snapshot_agrees, full=True).ok
    lines = [orjson.dumps(line) + b"\n" for line in export(room.folder, "x", Choice(), NOW, lambda *_: None)]
    assert check_export(lines, lambda *_: None).ok


NOW = "2026-01-01T00:00:00Z"


def test_a_rooms_export_has_no_held_text_and_an_export_has_read_markers(room: Room) -> None:
    seq = room.send(3, "hello", "0b" * 16)["seq"]
    room.ask(2, "read", room="#lobby", seq=seq)
    room.send()
    for choice, there in ((Choice("#lobby"), False), (Choice(), True)):
        lines = list(export(room.folder, "x", choice, NOW, lambda *_: None))
        assert any(TEXT in line.get("body", "") for line in lines) is there


def test_held_messages_survive_a_restart_with_and_without_a_snapshot(room: Room) -> None:
    first, second = room.send()["seq"], room.send(msg_id="0b" * 16)["seq"]
    room.harness.hub.save_snapshot()
    room.ask(1, "held_refuse", seq=first)
    room = room.reopen()
    assert [one["seq"] for one in room.ask(1, "held_list")["held"]] == [second]
    assert State.restore(room.harness.hub.state.snapshot()).held == room.harness.hub.state.held
    room.harness.close()
    log, replayed = EventLog.open(room.folder, now=0), State()
    for entry in log.state_entries(0):
        replayed.apply(orjson.loads(entry.body))
    assert list(replayed.held.by_seq) == [second]
    log.close()


AFTERWARDS: dict[str, list[tuple[int, str, dict[str, Any]]]] = {
    "E207": [(1, "ban", {"user": "bob"})],
    "left": [(2, "part", {"room": "#lobby"})],
    "muted": [(1, "mute", {"user": "bob"})],
    "archived": [(1, "room_archive", {"room": "#lobby"})],
    "revoked": [(1, "revoke", {"user": "bob", "device": "d"})],
}


@pytest.mark.parametrize("case", AFTERWARDS)
def test_an_approval_refuses_what_its_writer_may_no_longer_send(room: Room, case: str) -> None:
    held = room.send()["seq"]
    for sid, kind, fields in AFTERWARDS[case]:
        room.ask(sid, kind, **fields)
    result = room.ask(1, "held_approve", seq=held)
    assert result["published"] is None
    assert result["refused"]
    assert not room.texts()
    assert not room.ask(1, "held_list")["held"]


def test_a_later_room_of_the_same_name_gets_nothing(tmp_path: Path) -> None:
    world = World(SETTINGS)
    world.create_configured_rooms()
    world.add_user("alice", "admin")
    world.add_user("bob", "user")
    world.ask("bob", "create", room="#deals")
    held = world.ask("bob", "send", to="#deals", body=TEXT)["seq"]
    world.ask("alice", "room_remove", room="#deals")
    for name in list(world.state.removing):
        world.state.removing.pop(name)
    world.ask("bob", "create", room="#deals")
    assert world.ask("alice", "held_approve", seq=held)["refused"] == "#deals was removed"


@pytest.mark.parametrize(
    ("body", "outcome"), [("a bomb and a merger", "E400"), (TEXT, "held"), ("the m*rger", "sent")]
)
def test_a_word_that_refuses_wins_over_one_that_holds(room: Room, body: str, outcome: str) -> None:
    sent = room.send(body=body)
    assert outcome == sent.get("code", "held" if "held" in sent else "sent")


def test_whoever_may_override_the_filter_sends_a_held_text_anyway(room: Room) -> None:
    assert "held" not in room.send(1, anyway=True)
    assert "held" in room.send(2, anyway=True)


def test_edits_and_direct_messages_are_refused_not_held(room: Room) -> None:
    seq = room.send(2, "hello")["seq"]
    edit = room.ask(2, "edit", msg_id="0c" * 16, room="#lobby", seq=seq, body=TEXT)
    direct = room.ask(2, "send", msg_id="0d" * 16, to="@carol", body=TEXT)
    topic = room.ask(2, "topic", room="#lobby", topic=TEXT)
    assert (edit["code"], direct["code"], topic["code"]) == ("E400", "E400", "E400")


def test_held_messages_are_bounded_for_each_user_and_in_all(
    room: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(held_book.HELD_PER_USER):
        assert "held" in room.send(msg_id=f"{number:032x}")
    assert room.send()["code"] == "E409"
    assert "held" in room.send(3)
    monkeypatch.setattr("chatd.hub.state.held.HELD_LIMIT", held_book.HELD_PER_USER + 1)
    assert room.send(3, msg_id="0b" * 16)["code"] == "E409"


def test_a_message_that_nobody_decides_about_is_refused_in_time(room: Room) -> None:
    room.send()
    room.harness.now += 7 * DAY_MS - 1
    room.harness.hub.before_commit()
    assert room.harness.hub.state.held.by_seq
    room.harness.now += 1
    room.harness.hub.before_commit()
    room.harness.run_iteration()
    assert not room.harness.hub.state.held.by_seq
    assert room.types(2) == ["message_held", "message_refused"]
    assert verify(room.folder, agrees=snapshot_agrees, full=True).ok


def test_long_held_texts_come_in_pages_that_fit_a_frame(room: Room) -> None:
    for number in range(3):
        room.send(body=f"merger {number} " + '"' * 20_000, msg_id=f"{number:032x}")
    found: list[dict[str, Any]] = []
    more = True
    while more:
        page = room.ask(1, "held_list", after=found[-1]["seq"] if found else 0)
        found += page["held"]
        more = page["more"]
    assert [one["body"][:8] for one in found] == ["merger 0", "merger 1", "merger 2"]


def test_what_the_filter_does_is_in_the_security_log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lines: list[tuple[str, dict[str, Any]]] = []
    monkeypatch.setattr(
        filter_log.log_security, "info", lambda event, **fields: lines.append((event, fields))
    )
    rules = [
        {"words": [word], "action": action}
        for word, action in (("asap", "warn"), ("secret", "redact"), ("merger", "hold"))
    ]
    settings = Settings.model_validate({"filter": {"rules": rules}})
    monkeypatch.setattr("tests.unit.test_held_messages.SETTINGS", settings)
    room = Room(tmp_path / "data")
    try:
        for number, body in enumerate(("do it asap", "a secret", TEXT)):
            seq = room.send(body=body, msg_id=f"{number:032x}")["seq"]
            event, fields = lines[-1]
            assert event == ("filter_warned", "filter_masked", "filter_held")[number]
            word = ("asap", "secret", "merger")[number]
            assert fields == {"user": "bob", "device": "d", "seq": seq, "word": word}
        room.send(body=TEXT, msg_id="0e" * 16, anyway=True)
        assert [event for event, _ in lines].count("filter_held") == 1
    finally:
        room.harness.close()


def test_a_writer_withdraws_a_held_message(room: Room) -> None:
    seq = room.send()["seq"]
    assert room.ask(2, "held_withdraw", seq=seq) == {"room": "#lobby"}
    assert room.types(2) == ["message_held", "message_refused"]
    assert not room.types(1) and not room.types(3)
    assert not room.ask(1, "held_list")["held"]
    assert room.ask(1, "held_approve", seq=seq)["code"] == "E410"
    assert room.send()["code"] == "E415"
    room.harness.close()
    for path in room.folder.iterdir():
        assert TEXT.encode() not in path.read_bytes(), path


def test_nobody_learns_of_the_held_messages_of_others_by_withdrawing(room: Room) -> None:
    seq = room.send()["seq"]
    others, missing = (room.ask(sid, "held_withdraw", seq=number) for sid, number in ((3, seq), (3, seq + 1)))
    assert others["code"] == missing["code"] == "E410"
    assert others["reason"].replace(str(seq), "") == missing["reason"].replace(str(seq + 1), "")
    assert room.ask(1, "held_withdraw", seq=seq)["code"] == "E410"
    assert room.ask(1, "held_list")["held"]


@pytest.mark.parametrize("restarted", [False, True])
def test_a_resent_held_message_is_told_from_another_under_its_id(room: Room, restarted: bool) -> None:
    seq = room.send()["seq"]
    if restarted:
        room = room.reopen()
    assert room.send()["seq"] == seq
    assert room.send(body="another merger")["code"] == "E408"
    assert room.send()["seq"] == seq
    room.harness.close()


def test_no_snapshot_has_a_trace_of_a_held_text(room: Room) -> None:
    room.send()
    (plain,) = room.harness.hub.state.held.plain()
    assert plain.keys() == {"seq", "at", "user", "device", "room", "msg_id"}


LISTED = [
    {"words": ["merger"], "action": "hold", "roles": ["user"]},
    {"words": ["bribe"], "action": "block", "roles": ["admin", "user"]},
]


@pytest.mark.parametrize(
    ("sid", "body", "outcome"),
    [
        (1, TEXT, "sent"), (2, TEXT, "held"), (1, "a bribe", "E400"), (2, "a bribe", "E400"),
        (2, "drop the merger", "held"), (2, "drop it", "sent"), (2, "drop the bribe", "E400"),
    ],
)  # fmt: skip
def test_a_rule_for_named_roles_binds_those_who_may_override(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sid: int, body: str, outcome: str
) -> None:
    settings = Settings.model_validate({"filter": {"words": ["drop"], "rules": LISTED}})
    monkeypatch.setattr("tests.unit.test_held_messages.SETTINGS", settings)
    room = Room(tmp_path / "data")
    try:
        sent = room.send(sid, body, anyway=True)
        assert outcome == sent.get("code", "held" if "held" in sent else "sent")
        if outcome == "E400":
            assert "send it anyway" not in sent["fix"]
    finally:
        room.harness.close()


def test_the_filter_in_force_is_tried_line_by_line(room: Room) -> None:
    tried = room.ask(1, "filter_test", body=f"hello\n{TEXT}\na bomb")
    assert tried["next"] is None
    assert [(one["line"], one["found"], one["text"]) for one in tried["lines"]] == [
        (1, [{"action": "hold", "word": "merger"}], TEXT),
        (2, [{"action": "block", "word": "bomb"}], None),
    ]
    assert not room.types(1)
    assert room.ask(1, "filter_test", body="x", role="nobody")["code"] == "E404"
    assert room.ask(2, "filter_test", body="x")["code"] == "E300"


def test_a_trial_of_many_lines_comes_in_pages_that_fit_a_frame(room: Room) -> None:
    lines, found = ["bomb"] * 6000, 0
    while found < len(lines):
        page = room.ask(1, "filter_test", body="\n".join(lines[found:]))
        assert [one["line"] for one in page["lines"]] == list(range(len(page["lines"])))
        found += page["next"] or len(page["lines"])
    assert found == len(lines)
