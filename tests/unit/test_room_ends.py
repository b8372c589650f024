"""Limits on rooms and conversations; archived, removed and empty rooms."""

from __future__ import annotations

import json
from typing import Any

import pytest

from chatd.config.schema import Settings
from chatd.hub.state import model, room_ends
from chatd.hub.state.context import OPERATOR
from chatd.hub.state.model import DAY_MS, State
from tests.support.hubworld import World

USERS = {"alice": "admin", "bob": None, "carl": None, "dan": None, "gus": "guest"}


def make(limits: dict[str, Any] | None = None, **sections: Any) -> World:
    """Build a world with some users in #lobby."""
    world = World(Settings.model_validate({"limits": limits or {}, **sections}))
    world.create_configured_rooms()
    for name, role in USERS.items():
        world.add_user(name, role)
    return world


def created(world: World, who: str, count: int, begin: str = "#r") -> list[str]:
    """Create rooms until one is refused; return the outcomes."""
    return [world.outcome(who, "create", room=f"{begin}{number}") for number in range(count)]


def upkeep(world: World, log_head: int | None = None) -> None:
    """Do what the hub's upkeep does, as if no removed room had a message."""
    context = world.context(OPERATOR)
    room_ends.remove_empty(context, 100)
    for name in list(context.state.removing):
        room_ends.free(context, name)
    world.log += context.events


def listed(world: World, who: str, **fields: Any) -> list[str]:
    return [room["room"] for room in world.ask(who, "rooms", **fields)["rooms"]]


# --- limits ------------------------------------------------------------------------------------------


def test_a_user_creates_a_number_of_rooms_a_day_and_an_admin_any() -> None:
    world = make({"per_role": {"user": {"rooms_per_day": 3}}})
    assert created(world, "bob", 4) == ["ok"] * 3 + ["E409"]
    assert "3 rooms and groups a day" in world.refusal_text("bob", "create", room="#x")
    world.ask("bob", "part", room="#r0")
    assert world.outcome("bob", "create", room="#x") == "E409", "leaving gives nothing back"
    assert world.outcome("carl", "create", room="#x") == "ok"
    assert created(world, "alice", 5, "#a") == ["ok"] * 5
    world.now += DAY_MS
    assert created(world, "bob", 4, "#t") == ["ok"] * 3 + ["E409"]


def test_the_count_of_a_day_survives_snapshot_and_replay() -> None:
    world = make({"per_role": {"user": {"rooms_per_day": 2}}})
    created(world, "bob", 2)
    restored = World(world.rules.settings, State.restore(world.state.snapshot()))
    assert restored.outcome("bob", "create", room="#x") == "E409"


def test_a_role_may_be_forbidden_to_create_rooms_by_its_limit() -> None:
    world = make({"per_role": {"user": {"rooms_per_day": 0}}})
    assert world.outcome("bob", "create", room="#x") == "E409"


def test_the_last_tenth_of_the_rooms_is_for_admins() -> None:
    world = make({"rooms": 20, "per_role": {"user": {"rooms_per_day": 100}}})
    assert created(world, "bob", 18) == ["ok"] * 17 + ["E409"]  # with #lobby 18 of 20
    assert created(world, "alice", 3, "#a") == ["ok", "ok", "E409"]
    world.ask("alice", "room_remove", room="#r0")
    assert world.outcome("alice", "create", room="#b") == "E409", "its name and place are not free yet"
    upkeep(world)
    assert world.outcome("alice", "create", room="#r0") == "ok"


def test_conversations_do_not_count_as_rooms_and_have_their_own_limit() -> None:
    world = make({"rooms": 2, "conversations": 2})
    for who, to in (("bob", "@carl"), ("bob", "@dan")):
        assert world.outcome(who, "send", to=to, body="x") == "ok"
    assert world.outcome("carl", "send", to="@dan", body="x") == "E409"
    assert world.outcome("carl", "send", to="@bob", body="x") == "ok"
    assert world.outcome("bob", "create", room="#x") == "ok"
    assert world.ask("alice", "rooms")["rooms"] and world.state.conversation_count == 2


