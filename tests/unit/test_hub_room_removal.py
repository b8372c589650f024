"""A removed room at the hub: its texts are redacted in steps; a later room of its name shows none of it."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import apsw
import pytest

from chatd.config.schema import Settings
from chatd.hub import upkeep
from chatd.hub.recovery import recover, snapshot_agrees
from chatd.hub.state.model import State
from chatd.store.event_log import EventLog
from chatd.store.migrations import STEPS
from chatd.store.verifier import verify
from tests.support.hub_harness import START, HubHarness
from tests.support.storelog import make_older

SECRET = "the password is hunter2"
SETTINGS = Settings.model_validate({"roles": {"assigned": {"alice": "admin"}}})


def begin(data: Path) -> HubHarness:
    """Start a hub with two live users: the admin alice on one worker, bob on the other."""
    harness = HubHarness(data, SETTINGS)
    for number, user in enumerate(("alice", "bob")):
        harness.ask(harness.operator, 0, "user_add", user=user, device="dev", serial=f"a{number}")
        assert harness.open_session(harness.workers[number], number, user, "dev", f"a{number}")
        assert harness.ask(harness.workers[number], number, "resume")
    return harness


@pytest.fixture
def harness(tmp_path: Path) -> Iterator[HubHarness]:
    harness = begin(tmp_path / "data")
    yield harness
    harness.close()


def ask(harness: HubHarness, number: int, kind: str, **fields: Any) -> Any:
    reply = harness.ask(harness.workers[number], number, kind, **fields)
    if reply is None:
        harness.deliver_read()
        harness.run_iteration()
        reply = harness.workers[number].reply
    assert reply is not None
    return reply.get("result", reply.get("code"))


def say(harness: HubHarness, number: int, to: str, body: str) -> Any:
    return ask(harness, number, "send", msg_id=os.urandom(16).hex(), to=to, body=body)


def advance(harness: HubHarness) -> None:
    """Do one step of the upkeep and commit it."""
    harness.hub.before_commit()
    harness.run_iteration()


def bodies(harness: HubHarness) -> str:
    return str(list(harness.logged_events()))


def test_its_texts_are_redacted_in_steps_also_those_of_the_batch_of_the_removal(
    harness: HubHarness, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(upkeep, "EXPIRY_MESSAGES", 2)
    ask(harness, 1, "create", room="#old")
    for _ in range(4):
        say(harness, 1, "#old", SECRET)
    message = {"type": "send", "id": 1, "msg_id": "0a" * 16, "to": "#old", "body": SECRET}
    removal = {"type": "room_remove", "id": 2, "room": "#old"}
    for number, request in ((1, message), (0, removal)):
        take(harness, number, request)
    # Upkeep runs before the commit of that batch, when the last message cannot be looked up yet.
    advance(harness)
    assert bodies(harness).count(SECRET) == 5
    for left in (3, 1, 0):
        assert ask(harness, 1, "create", room="#old") == "E406"
        advance(harness)
        assert bodies(harness).count(SECRET) == left
    advance(harness)
    assert ask(harness, 1, "create", room="#old")["room"] == "#old"
    report = verify(tmp_path / "data", full=True, agrees=snapshot_agrees)
    assert report.ok, report


def take(harness: HubHarness, number: int, request: dict[str, Any]) -> None:
    harness.hub.take(harness.workers[number].link, [(["request", number], json.dumps(request).encode())])


def test_members_get_the_event_and_nothing_more(harness: HubHarness) -> None:
    ask(harness, 1, "create", room="#old")
    harness.workers[1].delivered.clear()
    ask(harness, 0, "room_remove", room="#old", reason="done")
    for _ in range(3):
        advance(harness)
    (event,) = [event for _, event in harness.workers[1].delivered]
    assert (event["type"], event["by"], event["reason"]) == ("room_removed", "alice", "done")
    assert harness.workers[1].live[1] == {"*", "=bob", "#lobby"}
    assert not [e for _, e in harness.workers[0].delivered if e.get("room") == "#old"], "alice was not in it"


@pytest.mark.parametrize("restart", [False, True], ids=["from memory", "from the log"])
def test_a_later_room_of_its_name_begins_empty(tmp_path: Path, restart: bool) -> None:
    harness = begin(tmp_path / "data")
    before = harness.hub.state.head
    ask(harness, 1, "create", room="#old", topic="a secret topic")
    ask(harness, 0, "room_remove", room="#old")
    for _ in range(3):
        advance(harness)
    ask(harness, 0, "create", room="#old")
    if restart:
        harness.close()
        harness = HubHarness(tmp_path / "data", SETTINGS)
        assert harness.open_session(harness.workers[0], 0, "alice", "dev", "a0")
    for kind, fields in (
        ("resume", {"after": before}),
        ("history", {"room": "#old"}),
        ("history", {"room": "#old", "after": 0}),
    ):
        events = ask(harness, 0, kind, **fields)["events"]
        assert [e["type"] for e in events if e["room"] == "#old"] == ["room_created", "joined"], kind
    harness.close()


def test_the_removal_goes_on_after_a_restart(tmp_path: Path) -> None:
    harness = begin(tmp_path / "data")
    ask(harness, 1, "create", room="#old")
    say(harness, 1, "#old", SECRET)
    ask(harness, 0, "room_remove", room="#old")
    assert SECRET in bodies(harness)
    harness.hub.save_snapshot()
    harness.close()
    harness = HubHarness(tmp_path / "data", SETTINGS)
    for _ in range(3):
        advance(harness)
    assert SECRET not in bodies(harness)
    assert not harness.hub.state.removing
    harness.close()


def test_an_empty_room_is_removed_by_the_upkeep(tmp_path: Path) -> None:
    harness = begin(tmp_path / "data")
    harness.hub.reload(
        SETTINGS.model_copy(
            update={"retention": SETTINGS.retention.model_copy(update={"empty_room_days": 1})}
        )
    )
    ask(harness, 1, "create", room="#old")
    say(harness, 1, "#old", SECRET)
    ask(harness, 1, "part", room="#old")
    harness.now = START + 86_400_000
    for _ in range(4):
        advance(harness)
    assert SECRET not in bodies(harness) and "#old" not in harness.hub.state.rooms
    harness.close()


def test_a_log_of_an_older_schema_is_replayed_once(tmp_path: Path) -> None:
    """Its snapshot does not know when rooms became empty."""
    data = tmp_path / "data"
    harness = begin(data)
    ask(harness, 1, "create", room="#old")
    harness.hub.save_snapshot()
    harness.close()
    database = apsw.Connection(str(data / "events.db"))
    make_older(database, 2)
    database.execute("UPDATE snapshot SET state = ?, state_hash = x'00'", (State().snapshot(),))
    database.close()
    log = EventLog.open(data, now=START)
    assert not log.has_snapshot()
    assert recover(log).users["bob"].created == 1
    log.close()
    assert list(data.glob("events-before-v*.db"))
    report = verify(data, full=True, agrees=snapshot_agrees)
    assert report.ok, report


def test_a_snapshot_of_an_older_schema_is_not_compared(tmp_path: Path) -> None:
    data = tmp_path / "data"
    harness = begin(data)
    harness.hub.save_snapshot()
    harness.close()
    database = apsw.Connection(str(data / "events.db"))
    make_older(database, 2)
    assert verify(data, full=True, agrees=lambda *_: False).ok
    database.execute("; ".join(step for step in STEPS[3:] if "snapshot" not in step))
    database.pragma("user_version", len(STEPS))
    assert not verify(data, full=True, agrees=lambda *_: False).ok
    database.close()
