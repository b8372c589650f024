"""Users who are removed, and users who come back after they have lost all their devices."""

from __future__ import annotations

from typing import Any

import pytest

from chatd.config.schema import Settings
from chatd.errors import ChatdError
from chatd.hub.state import authorize, invites
from chatd.hub.state.context import OPERATOR, Principal
from chatd.hub.state.cuts import cut_of
from chatd.hub.state.model import State
from chatd.proto.frames import JsonObject
from chatd.proto.invite_code import secret_hash
from tests.support.hubworld import World

KEY, OTHER_KEY = "aa" * 32, "bb" * 32
FIRST, SECOND = secret_hash(b"first"), secret_hash(b"second")
DAY_MS = 86_400_000


@pytest.fixture
def world() -> World:
    """alice (pinned) and ann are admins; bob owns #team, carol is in it."""
    settings = {"roles": {"assigned": {"alice": "admin"}}, "security": {"renewal_grace_days": 30}}
    world = World(Settings.model_validate(settings))
    world.create_configured_rooms()
    for name, role in (("alice", None), ("ann", "admin"), ("bob", "user"), ("carol", "user")):
        world.add_user(name, role)
    world.ask("bob", "create", room="#team", mode="members")
    world.ask("bob", "invite", room="#team", user="carol")
    world.ask("carol", "join", room="#team")
    world.ask("bob", "send", to="@carol", body="between us")
    return world


def invite(world: World, user: str = "bob", secret: str = FIRST, who: str = "ann", **fields: Any) -> None:
    world.ask(who, "invite_create", **{"user": user, "secret_hash": secret, "seconds": 3600} | fields)


def redeem(world: World, secret: str = FIRST, key: str = KEY, device: str = "") -> JsonObject:
    context = world.context(OPERATOR)
    return invites.redeem(context, secret, key, device, "c1", world.now, world.now + DAY_MS)


def refusal(world: World, secret: str = FIRST) -> str:
    with pytest.raises(ChatdError) as refused:
        redeem(world, secret)
    return refused.value.code


def test_a_user_without_devices_is_invited_again_and_keeps_everything(world: World) -> None:
    request = {"user": "bob", "secret_hash": FIRST, "seconds": 3600}
    text = world.refusal_text("ann", "invite_create", **request)
    assert "E406" in text and "chatctl revoke bob --all" in text
    world.ask("ann", "revoke", user="bob", device="laptop")
    before = world.state.users["bob"]
    rooms, role = list(before.rooms), before.role
    invite(world)
    assert redeem(world)["device"] == "laptop-2"
    bob = world.state.users["bob"]
    assert (list(bob.rooms), bob.role) == (rooms, role)
    assert world.state.rooms["#team"].owners == {"bob"}
    back = Principal("bob", "laptop-2")
    assert world.outcome(back, "history", room="#team") == "ok"
    assert world.outcome(back, "history", room="@bob,carol") == "ok"
    assert world.outcome("bob", "ping") == "E206"
    # With the new device there is somebody again.
    assert world.outcome("ann", "invite_create", **request | {"secret_hash": SECOND}) == "E406"


def test_an_invite_for_a_user_who_has_a_device_again_is_refused(world: World) -> None:
    world.ask("ann", "revoke", user="bob", device="laptop")
    invite(world)
    world.add_user("bob", device="phone")
    assert refusal(world) == "E406"


def test_an_expired_device_is_not_lost_while_it_can_be_renewed(world: World) -> None:
    world.ask("ann", "revoke", user="bob", device="laptop")
    ends = world.now + DAY_MS
    world.ask_as_operator("user_add", user="bob", device="phone", serial="b0b", ends=ends)
    request = {"user": "bob", "secret_hash": FIRST, "seconds": 3600}
    world.now = ends + 30 * DAY_MS - 1
    assert world.outcome("ann", "invite_create", **request) == "E406"
    world.now += 1
    assert world.outcome("ann", "invite_create", **request) == "ok"


def test_who_may_do_less_brings_nobody_back(world: World) -> None:
    """An invite for an admin gives what an admin may do."""
    world.ask_as_operator("revoke", user="ann", device="laptop")
    assert world.outcome("carol", "invite_create", user="ann", secret_hash=FIRST, seconds=3600) == "E300"
    assert world.outcome("alice", "invite_create", user="ann", secret_hash=FIRST, seconds=3600) == "ok"


def test_a_removed_user_is_out_of_everything_and_stays_out(world: World) -> None:
    world.ask("bob", "device_add", secret_hash=SECOND, seconds=3600)
    world.ask("carol", "create", room="#other", mode="members")
    world.ask("carol", "invite", room="#other", user="bob")
    result = world.ask("ann", "user_remove", user="bob", dry_run=True)
    assert (result["devices"], result["invites"]) == (1, 1)
    assert world.outcome("bob", "ping") == "ok"
    world.ask("ann", "user_remove", user="bob", reason="left us")
    bob = world.state.users["bob"]
    assert (bob.removed, list(bob.rooms.between("", "@")), bob.invites) == (True, [], {})
    assert not world.state.rooms["#team"].owners and not world.state.rooms["#other"].invited
    assert world.outcome("bob", "ping") == "E206"
    assert refusal(world, SECOND) == "E214"
    text = world.refusal_text("ann", "invite_create", user="bob", secret_hash=FIRST, seconds=3600)
    assert "E406" in text and "was removed" in text
    for act in ("user_remove", "kick", "ban", "mute"):
        assert "was removed before (E410)" in world.refusal_text("ann", act, user="bob"), act
    assert world.ask("ann", "whois", user="bob")["removed"] is True
    assert State.restore(world.state.snapshot()) == world.state


