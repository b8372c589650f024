"""Whoever changes a user is told what that removes the user from, also by a dry run."""

from __future__ import annotations

from typing import Any

import pytest

from chatd.config.schema import Settings
from chatd.console.leaving_text import NAMED, removals
from chatd.hub.state.leaving import ROOMS_TOLD
from chatd.policy.roles import DEFAULT_ROLES
from tests.support.hubworld import World

LEFT = {"rooms": ["#open", "#team"], "more_rooms": 0, "groups": 1, "ownerless": ["#team"]}


@pytest.fixture
def world() -> World:
    """ann is an admin; bob owns #team, is in #open with carol, in #fun, and in a group."""
    may = {**DEFAULT_ROLES, "clerk": [*DEFAULT_ROLES["user"], "role.set", "user.remove", "user.list"]}
    world = World(Settings.model_validate({"roles": {"permissions": may}}))
    for name, role in (
        ("ann", "admin"),
        ("cleo", "clerk"),
        ("bob", "user"),
        ("carol", "user"),
        ("dan", "user"),
    ):
        world.add_user(name, role)
    world.ask("bob", "create", room="#team", mode="members")
    world.ask("carol", "create", room="#open")
    for name in ("bob", "dan"):
        world.ask(name, "join", room="#open")
    world.ask("carol", "create", room="#fun", guests=True)
    world.ask("bob", "join", room="#fun")
    world.ask("bob", "send", to="@bob,carol,dan", body="among us")
    world.ask("bob", "send", to="@carol", body="between us")
    return world


def left_by(world: World, user: str) -> list[str]:
    return [one["room"] for one in world.log if one["type"] == "parted" and one["user"] == user]


@pytest.mark.parametrize(
    ("kind", "more", "stays"), [("role_set", {"role": "guest"}, ["#fun"]), ("user_remove", {}, [])]
)
def test_a_dry_run_tells_what_the_change_then_removes(
    world: World, kind: str, more: dict[str, Any], stays: list[str]
) -> None:
    trial = world.ask("ann", kind, user="bob", dry_run=True, **more)
    assert not left_by(world, "bob") and world.state.users["bob"].role == "user"
    done = world.ask("ann", kind, user="bob", **more)
    assert trial | {"dry_run": False} == done
    rooms = sorted({"#fun", "#open", "#team"} - set(stays))
    assert (done["rooms"], done["groups"], done["ownerless"]) == (rooms, 1, ["#team"])
    assert sorted(left_by(world, "bob")) == [*rooms, "@bob,carol,dan"]


def test_a_room_that_the_asker_may_not_know_is_not_told(world: World) -> None:
    for kind, more in (("role_set", {"role": "guest"}), ("user_remove", {})):
        told = world.ask("cleo", kind, user="bob", dry_run=True, **more)
        assert "#open" in told["rooms"] and "#team" not in told["rooms"]
        assert told["ownerless"] == []


def test_a_higher_role_removes_nobody(world: World) -> None:
    told = world.ask("ann", "role_set", user="bob", role="admin")
    assert (told["rooms"], told["groups"], removals(told)) == ([], 0, "")


def test_the_end_of_a_guest_and_a_kick_tell_it_too(world: World) -> None:
    world.ask("bob", "invite", room="#team", user="carol")
    world.ask("carol", "join", room="#team")
    kicked = world.ask("ann", "kick", user="bob", room="#team", dry_run=True)
    assert kicked["ownerless"] == ["#team"]
    world.ask_as_operator(
        "user_add", user="gil", device="laptop", serial="99", role="guest", guest_seconds=3600, sponsor="ann"
    )
    world.ask("gil", "join", room="#fun")
    assert world.ask("ann", "guest_end", user="gil", dry_run=True)["rooms"] == ["#fun"]


def test_a_room_that_is_closed_tells_how_many_invitations_end(world: World) -> None:
    world.ask("dan", "part", room="#open")
    world.ask("carol", "invite", room="#open", user="dan")
    for dry_run in (True, False):
        told = world.ask("carol", "room_mode", room="#open", mode="members", dry_run=dry_run)
        assert told["invitations_ended"] == 1
    assert world.ask("carol", "room_mode", room="#open", mode="members")["invitations_ended"] == 0


def test_the_names_in_an_answer_are_bounded(world: World) -> None:
    for number in range(ROOMS_TOLD):
        world.state.rooms[f"#r{number:03}"] = world.state.rooms["#open"]
        world.state.users["bob"].rooms.add(f"#r{number:03}")
    told = world.ask("ann", "role_set", user="bob", role="guest", dry_run=True)
    assert (len(told["rooms"]), told["more_rooms"]) == (ROOMS_TOLD, 2)
    assert f"and {ROOMS_TOLD + 2 - NAMED} more rooms" in removals(told | {"groups": 0})


def test_removals_in_words() -> None:
    assert removals(LEFT) == (
        "removed from #open, #team and 1 group; #team has no owner now: chatctl room owner team NAME"
    )
    would = removals(LEFT | {"dry_run": True, "groups": 2, "rooms": []})
    assert would.startswith("would be removed from 2 groups; #team has no owner then")
    assert removals({"user": "bob"}) == ""
    assert removals(LEFT | {"rooms": ["#a\x1b"], "ownerless": []}) == "removed from #a\\x1b and 1 group"
