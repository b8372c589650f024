"""Settings of rooms and rules where nothing can be masked or held; what is said of removed messages."""

from __future__ import annotations

from pathlib import Path

import pytest

from chatd.config.schema import Settings
from tests.support.hub_harness import HubHarness
from tests.support.hubworld import World


@pytest.mark.parametrize("mode", ["open", "members", "read-only"])
def test_a_room_of_the_settings_is_created_with_its_mode(mode: str) -> None:
    rooms = [{"name": "#lobby"}, {"name": "#legal", "mode": mode, "autojoin": True}]
    world = World(Settings.model_validate({"rooms": rooms}))
    world.create_configured_rooms()
    world.add_user("alice", "admin")
    world.add_user("bob", "user")
    assert world.state.rooms["#legal"].mode == mode
    joined = world.outcome("bob", "join", room="#legal")
    assert joined == ("E404" if mode == "members" else "ok")
    if joined == "ok":
        assert world.outcome("bob", "send", to="#legal", body="hello") == (
            "E313" if mode == "read-only" else "ok"
        )
    assert world.outcome("alice", "owner", room="#legal", user="alice") == "ok"
    if mode == "members":
        assert world.outcome("alice", "invite", room="#legal", user="bob") == "ok"
        assert world.outcome("bob", "join", room="#legal") == "ok"
    assert world.outcome("alice", "owner", room="#legal", user="bob") == "ok"
    assert world.outcome("bob", "send", to="#legal", body="hello") == "ok"


@pytest.mark.parametrize(
    ("action", "outcome"), [("warn", "ok"), ("redact", "E400"), ("hold", "E400"), ("block", "E400")]
)
@pytest.mark.parametrize("rooms", [[], ["#oncall"]])
def test_an_announcement_is_judged_by_the_rules_of_all_rooms(
    action: str, outcome: str, rooms: list[str]
) -> None:
    rule = {"words": ["merger"], "action": action, "rooms": rooms}
    world = World(Settings.model_validate({"filter": {"rules": [rule]}}))
    world.create_configured_rooms()
    world.add_user("alice", "admin")
    assert world.outcome("alice", "announce", body="the merger") == outcome


@pytest.mark.parametrize("action", ["redact", "hold", "block"])
def test_what_cannot_be_masked_or_held_is_refused(action: str) -> None:
    rule = {"words": ["merger"], "action": action}
    world = World(Settings.model_validate({"filter": {"rules": [rule]}}))
    world.create_configured_rooms()
    world.add_user("bob", "user")
    world.ask("bob", "join", room="#lobby")
    tried = {
        "create": {"room": "#merger"},
        "topic": {"room": "#lobby", "topic": "a merger"},
        "away": {"text": "a merger"},
    }
    for kind, fields in tried.items():
        assert world.outcome("bob", kind, **fields) == "E400", kind


def test_reactions_to_a_removed_message_are_refused_as_removed(tmp_path: Path) -> None:
    harness = HubHarness(tmp_path / "data", Settings())
    worker = harness.workers[0]
    try:
        harness.ask(harness.operator, 0, "user_add", user="bob", device="d", serial="a1", role="user")
        assert harness.open_session(worker, 1, "bob", "d", "a1")
        sent = harness.ask(worker, 1, "send", msg_id="0" * 32, to="#lobby", body="hello")
        assert sent is not None
        seq = sent["result"]["seq"]
        harness.ask(worker, 1, "delete", room="#lobby", seq=seq)
        for number, words in ((seq, "already removed"), (seq + 50, "there is no message")):
            worker.replies.clear()
            harness.ask(worker, 1, "reactions", room="#lobby", seq=number)
            harness.deliver_read()
            harness.run_iteration()
            (reply,) = worker.replies.values()
            assert words in reply["reason"]
    finally:
        harness.close()