@pytest.mark.parametrize("fields", [{}, {"guest_seconds": 3600}], ids=["user", "guest"])
def test_an_invite_made_before_the_removal_brings_nobody_back(world: World, fields: JsonObject) -> None:
    world.ask("ann", "revoke", user="bob", device="laptop")
    invite(world, **fields)
    world.ask("ann", "user_remove", user="bob")
    assert refusal(world) == "E214"


def test_a_removed_guest_does_not_come_back_as_an_ended_one(world: World) -> None:
    invite(world, "gil", guest_seconds=3600)
    redeem(world)
    world.ask("ann", "user_remove", user="gil")
    assert "gil" not in world.state.guests.by_name
    assert world.outcome("ann", "invite_create", user="gil", secret_hash=SECOND, seconds=60) == "E406"


def test_only_the_box_brings_a_removed_user_back(world: World) -> None:
    world.ask("ann", "user_remove", user="bob")
    world.add_user("bob", device="new")
    assert world.outcome(Principal("bob", "new"), "history", room="@bob,carol") == "ok"
    assert world.ask("ann", "whois", user="bob")["removed"] is False


@pytest.mark.parametrize(("who", "user", "code"), [
    ("ann", "ann", "E304"),
    ("ann", "alice", "E305"),
    ("ann", "nil", "E405"),
    ("carol", "bob", "E300"),
])  # fmt: skip
def test_who_cannot_be_removed(world: World, who: str, user: str, code: str) -> None:
    assert world.outcome(who, "user_remove", user=user) == code


def test_what_a_sponsor_and_invites_are_is_told_to_roles_that_list_users(world: World) -> None:
    invite(world, "gil", guest_seconds=3600)
    redeem(world)
    invite(world, "dora", SECOND)
    told = world.ask("alice", "whois", user="gil")
    assert (told["guest"], told["invites"]) == ({"ends": world.now + 3_600_000, "sponsor": "ann"}, 0)
    assert world.ask("alice", "whois", user="ann")["invites"] == 1
    assert not {"guest", "invites", "invited_until"} & set(world.ask("bob", "whois", user="carol"))


@pytest.mark.parametrize(
    ("act", "fields", "words", "advice"),
    [
        (
            "revoke",
            {"device": "laptop"},
            "the device bob/laptop was revoked: enough (E206)",
            "chat device add NEW",
        ),
        ("user_remove", {}, "the user bob was removed: enough (E206)", "chatd user add bob --device NEW"),
        ("ban", {"seconds": 60}, "bob is banned for 1m: enough (E207)", "wait until the ban ends"),
        ("ban", {}, "bob is banned until an admin ends it: enough (E207)", "ask an admin"),
        ("kick", {}, "bob is kicked for 1m: enough (E208)", "come back later"),
        ("guest_end", {}, "the time of bob as a guest has ended: enough (E219)", "ask your sponsor"),
    ],
    ids=["revoked", "removed", "banned for a while", "banned", "kicked", "ended guest"],
)
def test_who_is_out_reads_why_and_what_helps_when_it_happens_and_at_each_login(
    world: World, act: str, fields: JsonObject, words: str, advice: str
) -> None:
    if act == "guest_end":
        world.ask("ann", "revoke", user="bob", device="laptop")
        invite(world, guest_seconds=3600)
        redeem(world, device="laptop-2")
    world.ask("ann", act, user="bob", reason="enough", **fields)
    told = [cut for event in world.log[-5:] if (cut := cut_of(world.state, event)) and cut.user == "bob"]
    world.state = State.restore(world.state.snapshot())
    device = "laptop-2" if act == "guest_end" else "laptop"
    with pytest.raises(ChatdError) as refused:
        serial = world.state.users["bob"].devices[device].serial
        authorize.admit(world.context(Principal("bob", device)), serial, total=0)
    for error in (told[-1].error, refused.value):
        assert str(error).startswith(words) and advice in error.fix
    assert ("invite" in refused.value.fix) == (act in ("revoke", "guest_end"))


def test_a_removed_user_reads_no_reason_of_an_earlier_revocation_and_comes_back_without_one(
    world: World,
) -> None:
    world.ask("ann", "revoke", user="bob", device="laptop", reason="lost")
    world.ask("ann", "user_remove", user="bob", reason="left us")
    assert "left us" in world.refusal_text("bob", "ping") and "lost" not in world.refusal_text("bob", "ping")
    world.add_user("bob", device="new")
    assert world.outcome(Principal("bob", "new"), "ping") == "ok"
    assert "the device bob/laptop was revoked: lost" in world.refusal_text("bob", "ping")
