"""Invites in the hub's state: who makes them, who redeems them, and what each refusal says."""

from __future__ import annotations

from typing import Any

import pytest

from chatd.config.schema import Settings
from chatd.errors import ChatdError
from chatd.hub.state import invites
from chatd.hub.state.audit_choice import AuditChoice
from chatd.hub.state.context import OPERATOR
from chatd.hub.state.invite_book import ID_DIGITS, KEPT_LIMIT, OPEN_LIMIT
from chatd.hub.state.model import State, audience_of
from chatd.hub.state.rules import Rules
from chatd.proto.frames import JsonObject
from chatd.proto.invite_code import secret_hash
from tests.support.hubworld import World

SECRET = secret_hash(b"s" * 16)
KEY, OTHER_KEY = "aa" * 32, "bb" * 32
DAY_MS = 86_400_000


@pytest.fixture
def world() -> World:
    """alice and ann are admins, bob is a user, gil a guest; #team is closed, #open is not."""
    world = World(Settings.model_validate({"rooms": [{"name": "#lobby", "autojoin": True, "guests": True}]}))
    world.create_configured_rooms()
    for name, role in (("alice", "admin"), ("ann", "admin"), ("bob", None), ("gil", "guest")):
        world.add_user(name, role)
    world.ask("bob", "create", room="#team")
    world.ask("bob", "create", room="#open", guests=True)
    return world


def invite(
    world: World, user: str = "carol", *, who: str = "alice", secret: str = SECRET, **fields: Any
) -> None:
    world.ask(who, "invite_create", **{"user": user, "secret_hash": secret, "seconds": 86_400} | fields)


def redeem(
    world: World, key: str = KEY, *, secret: str = SECRET, device: str = "", serial: str = "c1"
) -> JsonObject:
    """Redeem as the enrol process does; the state must be unchanged after a refusal."""
    context = world.context(OPERATOR)
    before = world.state.snapshot()
    try:
        invites.check(context, secret, key, device)
        result = invites.redeem(context, secret, key, device, serial, world.now, world.now + DAY_MS)
    except ChatdError:
        assert world.state.snapshot() == before
        raise
    world.log += context.events
    return result


def refusal(world: World, key: str = KEY, **fields: Any) -> str:
    with pytest.raises(ChatdError) as caught:
        redeem(world, key, **fields)
    assert caught.value.fix
    return caught.value.code


def test_a_redeemed_invite_makes_the_user_with_role_device_and_rooms(world: World) -> None:
    invite(world, role="user", rooms=["#team", "#open"])
    result = redeem(world, device="phone")
    assert (result["user"], result["device"], result["role"]) == ("carol", "phone", "user")
    carol = world.state.users["carol"]
    assert list(carol.rooms) == ["#lobby", "#open", "#team"]
    assert carol.devices["phone"].serial == "c1"
    assert carol.devices["phone"].ends == world.now + DAY_MS
    kinds = [event["type"] for event in world.log[-6:]]
    assert kinds == ["user_added", "device_added", "joined", "joined", "joined", "invite_redeemed"]
    assert {event["by"] for event in world.log[-6:-1]} == {"alice", "server"}


def test_the_device_that_the_invite_names_wins(world: World) -> None:
    invite(world, device="laptop")
    assert redeem(world, device="phone")["device"] == "laptop"


def test_one_key_wins_and_only_it_may_ask_again(world: World) -> None:
    invite(world)
    first = redeem(world, serial="c1")
    head = world.state.head
    assert redeem(world, serial="c2") == first, "the certificate that is registered"
    assert world.state.head == head
    assert refusal(world, OTHER_KEY) == "E213"
    world.now += 40 * DAY_MS
    assert redeem(world) == first, "also after the invite's time"


def test_each_end_of_an_invite_has_its_own_code(world: World) -> None:
    assert refusal(world) == "E211"
    invite(world)
    world.now += DAY_MS - 1
    invites.check(world.context(OPERATOR), SECRET, KEY, "")
    world.now += 1
    assert refusal(world) == "E212"
    other = secret_hash(b"t" * 16)
    invite(world, secret=other)
    world.ask("ann", "invite_cancel", user="carol")
    assert refusal(world, secret=other) == "E214"
    assert world.outcome("ann", "invite_cancel", user="carol") == "E410"


def test_a_banned_or_revoked_user_gets_nothing_again(world: World) -> None:
    invite(world)
    redeem(world)
    world.ask("alice", "ban", user="carol", seconds=60)
    assert refusal(world) == "E207"
    world.ask("alice", "unban", user="carol")
    world.ask("alice", "revoke", user="carol", device="laptop")
    assert refusal(world) == "E206"


