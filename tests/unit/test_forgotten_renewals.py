"""Certificates that a restored log does not know: renewals of a device on record hold, no others do."""

from __future__ import annotations

from typing import Any

import pytest

from chatd.errors import ChatdError
from chatd.hub.state import authorize, renewals
from chatd.hub.state.context import OPERATOR, Context, Principal
from chatd.hub.state.user_standing import Shown
from tests.support.hubworld import World

DAY = 86_400_000
KEY, OTHER = "aa" * 32, "bb" * 32


@pytest.fixture
def world() -> World:
    """bob/laptop has a certificate for 30 days; bob/old was registered without its key."""
    world = World()
    world.create_configured_rooms()
    world.add_user("alice", "admin")
    for device, serial, key in (("laptop", "b1", KEY), ("old", "b2", None)):
        fields: dict[str, Any] = {
            "user": "bob",
            "device": device,
            "serial": serial,
            "ends": world.now + 30 * DAY,
        }
        world.ask_as_operator("user_add", **fields | ({"key": key} if key else {}))
    return world


def log_in(world: World, serial: str, key: str, days: int, device: str = "laptop") -> Context:
    """Log in as the hub does; ``days``: how long the certificate that is shown lasts."""
    context, shown = world.context(Principal("bob", device)), Shown(key, world.now + days * DAY)
    authorize.admit(context, serial, shown, total=0)
    renewals.note_forgotten(context, serial, shown)
    world.log += context.events
    return context


def refusal(world: World, *shown: Any, **fields: Any) -> str:
    head = world.state.head
    with pytest.raises(ChatdError) as caught:
        log_in(world, *shown, **fields)
    assert world.state.head == head
    return caught.value.code


def test_a_renewal_that_was_forgotten_logs_in_and_is_recorded_once(world: World) -> None:
    [event] = log_in(world, "c9", KEY, 50).events
    assert (event["type"], event["serial"], event["replaces"]) == ("device_renewed", "c9", "b1")
    assert event["forgotten"] is True
    assert world.state.users["bob"].devices["laptop"].ends == world.now + 50 * DAY
    assert not log_in(world, "c9", KEY, 50).events
    # The one before it holds until its own end, as after any renewal.
    assert not log_in(world, "b1", KEY, 30).events


@pytest.mark.parametrize(
    ("serial", "key", "days", "device"),
    [
        ("c9", OTHER, 50, "laptop"),  # another key
        ("c9", KEY, 30, "laptop"),  # ends no later
        ("c9", KEY, 10, "laptop"),  # a former certificate of the same key, such as a thief's copy
        ("c9", "", 50, "old"),  # no key on record
        ("c9", KEY, 50, "old"),
        ("c9", KEY, 50, "unknown"),
    ],
)
def test_all_other_unknown_certificates_are_refused(
    world: World, serial: str, key: str, days: int, device: str
) -> None:
    assert refusal(world, serial, key, days, device) == "E205"


def test_who_lost_access_does_not_come_back_by_a_later_certificate(world: World) -> None:
    world.ask("alice", "ban", user="bob")
    assert refusal(world, "c9", KEY, 50) == "E207"
    world.ask("alice", "unban", user="bob")
    world.ask("alice", "revoke", user="bob", device="laptop")
    assert refusal(world, "c9", KEY, 50) == "E206"


def test_a_thief_who_renews_twice_still_shows(world: World) -> None:
    for serial, days in (("c1", 40), ("c2", 50)):
        log_in(world, serial, KEY, days)
    assert refusal(world, "b1", KEY, 30) == "E205"


def test_a_forgotten_certificate_renews_also_after_its_end(world: World) -> None:
    ends = world.now + 50 * DAY
    world.now = ends + DAY
    context = world.context(OPERATOR)
    assert renewals.check(context, "bob", "laptop", "c9", ends, KEY, False) == {
        "user": "bob",
        "device": "laptop",
    }
    renewals.renew(context, "bob", "laptop", "c9", ends, KEY, False, "d1", world.now, world.now + 30 * DAY)
    assert world.state.users["bob"].devices["laptop"].serial == "d1"
    with pytest.raises(ChatdError, match="E205"):
        renewals.check(context, "bob", "laptop", "e1", ends, OTHER, False)
