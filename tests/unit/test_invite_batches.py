"""Invites for a part of a team in one request: all or none, once however often it is sent."""

from __future__ import annotations

from typing import Any

import pytest

from chatd.errors import ChatdError
from chatd.hub.state.invite_book import OPEN_LIMIT
from chatd.proto.frames import FRAME_LIMIT, encode
from chatd.proto.invite_requests import INVITE_ROOMS, INVITES_PER_TOKEN
from chatd.proto.request_bounds import INVITES_AT_ONCE
from chatd.proto.requests import parse_request
from tests.support.hubworld import World


@pytest.fixture
def world() -> World:
    world = World()
    world.create_configured_rooms()
    for name, role in (("alice", "admin"), ("ann", "admin"), ("bob", None)):
        world.add_user(name, role)
    return world


def part(*users: str, first: int = 0, **fields: Any) -> list[dict[str, Any]]:
    return [
        {"user": user, "secret_hash": f"{number:064x}"[::-1]} | fields
        for number, user in enumerate(users, first)
    ]


def invite(world: World, invites: list[dict[str, Any]], who: str = "alice", **fields: Any) -> Any:
    return world.ask(who, "invite_many", **{"invites": invites, "seconds": 86_400} | fields)


def test_a_part_is_one_decision_and_the_same_again_changes_nothing(world: World) -> None:
    team = part("carol", "dora", "erin")
    result = invite(world, team)
    assert [one["user"] for one in result["invites"]] == ["carol", "dora", "erin"]
    assert [event["type"] for event in world.log[-3:]] == ["invite_created"] * 3
    head = world.state.head
    assert invite(world, team) == result
    # Somebody else's request with the same secrets is not the same.
    with pytest.raises(ChatdError, match="E406"):
        invite(world, team, who="ann")
    assert world.state.head == head


@pytest.mark.parametrize(
    ("wrong", "code"),
    [
        (part("dora", first=9), "E406"),  # the same name twice
        ([part("erin")[0]], "E406"),  # the same secret twice
        (part("bob", first=9), "E406"),
        (part("no name", first=9), "E403"),
        (part("erin", first=9, rooms=["#nought"]), "E404"),
        (part("erin", first=9, role="nil"), "E403"),
    ],
    ids=["name", "secret", "taken", "invalid", "room", "role"],
)
def test_one_that_is_refused_refuses_all_and_a_trial_says_which(
    world: World, wrong: list[dict[str, Any]], code: str
) -> None:
    team = [*part("carol", "dora"), *wrong]
    before = world.state.snapshot()
    with pytest.raises(ChatdError, match=code) as caught:
        invite(world, team)
    assert wrong[0]["user"] in caught.value.reason
    judged = invite(world, team, dry_run=True)["invites"]
    assert world.state.snapshot() == before
    assert [one["refusal"] and one["refusal"]["code"] for one in judged] == [None, None, code]
    assert judged[2]["refusal"]["fix"]


def test_open_invites_are_bounded_across_parts(world: World) -> None:
    names = [f"n{number}" for number in range(OPEN_LIMIT + 1)]
    for start in range(0, OPEN_LIMIT - 1, INVITES_AT_ONCE):
        invite(world, part(*names[start : start + INVITES_AT_ONCE][: OPEN_LIMIT - 1 - start], first=start))
    with pytest.raises(ChatdError, match="E409"):
        invite(world, part(*names[-2:], first=OPEN_LIMIT))
    assert len(world.state.invites.by_hash) == OPEN_LIMIT - 1


def test_guests_and_sponsors_are_those_of_the_request(world: World) -> None:
    invite(world, part("gil", "gwen"), guest_seconds=3600, sponsor="bob")
    made = world.state.invites.by_hash.values()
    assert {(one.role, one.sponsor, one.guest_until) for one in made} == {
        ("guest", "bob", world.now + 3_600_000)
    }


def test_a_part_costs_by_its_size_and_fits_into_a_frame() -> None:
    room = "#" + "r" * 32
    users = [f"{number:032}" for number in range(INVITES_AT_ONCE)]
    message = {
        "type": "invite_many",
        "id": 1,
        "seconds": 60,
        "invites": part(*users, rooms=[room] * INVITE_ROOMS),
    }
    assert len(encode(message)) < FRAME_LIMIT
    assert parse_request(message).cost == INVITES_AT_ONCE / INVITES_PER_TOKEN
    message["invites"] = part(*users, "one-more")
    with pytest.raises(ChatdError, match="E102"):
        parse_request(message)