def test_the_last_tenth_of_the_conversations_is_for_admins() -> None:
    world = make({"conversations": 10})
    for number in range(10):
        world.add_user(f"u{number}")
    outcomes = [world.outcome("bob", "send", to=f"@u{number}", body="x") for number in range(10)]
    assert outcomes == ["ok"] * 9 + ["E409"]
    assert world.outcome("alice", "send", to="@bob", body="x") == "ok"
    assert world.outcome("alice", "send", to="@carl", body="x") == "E409"


def test_mutes_are_limited_and_ended_ones_make_room(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("appliers", "moderation"):
        monkeypatch.setattr(f"chatd.hub.state.{module}.MUTES_LIMIT", 2)
    world = make()
    for user in ("bob", "carl"):
        world.ask("alice", "mute", user=user, seconds=60)
    assert world.outcome("alice", "mute", user="dan") == "E409"
    world.now += 60_000
    assert world.outcome("alice", "mute", user="dan") == "ok"
    assert list(world.state.mutes) == [("dan", "")]
    assert model.State.restore(world.state.snapshot()) == world.state


def test_only_rooms_of_the_settings_remember_who_left() -> None:
    world = make()
    world.ask("bob", "create", room="#r")
    for room in ("#r", "#lobby"):
        world.ask("bob", "part", room=room)
    assert world.state.users["bob"].left == {"#lobby"}


# --- archived rooms ------------------------------------------------------------------------------------


def test_an_archived_room_can_be_read_and_left_but_not_written_or_entered() -> None:
    world = make()
    world.ask("bob", "create", room="#old")
    world.ask("carl", "join", room="#old")
    assert world.ask("alice", "room_archive", room="#old", reason="done") == {
        "room": "#old",
        "members": 2,
        "dry_run": False,
        "on": True,
    }
    assert world.log[-1]["type"] == "archived" and world.log[-1]["reason"] == "done"
    head = world.state.head
    assert world.outcome("alice", "room_archive", room="#old") == "ok" and world.state.head == head
    for kind, fields in (("send", {"to": "#old", "body": "x"}), ("topic", {"room": "#old", "topic": "x"})):
        assert world.outcome("bob", kind, **fields) == "E307"
    assert world.outcome("dan", "join", room="#old") == "E307"
    assert world.outcome("bob", "join", room="#old") == "ok", "joining again changes nothing"
    assert "#old" in world.ask("bob", "search", query="x")["rooms"]
    assert world.outcome("bob", "history", room="#old") == "ok"
    assert world.outcome("carl", "part", room="#old") == "ok"
    world.ask("alice", "room_archive", room="#old", on=False)
    assert world.outcome("bob", "send", to="#old", body="x") == "ok"
    assert world.outcome("dan", "join", room="#old") == "ok"


def test_an_archived_room_is_listed_apart() -> None:
    world = make()
    world.ask("bob", "create", room="#old", guests=True)
    world.ask("bob", "create", room="#shut")
    for room in ("#old", "#shut"):
        world.ask("alice", "room_archive", room=room)
    assert listed(world, "bob") == ["#lobby"]
    assert listed(world, "bob", archived=True) == ["#old", "#shut"]
    assert listed(world, "gus", archived=True) == ["#old"]
    assert world.outcome("gus", "join", room="#shut") == "E404"


def test_nobody_joins_an_archived_room_automatically() -> None:
    world = make()
    world.ask("alice", "room_archive", room="#lobby")
    world.add_user("zoe")
    assert "#lobby" not in world.state.users["zoe"].rooms


def test_a_dry_run_changes_nothing() -> None:
    world = make()
    world.ask("bob", "create", room="#old")
    for kind in ("room_archive", "room_remove"):
        assert world.ask("alice", kind, room="#old", dry_run=True)["members"] == 1
    assert listed(world, "bob") == ["#lobby", "#old"]


# --- removed rooms -------------------------------------------------------------------------------------


def test_a_removed_room_is_gone_for_everybody_and_its_name_free_later() -> None:
    world = make()
    world.ask("bob", "create", room="#old", topic="secret")
    world.ask("alice", "mute", user="bob", room="#old")
    world.ask("alice", "room_remove", room="#old", reason="done")
    for kind in ("join", "part", "who", "history", "topic"):
        fields = {"topic": "x"} if kind == "topic" else {}
        assert world.outcome("bob", kind, room="#old", **fields) == "E404"
    assert world.outcome("bob", "send", to="#old", body="x") == "E404"
    assert world.outcome("alice", "room_remove", room="#old") == "E404"
    assert listed(world, "alice") == ["#lobby"]
    assert world.refusal_text("carl", "create", room="#old").startswith("the name #old cannot be used")
    assert "#old" not in world.state.users["bob"].rooms
    upkeep(world)
    assert world.log[-1]["type"] == "room_freed"
    assert not world.state.mutes, "a later room of this name has other members"
    assert world.ask("carl", "create", room="#old")["topic"] == ""
    assert model.State.restore(world.state.snapshot()) == world.state


def test_rooms_on_hold_and_rooms_of_the_settings_are_not_removed() -> None:
    world = make()
    world.ask("bob", "create", room="#old")
    world.ask("alice", "hold", room="#old")
    assert world.outcome("alice", "room_remove", room="#old") == "E306"
    assert world.outcome("alice", "room_remove", room="#lobby") == "E308"
    assert world.outcome("alice", "room_remove", room="#old", dry_run=True) == "E306"


def test_a_room_that_the_settings_gained_meanwhile_is_created_when_its_name_is_free() -> None:
    world = make()
    world.ask("bob", "create", room="#old")
    world.ask("alice", "room_remove", room="#old")
    world.rules = make(rooms=[{"name": "#lobby"}, {"name": "#old", "autojoin": True}]).rules
    world.create_configured_rooms()
    assert "#old" not in world.state.rooms
    world.add_user("zoe")
    upkeep(world)
    assert "#old" in world.state.rooms


def test_conversations_are_neither_archived_nor_removed() -> None:
    world = make()
    world.ask("alice", "send", to="@bob", body="x")
    for kind in ("room_archive", "room_remove"):
        assert world.outcome("alice", kind, room="@alice,bob") == "E404"


# --- empty rooms ---------------------------------------------------------------------------------------


def test_rooms_end_by_themselves_when_they_were_empty_for_long() -> None:
    world = make(retention={"empty_room_days": 2})
    for room in ("#gone", "#held", "#kept", "#back", "#full"):
        world.ask("bob", "create", room=room)
    world.ask("alice", "hold", room="#held")
    world.ask("alice", "room_archive", room="#kept")
    for room in ("#gone", "#held", "#kept", "#back"):
        world.ask("bob", "part", room=room)
    world.now += DAY_MS
    world.ask("carl", "join", room="#back")
    world.ask("carl", "part", room="#back")
    world.now += DAY_MS - 1
    upkeep(world)
    assert "#gone" in world.state.rooms
    world.now += 1
    upkeep(world)
    assert sorted(world.state.rooms) == ["#back", "#full", "#held", "#kept", "#lobby"]
    ended = next(event for event in world.log if event["type"] == "room_removed")
    assert (ended["by"], ended["reason"]) == ("server", "empty for 2 days")
    assert State.restore(world.state.snapshot()) == world.state
    world.now += DAY_MS
    upkeep(world)
    assert "#back" not in world.state.rooms


def test_empty_rooms_stay_by_default() -> None:
    world = make()
    world.ask("bob", "create", room="#r")
    world.ask("bob", "part", room="#r")
    world.now += 10_000 * DAY_MS
    upkeep(world)
    assert "#r" in world.state.rooms


def test_a_replay_gives_the_same_state() -> None:
    world = make()
    world.ask("bob", "create", room="#r")
    world.ask("bob", "part", room="#r")
    world.ask("bob", "create", room="#s")
    world.ask("alice", "room_archive", room="#s")
    world.ask("alice", "room_remove", room="#r")
    replayed = State()
    for event in json.loads(json.dumps(world.log)):
        replayed.apply(event)
    assert replayed == world.state
    assert replayed.listed == world.state.listed
    assert replayed.user_names == world.state.user_names