@pytest.mark.parametrize("end", ["ban", "role_set", "revoke"])
def test_an_invite_ends_with_the_right_to_make_it(world: World, end: str) -> None:
    invite(world, who="ann", role="admin")
    fields: JsonObject = {"ban": {}, "role_set": {"role": "user"}, "revoke": {"device": "laptop"}}[end]
    world.ask_as_operator(end, user="ann", **fields)
    # After a revocation ann may be an admin with other devices, but a thief may have made the invite.
    assert refusal(world) == "E214"


def test_only_admins_invite_and_see_invites(world: World) -> None:
    invite(world)
    for kind, fields in (
        ("invite_create", {"user": "dan", "secret_hash": "00" * 32, "seconds": 60}),
        ("invite_list", {}),
        ("invite_cancel", {"user": "carol"}),
    ):
        assert world.outcome("bob", kind, **fields) == "E300"
        assert world.outcome("gil", kind, **fields) == "E300"
    assert all(audience_of(event) is None for event in world.log if event["type"].startswith("invite"))
    (listed,) = world.ask("ann", "invite_list")["invites"]
    assert listed["invite"] == SECRET[:ID_DIGITS]
    assert listed["state"] == "open"
    assert SECRET not in str(listed)


def test_nobody_becomes_somebody_else(world: World) -> None:
    assert world.outcome("alice", "invite_create", user="bob", secret_hash=SECRET, seconds=60) == "E406"
    invite(world)
    second = {"user": "carol", "secret_hash": "00" * 32, "seconds": 60}
    assert world.outcome("ann", "invite_create", **second) == "E406", "one open invite for a name"
    world.add_user("carol")
    assert refusal(world) == "E406", "carol came another way"


def test_admins_invite_devices_of_their_own(world: World) -> None:
    invite(world, "alice", device="phone")
    result = redeem(world)
    assert (result["user"], result["device"], result["role"]) == ("alice", "phone", "admin")
    other = secret_hash(b"t" * 16)
    invite(world, "alice", secret=other)
    assert refusal(world, secret=other, device="phone") == "E406"
    assert redeem(world, secret=other, device="tablet")["device"] == "tablet"


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"user": "server"}, "E403"),
        ({"user": "Carol"}, "E403"),
        ({"device": "no good"}, "E403"),
        ({"role": "boss"}, "E403"),
        ({"rooms": ["#nought"]}, "E404"),
        ({"rooms": ["@alice,bob"]}, "E404"),
        ({"rooms": ["#team"], "role": "guest"}, "E303"),
        ({"seconds": 59}, "E102"),
        ({"seconds": 31 * 86_400}, "E102"),
        ({"secret_hash": "xx" * 32}, "E102"),
        ({"rooms": ["#open"] * 21}, "E102"),
    ],
)
def test_what_cannot_be_given_cannot_be_promised(world: World, fields: JsonObject, code: str) -> None:
    request = {"user": "carol", "secret_hash": SECRET, "seconds": 60} | fields
    assert world.outcome("alice", "invite_create", **request) == code
    assert not world.state.invites.by_hash


def test_nobody_gives_more_than_they_have() -> None:
    roles = {
        "helper": ["invite.create", "user.list", "room.join"],
        "admin": ["*"],
        "user": ["room.join", "search"],
    }
    world = World(Settings.model_validate({"roles": {"permissions": roles, "default": "user"}}))
    world.add_user("helen", "helper")
    request = {"user": "carol", "secret_hash": SECRET, "seconds": 60}
    for role in ("admin", "user", None):
        assert world.outcome("helen", "invite_create", **request, role=role) == "E304"
    assert world.outcome("helen", "invite_create", **request, role="helper") == "ok"


def test_a_room_that_is_gone_by_then_is_left_out(world: World) -> None:
    invite(world, rooms=["#team", "#open"])
    world.ask("alice", "room_remove", room="#team")
    world.ask("alice", "room_archive", room="#open")
    redeem(world)
    assert list(world.state.users["carol"].rooms) == ["#lobby"]


def test_only_owners_invite_into_a_members_room(world: World) -> None:
    for who, name in (("alice", "#mine"), ("bob", "#bobs")):
        world.ask(who, "create", room=name, mode="members")
    world.ask("bob", "invite", room="#bobs", user="alice")
    refused = {"user": "carol", "secret_hash": SECRET, "seconds": 60, "rooms": ["#bobs"]}
    assert world.outcome("alice", "invite_create", **refused) == "E311"
    invite(world, rooms=["#mine"])
    redeem(world)
    assert "#mine" in world.state.users["carol"].rooms


def test_a_dry_run_changes_nothing(world: World) -> None:
    invite(world, dry_run=True)
    assert not world.state.invites.by_hash


def test_the_same_request_again_gets_the_same_invite(world: World) -> None:
    request = {"user": "carol", "secret_hash": SECRET, "seconds": 60}
    first = world.ask("alice", "invite_create", **request)
    head = world.state.head
    assert world.ask("alice", "invite_create", **request) == first
    assert world.state.head == head
    assert world.outcome("ann", "invite_create", **request) == "E406"


