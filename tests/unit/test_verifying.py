"""The words of keys, and what `/verify` says: both sides see the same, and a server that lies is noticed."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest

from chatctl.model.render import describe_presence, plain
from chatctl.model.verifying import verification
from chatd.proto import events as ev
from chatd.proto.frames import JsonObject
from chatd.proto.key_words import KEY_WORDS, PAIR_WORDS, words_of_key, words_of_pair

CA, OTHER_CA = "0c" * 32, "0d" * 32


def key(name: str) -> str:
    return hashlib.sha256(name.encode()).hexdigest()


def person(user: str, **devices: str | None) -> JsonObject:
    """The answer to `whois`; a device whose key is "revoked" may not log in."""
    return {
        "user": user,
        "devices": [
            {"device": name, "revoked": value == "revoked", "key": None if value == "revoked" else value}
            for name, value in devices.items()
        ],
    }


ALICE = person("alice", console=key("a1"))
BOB = person("bob", laptop=key("b1"), phone=key("b2"), lost="revoked")


def shown(own: str, mine: JsonObject, theirs: JsonObject, ca: str = CA) -> str:
    return "\n".join(plain([line]) for line in verification(own, ca, mine, theirs))


def pair_in(text: str) -> str:
    return next(line.split(None, 1)[1] for line in text.splitlines() if line.split()[0] == "words")


def test_both_see_the_same_words_from_each_of_their_devices() -> None:
    seen = {
        pair_in(shown(key("a1"), ALICE, BOB)),
        pair_in(shown(key("b1"), BOB, ALICE)),
        pair_in(shown(key("b2"), BOB, ALICE)),
    }
    assert len(seen) == 1
    assert len(seen.pop().split()) == PAIR_WORDS


@pytest.mark.parametrize(
    "theirs",
    [
        person("bob", laptop=key("b1")),
        person("bob", laptop=key("b1"), phone=key("other")),
        person("bob", laptop=key("b1"), phone=key("b2"), new=key("b3")),
        person("bobb", laptop=key("b1"), phone=key("b2")),
    ],
)
def test_other_keys_or_names_have_other_words(theirs: JsonObject) -> None:
    assert pair_in(shown(key("a1"), ALICE, theirs)) != pair_in(shown(key("a1"), ALICE, BOB))


def test_another_server_has_other_words() -> None:
    assert pair_in(shown(key("a1"), ALICE, BOB, OTHER_CA)) != pair_in(shown(key("a1"), ALICE, BOB))


def test_a_server_that_names_another_key_for_this_device_is_noticed() -> None:
    text = shown(key("real"), ALICE, BOB)
    assert "do not trust" in text
    assert "words" not in text.splitlines()[0]
    with pytest.raises(StopIteration):
        pair_in(text)


def test_ones_own_devices_are_listed() -> None:
    text = shown(key("b1"), BOB, BOB)
    assert words_of_key(key("b1")) in text and words_of_key(key("b2")) in text
    assert "lost" not in text


def test_a_device_without_a_known_key_is_named() -> None:
    text = shown(key("a1"), ALICE, person("bob", laptop=key("b1"), old=None))
    assert "bob/old" in text.splitlines()[0]
    assert "unknown" in text


@pytest.mark.parametrize("value", [7, "", "x" * 64, "AB" * 32, ["a"], key("b") + "0"])
def test_what_is_no_key_is_unknown(value: Any) -> None:
    theirs = {"user": "bob", "devices": [{"device": "laptop", "revoked": False, "key": value}, "junk"]}
    assert "bob/laptop" in shown(key("a1"), ALICE, theirs).splitlines()[0]


def test_somebody_without_a_device_cannot_be_verified() -> None:
    assert "no device" in shown(key("a1"), ALICE, person("bob"))


def test_the_order_of_people_and_keys_does_not_matter() -> None:
    one, two = ("alice", [key("a")]), ("bob", [key("b"), key("c")])
    assert words_of_pair(CA, one, two) == words_of_pair(CA, ("bob", [key("c"), key("b")]), one)
    # A key moved from one person to the other is another pair.
    assert words_of_pair(CA, one, two) != words_of_pair(
        CA, ("alice", [key("a"), key("b")]), ("bob", [key("c")])
    )


def test_the_words_of_the_document() -> None:
    """docs/protocol.md, "Words of keys"."""
    assert words_of_key("00" * 32) == "aardvark adroitness aardvark adroitness"
    assert len(words_of_key(key("x")).split()) == KEY_WORDS


@pytest.mark.parametrize("sponsor", [None, "alice"])
def test_a_new_device_is_announced_with_its_words(sponsor: str | None) -> None:
    event = ev.Presence(
        type="presence",
        room="#lobby",
        user="bob",
        state="online",
        cause="new device",
        by="alice",
        device="phone",
        key=key("b2"),
        sponsor=sponsor,
    )
    text = describe_presence(event, "alice")
    assert "bob is here with the new device phone, let in by alice" in text
    assert words_of_key(key("b2")) in text
    assert ("guest of alice" in text) == bool(sponsor)
