"""The writer of a message is told which @names are not in the room."""

from __future__ import annotations

import pytest

from chatd.hub.state import absent
from tests.support.hubworld import World

MEMBERS = {"alice", "bob", "a.b"}
TEXTS = {
    "hello": "",
    "@bob hello": "",
    "@Bob, @a.b. @alice!": "",
    "thanks @carol": "carol is not in #war",
    "@Carol": "carol is not in #war",
    "(@carol) @carol: @carol.": "carol is not in #war",
    "@carol @dan @bob": "carol, dan are not in #war",
    "@c @d @e @f @g": "c, d, e and 2 more are not in #war",
    "mail carol@example.org or @": "",
    "https://example.org/@carol @carol@example.org": "",
    "`@property` and ```\n@cached\ndef f(): ...```": "",
    "```\n@cached": "",
    "@-x @.y @__ @\u0430lice": "",
    "@" + "a" * 40: "",
}


@pytest.mark.parametrize("text", TEXTS)
def test_names_outside_the_room_are_noted(text: str) -> None:
    found = absent.notes(text, "#war", MEMBERS)
    assert [note["text"] for note in found] == ([TEXTS[text]] if TEXTS[text] else [])


def test_names_that_call_everybody_elsewhere_call_nobody() -> None:
    found = [note["text"] for note in absent.notes("@All, @here: @carol", "#war", MEMBERS)]
    nobody = ["@all calls nobody; write the names", "@here calls nobody; write the names"]
    assert absent.notes("@nobody", "#war", MEMBERS)[0]["text"] == "@nobody calls nobody; write the names"
    assert found == [*nobody, "carol is not in #war"]
    assert not absent.notes("@here", "#war", {"here"})


def test_the_cost_is_linear() -> None:
    """Longer than any message may be, and ended in the middle of what the patterns look for."""
    for text in ("@" * 200_000, "`" * 200_001, "@a" * 100_000, "```" + "`" * 100_000, "@" + "a-" * 100_000):
        absent.notes(text, "#war", MEMBERS)


def test_a_sender_learns_nothing_of_users_elsewhere() -> None:
    world = World()
    world.create_configured_rooms()
    for name in ("alice", "bob", "dora"):
        world.add_user(name)
    world.ask("alice", "create", room="#war")
    texts = [world.ask("alice", "send", to="#war", body=f"@{name} hi")["notes"] for name in ("dora", "nil")]
    assert texts[0] == [{"rule": "absent", "text": "dora is not in #war"}]
    assert str(texts[1]) == str(texts[0]).replace("dora", "nil")
    direct = world.ask("alice", "send", to="@bob", body="ask @dora, not @bob")["notes"]
    assert [note["text"] for note in direct] == ["dora is not in this conversation"]


def test_a_sender_learns_who_does_not_get_a_message_of_a_conversation_named_after_them() -> None:
    world = World()
    world.create_configured_rooms()
    for name in ("alice", "bob", "carol", "dora"):
        world.add_user(name)

    def told(to: str) -> list[str]:
        return [note["text"] for note in world.ask("alice", "send", to=to, body="answer")["notes"]]

    group = "@alice,bob,carol,dora"
    assert told(group) == told("@bob") == []
    world.ask("bob", "part", room=group)
    assert told(group) == ["bob has left this conversation and does not get it"]
    world.ask("carol", "part", room=group)
    assert told(group) == ["bob, carol have left this conversation and do not get it"]
    world.ask("bob", "send", to=group, body="back")
    assert told(group) == ["carol has left this conversation and does not get it"]
    world.ask_as_operator("user_remove", user="bob")
    assert told("@bob") == ["bob cannot log in any more and does not get it"]
