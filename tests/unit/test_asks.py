"""Asks: the words, the bounds, and what an admin's decision does."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest

from chatd.config.schema import Settings
from chatd.enrol import pending_asks
from chatd.enrol.pending_asks import PendingAsks
from chatd.errors import ChatdError
from chatd.hub.ask_desk import AskDesk
from chatd.hub.state import asks, invites
from chatd.hub.state.ask_book import Waiter
from chatd.hub.state.context import OPERATOR
from chatd.proto.ask_frames import ASK_SECONDS, ASKS_LIMIT, ask_hash, ask_words, commitment
from chatd.proto.invite_code import secret_hash
from chatd.proto.word_list import same_words, words_of
from tests.support.hubworld import START, World

KEY, OTHER_KEY = "aa" * 32, "bb" * 32
CA, SPKI = b"a certificate", b"a key"


def test_three_bytes_are_three_words_of_the_pgp_word_list() -> None:
    # The example of the list's authors: E582 94F2 E9A2 2748 6E8B ...
    assert words_of(bytes.fromhex("e58294f2e9a227486e8b")) == (
        "topmost istanbul pluto vagabond treadmill pacific brackish dictator goldfish medusa"
    )
    assert words_of(b"\x00\x00") == "aardvark adroitness"
    everything = {words_of(bytes((byte,))) for byte in range(256)}
    everything |= {words_of(bytes((0, byte))).split()[1] for byte in range(256)}
    assert len(everything) == 512


def test_the_words_depend_on_all_that_a_person_in_the_middle_would_change() -> None:
    given: dict[str, Any] = {
        "ca": CA, "client_nonce": b"c" * 32, "server_nonce": b"s" * 32, "key": SPKI, "user": "bob",
    }  # fmt: skip
    words = ask_words(**given)
    assert len(words.split()) == 3
    for name, value in given.items():
        other = f"{value}x" if isinstance(value, str) else value[:-1] + b"?"
        assert ask_words(**given | {name: other}) != words, name


def test_words_are_compared_as_people_type_them() -> None:
    assert same_words("Stormy-Upcoming  OPTIC", "stormy upcoming optic")
    assert not same_words("stormy optic upcoming", "stormy upcoming optic")


def test_a_commitment_and_an_approval_cannot_be_mistaken_for_something_else() -> None:
    nonce = b"n" * 32
    assert commitment(nonce) != hashlib.sha256(nonce).hexdigest()
    assert ask_hash(KEY) != secret_hash(bytes.fromhex(KEY))
    assert ask_hash(KEY) != ask_hash(OTHER_KEY)


class _Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


def wait(pending: PendingAsks, key: str, address: str) -> None:
    pending.allow(address)
    pending.add(key, "bob", "", address, "w", 0)


def test_asks_are_bounded_in_all_and_for_each_block() -> None:
    clock = _Clock()
    pending = PendingAsks(clock)
    for number in range(pending_asks.ASKS_PER_BLOCK):
        wait(pending, f"a{number}", "192.0.2.1")
    with pytest.raises(ChatdError, match="E218"):
        wait(pending, "x", "192.0.2.77")
    wait(pending, "y", "198.51.100.1")
    for number in range(ASKS_LIMIT):
        clock.now += 1
        try:
            wait(pending, f"b{number}", f"203.0.{number}.1")
        except ChatdError as error:
            assert error.code == "E218"
    assert len(pending) == ASKS_LIMIT
    clock.now += ASK_SECONDS
    wait(pending, "z", "192.0.2.1")
    assert len(pending) == 1


def test_asks_of_a_block_are_slow_even_if_they_end_at_once() -> None:
    clock = _Clock()
    pending = PendingAsks(clock)
    allowed = 0
    for number in range(100):
        try:
            wait(pending, str(number), "192.0.2.1")
            allowed += 1
        except ChatdError:
            pass
        pending.end(str(number))
    assert allowed == pending_asks.RATE_PER_BLOCK * pending_asks.RATE_PER_BLOCK_BURST_SECONDS


@pytest.fixture
def world() -> World:
    """alice is an admin; bob asks."""
    world = World(Settings())
    world.create_configured_rooms()
    for name, role in (("alice", "admin"), ("una", None)):
        world.add_user(name, role)
    asking(world, KEY, "bob")
    return world


def asking(world: World, key: str, user: str, number: int = 1, device: str = "") -> None:
    asks.take(world.context(OPERATOR), Waiter(7, number), key, user, device, "192.0.2.1", "w o r", world.now)


def outcomes(world: World) -> list[str]:
    found = ["approved" if error is None else error.code for _, error in world.asks.outcomes]
    world.asks.outcomes.clear()
    return found


def test_an_approved_key_and_no_other_gets_a_certificate(world: World) -> None:
    world.ask("alice", "create", room="#team")
    with pytest.raises(ChatdError, match="E211"):
        invites.check(world.context(OPERATOR), ask_hash(KEY), KEY, "")
    world.ask("alice", "ask_approve", ask=KEY, role="user", rooms=["#team"])
    assert outcomes(world) == ["approved"]
    context = world.context(OPERATOR)
    assert invites.check(context, ask_hash(KEY), KEY, "") == {"user": "bob", "device": "laptop"}
    for wrong in (ask_hash(OTHER_KEY), secret_hash(bytes.fromhex(KEY)), secret_hash(KEY.encode())):
        with pytest.raises(ChatdError, match="E211"):
            invites.check(context, wrong, KEY, "")
    invites.redeem(context, ask_hash(KEY), KEY, "", "c1", world.now, world.now + 1)
    assert "#team" in world.state.users["bob"].rooms


def test_an_asker_who_was_gone_is_told_on_return(world: World) -> None:
    world.ask("alice", "ask_approve", ask=KEY)
    world.asks.outcomes.clear()
    asking(world, KEY, "bob", 2)
    assert outcomes(world) == ["approved"]
    world.now += ASK_SECONDS * 1000
    asking(world, KEY, "bob", 3)
    assert outcomes(world) == ["approved"]
    with pytest.raises(ChatdError, match="E212"):
        invites.check(world.context(OPERATOR), ask_hash(KEY), KEY, "")


def test_the_same_key_takes_over_and_keeps_one_place(world: World) -> None:
    asking(world, KEY, "bob", 2)
    assert outcomes(world) == ["E105"]
    assert len(world.asks.by_key) == 1
    world.ask("alice", "ask_deny", ask=KEY)
    [(waiter, error)] = world.asks.outcomes
    assert waiter.number == 2 and error is not None and error.code == "E221"
    assert world.outcome("alice", "ask_deny", ask=KEY) == "E410"
    assert world.log[-1]["type"] == "ask_denied"


def test_an_ask_ends_after_ten_minutes(world: World) -> None:
    world.asks.expire(START + ASK_SECONDS * 1000 - 1)
    assert outcomes(world) == []
    world.asks.expire(START + ASK_SECONDS * 1000)
    assert outcomes(world) == ["E222"]
    assert world.ask("alice", "asks") == {"asks": [], "more": False}


def test_the_hub_keeps_no_more_than_the_limit(world: World) -> None:
    for number in range(ASKS_LIMIT):
        asking(world, f"{number:064x}", "eve")
    assert outcomes(world) == ["E218"]
    assert len(world.asks.by_key) == ASKS_LIMIT
    page = world.ask("alice", "asks")
    assert len(page["asks"]) == ASKS_LIMIT and not page["more"]


@pytest.mark.parametrize(
    ("user", "fields", "code"),
    [
        ("una", {}, "E406"),
        ("server", {}, "E403"),
        ("bob", {"role": "nil"}, "E403"),
        ("bob", {"rooms": ["#nought"]}, "E404"),
        ("bob", {"user": "una"}, "E406"),
    ],
)
def test_names_are_judged_at_the_approval_and_the_ask_stays(
    world: World, user: str, fields: dict[str, Any], code: str
) -> None:
    asking(world, OTHER_KEY, user)
    assert outcomes(world) == []
    assert world.outcome("alice", "ask_approve", ask=OTHER_KEY, **fields) == code
    assert OTHER_KEY in world.asks.by_key
    assert outcomes(world) == []
    mended = {"user": "zoe", "role": "user"}
    assert world.outcome("alice", "ask_approve", ask=OTHER_KEY, **mended) == "ok"


def test_an_asker_can_become_a_guest(world: World) -> None:
    world.ask("alice", "ask_approve", ask=KEY, role="guest", guest_seconds=3600, sponsor="una")
    context = world.context(OPERATOR)
    invites.redeem(context, ask_hash(KEY), KEY, "", "c1", world.now, world.now + 1)
    assert world.state.guests.by_name["bob"].sponsor == "una"


def test_only_who_invites_sees_and_decides(world: World) -> None:
    for kind in ("asks", "ask_approve", "ask_deny"):
        fields = {} if kind == "asks" else {"ask": KEY}
        assert world.outcome("una", kind, **fields) == "E300"
    assert world.asks.by_key.keys() == {KEY}


def test_a_lost_link_leaves_no_asks() -> None:
    world = World()
    desk = AskDesk({})
    asking(world, KEY, "bob")
    desk.book = world.asks
    desk.book.lost(7)
    assert not desk.book.by_key
    desk.expire(world.now)
    desk.settle()
