"""Filters of a search name what exists, or the search says so; what is hidden looks like what is missing."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from chatctl.client import Client
from chatd.errors import ChatdError
from chatd.pki.identity import read_identity
from tests.support.daemon import Daemon, wait_until

Users = tuple[Client, Client, Client]


@pytest.fixture(scope="module")
def users(shared_daemon: Daemon) -> Iterator[Users]:
    """Bob, carol who talks with him, and gus, a guest who shares no room with dora."""
    for user, role in (("bob", "user"), ("carol", "user"), ("gus", "guest"), ("dora", "user")):
        shared_daemon.add_user(user, role=role)
    with (
        Client(read_identity(shared_daemon.identity("bob"))) as bob,
        Client(read_identity(shared_daemon.identity("carol"))) as carol,
        Client(read_identity(shared_daemon.identity("gus"))) as gus,
    ):
        for client in (bob, carol, gus):
            client.wait_connected(30)
        bob.request("create", room="#hidden", mode="members")
        bob.request("create", room="#elsewhere")
        for to, name in (
            ("#lobby", "lobby"),
            ("#hidden", "hidden"),
            ("@carol", "carol"),
            ("@alice,bob,carol", "the group"),
        ):
            bob.send(to, f"needle for {name}").wait(30)
        wait_until(lambda: len(found(bob, "needle")) == 4)
        yield bob, carol, gus


def found(client: Client, query: str) -> list[str]:
    return [event["body"] for event in client.request("search", query=query)["events"]]


def refusal(client: Client, query: str) -> tuple[str, str]:
    with pytest.raises(ChatdError) as error:
        client.request("search", query=query)
    return error.value.code, error.value.reason


def test_a_conversation_is_named_by_its_other_users(users: Users) -> None:
    bob, carol, _ = users
    assert found(bob, "needle in:@carol") == ["needle for carol"]
    assert found(carol, "in:@bob needle") == ["needle for carol"]
    assert found(carol, "in:@carol,bob needle") == ["needle for carol"]
    assert found(carol, "needle in:@alice,bob") == ["needle for the group"]
    assert found(carol, "needle in:@dora") == []
    assert found(bob, "needle in:#hidden") == ["needle for hidden"]


def test_a_room_that_one_may_not_know_of_looks_like_a_missing_one(users: Users) -> None:
    _, carol, _ = users
    code, reason = refusal(carol, "needle in:#hidden")
    assert (code, reason.replace("hidden", "missing")) == refusal(carol, "needle in:#missing")
    assert code == "E404"
    assert refusal(carol, "needle in:#elsewhere")[0] == "E301"


def test_an_unknown_user_is_named_if_nothing_is_found(users: Users) -> None:
    bob, _, _ = users
    assert refusal(bob, "from:nobody") == ("E405", "there is no user 'nobody'")
    assert refusal(bob, "needle in:@nobody") == ("E405", "there is no user 'nobody'")
    assert found(bob, "from:bob needle in:#lobby") == ["needle for lobby"]
    assert found(bob, "from:carol needle") == []


def test_a_guest_learns_nothing_of_users_they_never_meet(users: Users, shared_daemon: Daemon) -> None:
    _, _, gus = users
    with Client(read_identity(shared_daemon.identity("dora"))) as dora:
        dora.wait_connected(30)
        dora.request("part", room="#lobby")
    assert refusal(gus, "needle from:dora") == ("E405", "there is no user 'dora'")
    assert refusal(gus, "needle from:nobody") == ("E405", "there is no user 'nobody'")


def test_what_was_written_by_somebody_who_has_left_is_found(users: Users, shared_daemon: Daemon) -> None:
    _, _, gus = users
    shared_daemon.add_user("eve")
    with Client(read_identity(shared_daemon.identity("eve"))) as eve:
        eve.wait_connected(30)
        eve.send("#lobby", "parting words").wait(30)
        eve.request("part", room="#lobby")
    wait_until(lambda: found(gus, "parting words") == ["parting words"])
    assert found(gus, "from:eve") == ["parting words"]
