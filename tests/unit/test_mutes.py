"""Who is muted: told to those who may mute, of users and rooms that they may know of."""

from __future__ import annotations

import pytest

from chatd.config.schema import Settings
from chatd.hub.state import queries
from chatd.hub.state.mutes import TOLD
from chatd.policy.roles import DEFAULT_ROLES
from tests.support.hubworld import World

HELPER = ["room.join", "room.closed", "presence.read", "moderate.mute"]
SETTINGS = {"roles": {"permissions": DEFAULT_ROLES | {"helper": HELPER}}}


@pytest.fixture
def world() -> World:
    """ann is an admin; helen may mute, and shares #open with bob; #team is for its members bob and carol."""
    world = World(Settings.model_validate(SETTINGS))
    for name, role in (("ann", "admin"), ("helen", "helper"), ("bob", "user"), ("carol", "user")):
        world.add_user(name, role)
    world.ask("bob", "create", room="#open")
    world.ask("carol", "join", room="#open")
    world.ask("bob", "create", room="#team", mode="members")
    world.ask("bob", "invite", room="#team", user="carol")
    world.ask("carol", "join", room="#team")
    world.ask("carol", "part", room="#open")
    world.ask("helen", "join", room="#open")
    return world


def listed(world: World, who: str) -> list[tuple[str, str | None]]:
    """Return the user and room of each mute, read page by page."""
    found, after, more = [], "", True
    while more:
        page = world.ask(who, "mutes", after=after)
        found += [(mute["user"], mute["room"]) for mute in page["mutes"]]
        after, more = page["next"] or "", page["more"]
    return found


def test_mutes_are_listed_while_they_hold(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    assert world.ask("ann", "mutes") == {"mutes": [], "more": False, "next": None}
    assert world.ask("ann", "mute", user="bob", room="#team")["until"] is None
    world.ask("ann", "mute", user="bob")
    short = world.ask("ann", "mute", user="carol", seconds=60)
    assert short == {"dry_run": False, "until": world.now + 60_000, "replaced": None}
    monkeypatch.setattr(queries, "PAGE_ENTRIES", 1)
    assert listed(world, "ann") == [("bob", None), ("bob", "#team"), ("carol", None)]
    world.now += 60_000
    assert listed(world, "ann") == [("bob", None), ("bob", "#team")]
    world.ask("ann", "unmute", user="bob")
    assert listed(world, "ann") == [("bob", "#team")]


def test_a_mute_or_ban_says_which_one_it_replaces(world: World) -> None:
    for kind in ("mute", "ban"):
        first = world.ask("ann", kind, user="bob", seconds=60)
        assert first["replaced"] is None
        trial = world.ask("ann", kind, user="bob", dry_run=True)
        assert (trial["until"], trial["replaced"]) == (None, {"until": first["until"]})
        assert world.ask("ann", kind, user="bob")["replaced"] == {"until": first["until"]}
        assert world.ask("ann", kind, user="bob", seconds=60)["replaced"] == {"until": None}
    assert world.ask("ann", "mute", user="bob", room="#open")["replaced"] is None


def test_nobody_learns_of_mutes_of_strangers_or_in_rooms_that_are_hidden_from_them(world: World) -> None:
    for user, room in (("bob", "#team"), ("bob", None), ("carol", None)):
        world.ask("ann", "mute", user=user, room=room, reason="loud")
    assert listed(world, "helen") == [("bob", None)]
    assert [mute["room"] for mute in world.ask("helen", "whois", user="bob")["muted"]] == [None]
    assert [mute["room"] for mute in world.ask("ann", "whois", user="bob")["muted"]] == [None, "#team"]
    assert "muted" not in world.ask("carol", "whois", user="bob")
    assert world.outcome("carol", "mutes") == "E300"


def test_the_answer_about_one_user_is_bounded(world: World) -> None:
    for number in range(TOLD + 1):
        world.ask("bob", "create", room=f"#r{number}")
        world.ask("ann", "mute", user="bob", room=f"#r{number}", reason="x" * 256)
    assert len(world.ask("ann", "whois", user="bob")["muted"]) == TOLD
    assert len(listed(world, "ann")) == TOLD + 1