def test_open_invites_are_bounded_and_ended_ones_make_room(world: World) -> None:
    for number in range(OPEN_LIMIT):
        invite(world, f"u{number}", secret=secret_hash(b"%d" % number))
    full = {"user": "carol", "secret_hash": SECRET, "seconds": 60}
    assert world.outcome("alice", "invite_create", **full) == "E409"
    for number in range(OPEN_LIMIT, KEPT_LIMIT + 50):
        world.ask("alice", "invite_cancel", user=f"u{number - OPEN_LIMIT}")
        invite(world, f"u{number}", secret=secret_hash(b"%d" % number))
    assert len(world.state.invites.by_hash) == KEPT_LIMIT
    assert refusal(world, secret=secret_hash(b"0")) == "E211", "forgotten"
    assert refusal(world, secret=secret_hash(b"100")) == "E214"


def test_pages_list_every_invite_once(world: World) -> None:
    for number in range(450):
        invite(world, f"u{number}", secret=secret_hash(b"%d" % number))
    found: list[str] = []
    more = True
    while more:
        page = world.ask("alice", "invite_list", after=found[-1] if found else "")
        found += [one["invite"] for one in page["invites"]]
        more = page["more"]
    assert len(found) == len(set(found)) == 450


def test_a_replay_and_a_snapshot_give_the_same_invites(world: World) -> None:
    invite(world, rooms=["#open"])
    redeem(world)
    invite(world, "dan", secret=secret_hash(b"d"))
    world.ask("alice", "invite_cancel", user="dan")
    invite(world, "eve", secret=secret_hash(b"e"))
    replayed = State()
    for event in world.log:
        replayed.apply(event)
    assert replayed == world.state
    assert State.restore(world.state.snapshot()) == world.state


def test_the_audit_answer_has_no_hash(world: World) -> None:
    invite(world)
    redeem(world)
    choice = AuditChoice(None, None, 0, None, frozenset())
    shown = [choice.shown(event) for event in world.log]
    acts = [one for one in shown if one is not None and one["type"].startswith("invite")]
    assert [one["type"] for one in acts] == ["invite_created", "invite_redeemed"]
    assert SECRET not in str(acts)
    assert KEY not in str(acts)


def test_an_invite_gives_no_pinned_role_beyond_ones_own() -> None:
    """A name that the settings pin to a role counts with that role, also if they do so later."""
    roles = {"admin": ["*"], "user": ["room.join"], "helper": ["room.join", "invite.create", "user.list"]}
    plain = {"permissions": roles, "default": "user"}
    pinned = Settings.model_validate({"roles": plain | {"assigned": {"carol": "admin"}}})
    world = World(pinned)
    world.add_user("helen", "helper")
    world.add_user("alice", "admin")
    request = {"user": "carol", "secret_hash": SECRET, "seconds": 60}
    assert world.outcome("helen", "invite_create", **request) == "E304"
    assert world.outcome("alice", "invite_create", **request, dry_run=True) == "ok"
    world.rules = Rules.from_settings(Settings.model_validate({"roles": plain}))
    assert world.outcome("helen", "invite_create", **request) == "ok"
    world.rules = Rules.from_settings(pinned)
    assert refusal(world) == "E214"


def test_the_list_of_invites_names_no_room_that_the_asker_does_not_know() -> None:
    clerk = ["room.list", "room.join", "room.closed", "invite.create", "user.list"]
    roles = {"admin": ["*"], "user": ["room.join", "room.closed"], "clerk": clerk}
    world = World(Settings.model_validate({"roles": {"permissions": roles, "default": "user"}}))
    world.add_user("alice", "admin")
    world.add_user("cleo", "clerk")
    world.ask("alice", "create", room="#team", mode="members")
    world.ask("alice", "create", room="#open")
    invite(world, rooms=["#team", "#open"])
    listed = {who: world.ask(who, "invite_list")["invites"][0]["rooms"] for who in ("alice", "cleo")}
    assert listed == {"alice": ["#team", "#open"], "cleo": ["#open"]}


def test_an_invite_brings_nobody_into_more_rooms_than_a_user_may_be_in() -> None:
    world = World(Settings.model_validate({"limits": {"rooms_per_user": 2}}))
    for name in ("alice", "bob"):
        world.add_user(name, "admin")
    for name in ("alice", "alice", "bob"):
        world.ask(name, "create", room=f"#r{len(world.log)}")
    rooms = sorted(name for name in world.state.rooms if name[0] == "#")
    assert len(rooms) == 3
    invite(world, rooms=rooms)
    redeem(world)
    assert list(world.state.users["carol"].rooms) == rooms[:2]
