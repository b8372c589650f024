"""Whoever may override the word filter sends a message anyway, which is noted; nobody else does."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from chatctl.client._notices import ANYWAY, Sent
from chatctl.client._session import send_frame
from chatctl.client._state_store import FileStore
from chatd.config.schema import Settings
from chatd.errors import ChatdError
from chatd.hub import filter_log
from chatd.policy.roles import DEFAULT_ROLES
from tests.support.hub_harness import HubHarness
from tests.support.hubworld import World

BODY = "kubectl delete pod web-7"


def world_with(**sections: Any) -> World:
    world = World(Settings.model_validate(sections))
    world.create_configured_rooms()
    for name, role in (("alice", "admin"), ("bob", "user"), ("gus", "guest")):
        world.add_user(name, role)
    return world


@pytest.mark.parametrize(("user", "outcome"), [("alice", "ok"), ("bob", "ok"), ("gus", "E400")])
def test_who_may_send_a_forbidden_word_anyway(user: str, outcome: str) -> None:
    world = world_with()
    assert world.outcome(user, "send", to="#lobby", body=BODY) == "E400"
    assert world.outcome(user, "send", to="#lobby", body=BODY, anyway=True) == outcome
    if outcome == "ok":
        assert world.log[-1]["body"] == BODY


@pytest.mark.parametrize(("user", "told"), [("bob", True), ("gus", False)])
def test_the_refusal_names_the_word_and_the_way_to_whoever_may(user: str, told: bool) -> None:
    with pytest.raises(ChatdError) as refused:
        world_with().ask(user, "send", to="#lobby", body=BODY)
    assert "'delete'" in refused.value.reason
    assert ("send it anyway" in refused.value.fix) is told


def test_settings_with_their_own_roles_keep_their_meaning() -> None:
    former = [name for name in DEFAULT_ROLES["user"] if name != "filter.override"]
    world = world_with(roles={"permissions": {"admin": ["*"], "user": former, "guest": []}})
    assert world.outcome("bob", "send", to="#lobby", body=BODY, anyway=True) == "E400"
    assert world.outcome("alice", "send", to="#lobby", body=BODY, anyway=True) == "ok"


def test_only_messages_have_the_choice() -> None:
    with pytest.raises(ChatdError) as refused:
        world_with().ask("bob", "topic", room="#lobby", topic="drop it")
    assert "send it anyway" not in refused.value.fix


def test_an_override_is_noted_without_the_text(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    noted: list[tuple[str, dict[str, Any]]] = []
    monkeypatch.setattr(filter_log.log_audit, "info", lambda event, **fields: noted.append((event, fields)))
    harness = HubHarness(tmp_path / "data", Settings())
    try:
        harness.ask(harness.operator, 0, "user_add", user="bob", device="d", serial="a1", role="user")
        worker = harness.workers[0]
        assert harness.open_session(worker, 1, "bob", "d", "a1")
        reply = harness.ask(worker, 1, "send", msg_id="0" * 32, to="#lobby", body=BODY, anyway=True)
        assert reply is not None
        (fields,) = [fields for event, fields in noted if event == "filter_overridden"]
        seq = reply["result"]["seq"]
        assert fields == {"user": "bob", "device": "d", "seq": seq, "word": "delete"}
        assert BODY not in json.dumps(noted)
    finally:
        harness.close()


def test_a_stored_message_is_still_sent_anyway_after_a_restart(tmp_path: Path) -> None:
    store = FileStore(tmp_path)
    store.add(Sent("0" * 32, "#lobby", BODY, "text" + ANYWAY, None))
    (sent,) = store.load().unanswered
    store.close()
    frame = send_frame(1, sent)
    assert (frame.get("kind"), frame["anyway"]) == (None, True)
