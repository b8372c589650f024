"""Groups, invitations and rooms' rules in the clients' model, and in words."""

from __future__ import annotations

from typing import Any

import pytest

from chatctl.client import Connected
from chatctl.model import answers, render, room_text
from chatctl.model.chat_model import ChatModel
from chatctl.model.render import Viewer, plain
from chatd.proto import events as ev
from tests.unit.test_events import EXAMPLES

GROUP = "@alice,bob,carol"


def event(kind: str, **fields: Any) -> Any:
    parsed = ev.parse_from_server({"type": kind, "seq": 7, "at": 0} | fields)
    assert parsed is not None
    return parsed


@pytest.mark.parametrize(
    ("others", "expected"),
    [
        ([], "you are in no room now; /join ROOM goes on elsewhere"),
        (["#ops"], "you are still in #ops; /join #ops goes on there"),
        (["#b", "#a", "#d", "#c"], "you are still in #a, #b, #c and others; /join #a goes on there"),
    ],
)
def test_whoever_is_put_out_of_a_room_is_told_where_else_they_are(others: list[str], expected: str) -> None:
    assert room_text.left_without_choice(others) == expected


@pytest.fixture
def model() -> ChatModel:
    return ChatModel("alice", lambda: 0.0)


def test_a_group_has_one_name_and_address_and_the_others_as_its_title(model: ChatModel) -> None:
    for address in ("@bob,carol", "@carol,bob", "@carol,alice,bob", GROUP):
        assert model.resolve(address) == GROUP
    assert model.address(GROUP) == GROUP
    assert (model.title(GROUP), model.others(GROUP)) == ("bob, carol", ["bob", "carol"])
    # Conversations of two and with oneself are as before.
    assert [model.resolve(one) for one in ("@bob", "@alice", "@alice,bob")] == [
        "@alice,bob", "@alice,alice", "@alice,bob",
    ]  # fmt: skip
    assert (model.address("@alice,bob"), model.title("@alice,bob")) == ("@bob", "@bob")
    assert (model.address("@alice,alice"), model.title("@alice,alice")) == ("@alice", "@alice")


def test_a_group_is_listed_until_this_user_leaves_it(model: ChatModel) -> None:
    model.take(event("dm_opened", room=GROUP, by="bob"))
    assert [one.name for one in model.listed()] == [GROUP]
    model.take(event("parted", room=GROUP, user="carol", by="carol"))
    assert [one.name for one in model.listed()] == [GROUP]
    model.take(event("parted", room=GROUP, user="alice", by="alice", seq=8))
    assert model.listed() == []
    model.take(event("joined", room=GROUP, user="alice", by="alice", role="user", seq=9))
    assert [one.name for one in model.listed()] == [GROUP]


def test_a_new_invitation_is_noted_once(model: ChatModel) -> None:
    def connect(*invites: str) -> list[str]:
        before = len(model.here.rows)
        welcome = ev.Welcome.model_validate(
            EXAMPLES["welcome"] | {"type": "welcome", "rooms": [], "invites": list(invites)}
        )
        model.take(Connected(welcome))
        return [row.body for row in model.here.rows[before:]]

    assert connect("#team") == ["you are invited to #team: /join #team"]
    assert connect("#team") == []
    assert connect("#team", "#next") == ["you are invited to #next: /join #next"]


CAUSED = {"room": "#team", "by": "bob"}
WORDS = [
    ("room_mode", {"mode": "members"}, "#team is entered by invitation now, says bob"),
    ("room_mode", {"mode": "read-only"}, "in #team only its owners write now, says bob"),
    ("room_mode", {"mode": "open"}, "#team is open now, says bob"),
    ("room_mode", {"mode": "\x1b"}, "#team is \\x1b now, says bob"),
    ("owner_set", {"user": "carol", "on": True}, "bob made carol an owner of #team"),
    ("owner_set", {"user": "carol", "on": False}, "bob removed carol as an owner of #team"),
    ("owner_set", {"user": "bob", "on": True}, "bob took over #team as an owner"),
    ("owner_set", {"user": "bob", "on": False}, "bob no longer owns #team"),
    ("invited", {"user": "carol", "until": 9}, "bob invited carol to #team"),
    ("uninvited", {"user": "carol"}, "bob withdrew the invitation of carol to #team"),
    ("uninvited", {"user": "bob"}, "bob declined the invitation to #team"),
    ("joined", {"user": "bob", "role": "user", "room": GROUP}, "bob joined the group of alice, bob, carol"),
    ("parted", {"user": "bob", "room": GROUP}, "bob left the group of alice, bob, carol"),
    (
        "room_created",
        {"topic": "", "guests": True, "mode": "members", "history": "since_join"},
        "bob created #team, entered by invitation, members read what follows their joining",
    ),
]


@pytest.mark.parametrize(("kind", "fields", "words"), WORDS)
def test_an_event_in_words(kind: str, fields: dict[str, Any], words: str) -> None:
    assert plain(render.render(event(kind, **CAUSED | fields), Viewer("alice"))).endswith(f"-!- {words}")


def test_an_invitation_in_words() -> None:
    fields = {"role": "user", "permissions": [], "by": "bob", "room": "#team"}
    told = {
        change: render.describe(event("standing", change=change, **fields))
        for change in ("invited", "uninvited")
    }
    assert told == {
        "invited": "bob invited you to #team: /join #team",
        "uninvited": "bob ended your invitation to #team",
    }


def test_a_room_s_rules_are_told_to_whoever_enters_and_in_lists() -> None:
    room = {"room": "#team", "members": 2, "guests": False, "joined": False, "invited": True}
    rules = {"mode": "members", "history": "since_join"}
    words = "entered by invitation, members read what follows their joining"
    assert answers.room_rules(rules) == words
    assert answers.room_head(room | rules, "#team", 0).endswith(
        "by invitation · members read what follows their joining"
    )
    listed = plain(answers.rooms([room | rules]))
    assert f"2 members, you are invited, no guests, {words}" in listed
    info = plain(answers.room_info(room | rules | {"owners": ["bob"], "invitations": ["carol"]}))
    assert f"#team, 2 members, no guests, {words}" in info
    assert "owners" in info and "bob" in info and "carol" in info
    # An older server tells neither mode nor history.
    assert answers.room_rules({"room": "#war"}) == ""
