"""Display names: shown beside names, never instead of them."""

from __future__ import annotations

import pytest

from chatd.config.schema import Settings
from chatd.hub.state.model import State
from chatd.proto.people_requests import DISPLAY_CHARS
from tests.support.hubworld import World


@pytest.fixture
def world() -> World:
    settings = {"roles": {"assigned": {"alice": "admin"}}, "filter": {"words": ["drop"]}}
    world = World(Settings.model_validate(settings))
    world.create_configured_rooms()
    for name in ("alice", "bob", "carol"):
        world.add_user(name)
    world.ask("bob", "create", room="#team")
    world.ask("carol", "join", room="#team")
    return world


def test_a_display_name_is_told_wherever_users_are_described(world: World) -> None:
    assert world.ask("alice", "display_name", user="bob", display="  Robert \t Müller ")["display"] == (
        "Robert Müller"
    )
    assert world.ask("carol", "whois", user="bob")["display"] == "Robert Müller"
    members = {one["user"]: one["display"] for one in world.ask("carol", "who", room="#team")["members"]}
    assert members == {"bob": "Robert Müller", "carol": ""}
    listed = {one["user"]: one["display"] for one in world.ask("alice", "users")["users"]}
    assert listed["bob"] == "Robert Müller"
    assert State.restore(world.state.snapshot()) == world.state
    world.ask("alice", "display_name", user="bob", display="")
    assert world.ask("carol", "whois", user="bob")["display"] == ""


def test_what_holds_already_is_no_event(world: World) -> None:
    world.ask("alice", "display_name", user="bob", display="Robert")
    head = world.state.head
    world.ask("alice", "display_name", user="bob", display="Robert")
    assert world.state.head == head


@pytest.mark.parametrize(
    ("display", "code"),
    [
        ("carol", "E406"),
        ("CAROL", "E406"),
        ("@Carol", "E406"),
        ("bob", "ok"),
        ("a drop of it", "E400"),
        ("two\u202eeno", "E402"),
        ("bell \x07", "E402"),
        ("x" * DISPLAY_CHARS, "ok"),
        ("x" * (DISPLAY_CHARS + 1), "E102"),
    ],
)
def test_names_of_others_and_texts_that_cannot_be_shown_are_refused(
    world: World, display: str, code: str
) -> None:
    assert world.outcome("alice", "display_name", user="bob", display=display) == code


def test_only_roles_with_the_permission_name_others(world: World) -> None:
    assert world.outcome("carol", "display_name", user="bob", display="Bobby") == "E300"
    assert world.outcome("carol", "display_name", user="carol", display="Caro") == "E300"
    assert world.outcome("alice", "display_name", user="nobody", display="Caro") == "E405"
