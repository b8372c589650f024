"""The answer to `audit`: in pages of bounded cost, without texts and without the conversations of others."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import apsw
import pytest

from chatd.config.schema import Settings
from chatd.hub import page_queries
from chatd.hub.recovery import recover
from chatd.policy.roles import DEFAULT_ROLES
from chatd.proto.frames import JsonObject
from chatd.store.event_log import EventLog
from tests.support.hub_harness import HubHarness
from tests.support.storelog import make_older

SETTINGS = {"roles": {"permissions": {**DEFAULT_ROLES, "auditor": ["audit.read"]}}}


@pytest.fixture
def harness(tmp_path: Path) -> Iterator[HubHarness]:
    """A hub with alice, an admin, bob, a user, and carol, an auditor; all have sessions 1 to 3."""
    harness = HubHarness(tmp_path / "data", Settings.model_validate(SETTINGS))
    people = (("alice", "a1", "admin"), ("bob", "b1", None), ("carol", "c1", "auditor"))
    for sid, (name, serial, role) in enumerate(people, 1):
        harness.ask(harness.operator, 0, "user_add", user=name, device="dev", serial=serial, role=role)
        assert harness.open_session(harness.workers[0], sid, name, "dev", serial)
    yield harness
    harness.close()


def audit(harness: HubHarness, sid: int = 1, **fields: Any) -> JsonObject:
    """Ask for one page and wait for it; return the result, or the error's code."""
    worker = harness.workers[0]
    reply = harness.ask(worker, sid, "audit", **fields)
    while reply is None:
        harness.deliver_read()  # of this read, or of another one before it
        harness.run_iteration()
        reply = worker.reply
    return reply["result"] if reply["type"] == "ok" else {"code": reply["code"]}


def kinds(page: JsonObject) -> list[str]:
    return [event["type"] for event in page["events"]]


def act(harness: HubHarness, kind: str, sid: int = 1, **fields: Any) -> JsonObject:
    reply = harness.ask(harness.workers[0], sid, kind, **fields)
    assert reply is not None and reply["type"] == "ok", reply
    result: JsonObject = reply["result"]
    return result


def test_filters_choose_by_author_person_kind_and_time(harness: HubHarness) -> None:
    act(harness, "create", room="#war")
    harness.now += 1000
    act(harness, "mute", user="bob", reason="spam")
    harness.now += 1000
    act(harness, "unmute", user="bob", reason="sorry")
    assert kinds(audit(harness, limit=3)) == ["unmuted", "muted", "room_created"]
    assert kinds(audit(harness, actor="alice")) == ["unmuted", "muted", "room_created"]
    assert kinds(audit(harness, actor="server", target="bob")) == ["device_added", "user_added"]
    assert kinds(audit(harness, target="#war")) == ["room_created"]
    assert kinds(audit(harness, event="muted")) == ["muted"]
    assert kinds(audit(harness, since=harness.now - 1000, until=harness.now)) == ["muted"]
    assert audit(harness, event="nonsense")["code"] == audit(harness, event="message")["code"] == "E411"


def test_who_removed_others_is_listed_and_who_left_is_not(harness: HubHarness) -> None:
    act(harness, "create", room="#war")
    act(harness, "join", 2, room="#war")
    act(harness, "kick", user="bob", room="#war", reason="x")
    act(harness, "part", room="#war")
    assert kinds(audit(harness, limit=2)) == ["parted", "room_created"]


def test_pages_list_every_act_once_whatever_else_is_in_between(
    harness: HubHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(page_queries, "AUDIT_ROWS", 5)
    act(harness, "create", room="#war")
    for number in range(4):
        act(harness, "mute", user="bob", reason=f"r{number}")
        for _ in range(6):  # more events that are read and not shown than one page reads
            act(harness, "join", 2, room="#war")
            act(harness, "part", 2, room="#war")
    found: list[str] = []
    before, pages, more = None, 0, True
    while more:
        page = audit(harness, actor="alice", event=None, limit=2, **({"before": before} if before else {}))
        assert len(page["events"]) <= 2
        assert not page["more"] or before is None or page["cursor"] < before
        found += [event["reason"] for event in page["events"] if event["type"] == "muted"]
        before, more, pages = page["cursor"], page["more"], pages + 1
    assert found == ["r3", "r2", "r1", "r0"]
    assert pages > 4


def test_texts_and_the_conversations_of_others_are_not_in_the_answer(harness: HubHarness) -> None:
    act(harness, "create", room="#war")
    act(harness, "join", 2, room="#war")
    act(harness, "announce", body="a secret")
    seq = act(harness, "send", to="@bob", body="a secret", msg_id="0a" * 16)["seq"]
    act(harness, "redact", room="@alice,bob", seq=seq, reason="why")
    mine, others = audit(harness)["events"], audit(harness, 3)["events"]
    assert [event["room"] for event in mine if event["type"] == "redacted"] == ["@alice,bob"]
    assert [event["room"] for event in others if event["type"] == "redacted"] == ["@"]
    assert "secret" not in str(mine + others)
    assert not audit(harness, 3, target="@alice,bob")["events"]


def test_only_roles_with_the_permission_may_ask(harness: HubHarness) -> None:
    assert audit(harness, 2)["code"] == "E300"
    assert audit(harness, 3)["events"]


def test_an_older_log_gets_the_index_and_keeps_its_acts(harness: HubHarness, tmp_path: Path) -> None:
    act(harness, "mute", user="bob")
    data = tmp_path / "data"
    harness.log.close()
    with apsw.Connection(str(data / "events.db")) as connection:
        make_older(connection, 1)
        # A name that a kind had before 0.1.0.
        connection.execute("UPDATE events SET kind = 'frozen' WHERE kind = 'held'")
    connection.close()
    log = EventLog.open(data, now=2)
    assert "bob" in recover(log).users
    log.close()
    with apsw.Connection(str(data / "events.db")) as connection:
        plan = connection.execute(
            "EXPLAIN QUERY PLAN SELECT seq FROM events WHERE kind = ? AND kind <> 'message' AND seq < 9",
            ("muted",),
        ).fetchall()
    connection.close()
    assert "events_kind" in str(plan)


def test_rooms_that_the_asker_may_not_know_of_have_no_name(harness: HubHarness) -> None:
    act(harness, "create", room="#secret", mode="members")
    act(harness, "create", room="#open", guests=True)
    act(harness, "invite_create", user="dora", secret_hash="0a" * 32, seconds=60, rooms=["#secret", "#open"])
    for sid, names in ((1, {"#secret", "#open"}), (3, {"#", "#open"})):
        events = audit(harness, sid)["events"]
        assert {one["room"] for one in events if one["type"] == "room_created"} >= names - {"#lobby"}
        assert "#secret" not in str(events) or sid == 1
        [made] = [one for one in events if one["type"] == "invite_created"]
        assert made["rooms"] == (["#secret", "#open"] if sid == 1 else ["#open"])
    assert (
        audit(harness, 3, target="#secret")["events"] == audit(harness, 3, target="#nought")["events"] == []
    )
