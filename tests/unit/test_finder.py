"""Finding rooms, people and commands by some of their letters."""

from __future__ import annotations

import pytest

from chatctl.model.chat_model import ChatModel
from chatctl.model.conversation import RoomMember
from chatctl.model.finder import FOUND_LIMIT, Destination, find, places

PLACES = [
    Destination(address)
    for address in (
        "#deploys",
        "#incident",
        "#lobby",
        "#lobby-ops",
        "#ops",
        "@bob",
        "@lou",
        "/topic",
        "/part",
    )
]


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("lobby", ["#lobby", "#lobby-ops"]),
        ("OPS", ["#ops", "#lobby-ops"]),
        ("lo", ["@lou", "#lobby", "#lobby-ops", "#deploys"]),
        ("dpl", ["#deploys"]),
        ("@b", ["@bob"]),
        ("/p", ["/part", "/topic"]),
        ("#lob", ["#lobby", "#lobby-ops"]),
        ("zz", []),
        ("", [place.address for place in PLACES]),
        ("@", ["@bob", "@lou"]),
    ],
)
def test_the_best_match_comes_first(query: str, expected: list[str]) -> None:
    assert [place.address for place in find(query, PLACES)] == expected


def test_a_person_comes_before_a_group_with_unread_messages() -> None:
    found = find("bo", [Destination("@bob,carol,erin", unread=3), Destination("@bob")])
    assert [place.address for place in found] == ["@bob", "@bob,carol,erin"]


def test_unread_conversations_come_first_among_equals_and_the_list_is_bounded() -> None:
    many = [Destination(f"#room{n}", unread=int(n == 700)) for n in range(1_000)]
    found = find("room", many)
    assert len(found) == FOUND_LIMIT
    assert found[0].address == "#room700"


def test_places_are_what_the_model_knows_without_oneself() -> None:
    model = ChatModel("alice")
    model.joined = {"#lobby"}
    model.switch("#lobby")
    model.here.topic = "Welcome"
    model.here.members = {user: RoomMember(user, "user") for user in ("alice", "bob")}
    model.conversation("@alice,carol").read.counted = 2
    known = places(model)
    assert Destination("#lobby", "Welcome") in known
    assert Destination("@carol", "", 2) in known
    addresses = [place.address for place in known]
    assert "@bob" in addresses
    assert "@alice" not in addresses
    # Only commands that the role permits: without a welcome, those that need no permission.
    assert "/help" in addresses
    assert "/kick" not in addresses
