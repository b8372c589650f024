"""Users add their own devices: one invite at a time, for nobody else, gone with a stolen device."""

from __future__ import annotations

from typing import Any

import pytest

from chatd.config.schema import Settings
from chatd.errors import ChatdError
from chatd.hub.state import devices, invites
from chatd.hub.state.context import OPERATOR
from chatd.hub.state.devices import KEPT_SHARE
from chatd.proto.invite_code import secret_hash
from tests.support.hubworld import World

KEY, OTHER_KEY = "ab" * 32, "cd" * 32
FIRST, SECOND = secret_hash(b"first"), secret_hash(b"second")
DAY_MS = 86_400_000


@pytest.fixture
def world() -> World:
    world = World(Settings())
    world.create_configured_rooms()
    for name, role in (("alice", "admin"), ("bob", "user"), ("gil", "guest")):
        world.add_user(name, role)
    return world


def add(world: World, who: str = "bob", secret: str = FIRST, **fields: Any) -> Any:
    return world.ask(who, "device_add", **{"secret_hash": secret, "seconds": 3600} | fields)


def redeem(world: World, secret: str = FIRST, key: str = KEY, device: str = "", serial: str = "c1") -> Any:
    context = world.context(OPERATOR)
    result = invites.redeem(context, secret, key, device, serial, world.now, world.now + DAY_MS)
    world.log += context.events
    return result


def refusal(world: World, secret: str = FIRST, key: str = KEY) -> str:
    with pytest.raises(ChatdError) as refused:
        redeem(world, secret, key)
    return refused.value.code


def test_a_user_adds_a_device_with_a_name_or_without(world: World) -> None:
    assert add(world)["user"] == "bob"
    assert redeem(world, device="phone")["device"] == "phone"
    add(world, secret=SECOND, device="tablet")
    done = redeem(world, SECOND, OTHER_KEY, device="other", serial="c2")
    assert (done["user"], done["device"], done["role"]) == ("bob", "tablet", "user")
    assert set(world.state.users["bob"].devices) >= {"phone", "tablet"}


def test_the_same_again_changes_nothing_and_another_ends_the_first(world: World) -> None:
    first = add(world)
    events = len(world.log)
    assert add(world) == first
    assert len(world.log) == events
    add(world, secret=SECOND)
    assert refusal(world) == "E214"
    assert redeem(world, SECOND)["user"] == "bob"


@pytest.mark.parametrize(("who", "fields", "code"), [
    ("gil", {}, "E300"),
    ("bob", {"seconds": 59}, "E102"),
    ("bob", {"seconds": 86_401}, "E102"),
    ("bob", {"secret_hash": "x"}, "E102"),
    ("bob", {"device": "laptop"}, "E406"),
])  # fmt: skip
def test_what_is_refused(world: World, who: str, fields: dict[str, Any], code: str) -> None:
    request = {"secret_hash": FIRST, "seconds": 3600} | fields
    assert world.outcome(who, "device_add", **request) == code


def test_nobody_adds_a_device_for_somebody_else(world: World) -> None:
    add(world, "alice")
    assert redeem(world)["user"] == "alice"
    assert world.outcome("bob", "device_add", secret_hash=FIRST, seconds=3600) == "E406"


def test_an_invite_ends_with_the_device_that_made_it(world: World) -> None:
    """A stolen laptop must not leave a way back in."""
    add(world)
    world.ask("alice", "invite_create", user="dora", secret_hash=SECOND, seconds=3600)
    world.ask("alice", "revoke", user="bob", device="laptop")
    assert refusal(world) == "E214"
    assert redeem(world, SECOND, OTHER_KEY)["user"] == "dora"


def test_the_invites_of_an_admin_end_with_a_stolen_device(world: World) -> None:
    world.add_user("ann", "admin")
    world.ask("ann", "invite_create", user="dora", secret_hash=FIRST, seconds=3600)
    world.ask("alice", "revoke", user="ann", device="laptop")
    assert refusal(world) == "E214"


def test_who_is_banned_or_has_lost_the_right_gets_no_device(world: World) -> None:
    add(world)
    world.ask("alice", "role_set", user="bob", role="guest")
    assert refusal(world) == "E214"
    world.ask("alice", "role_set", user="bob", role="user")
    world.ask("alice", "ban", user="bob", seconds=3600)
    assert refusal(world) == "E214"


def test_a_log_goes_on_with_an_invite_that_is_no_longer_known(world: World) -> None:
    """Logs of before invites ended with a revoked device: with 2,000 others such an invite has made room."""
    add(world)
    redeemed = {
        "invite": FIRST[:16],
        "device": "phone",
        "key_hash": KEY,
        "serial": "c1",
        "issued": 1,
        "ends": 2,
    }
    world.state.invites.by_hash.clear()
    world.state.invites.redeemed(redeemed)
    world.state.invites.cancelled({"invite": FIRST[:16]})
    assert world.state.invites.by_hash == {}


def test_users_leave_space_for_the_invites_of_admins(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(devices, "OPEN_LIMIT", 20)
    for number in range(20 - 20 // KEPT_SHARE):
        secret = secret_hash(b"%d" % number)
        world.ask("alice", "invite_create", user=f"u{number}", secret_hash=secret, seconds=3600)
    assert world.outcome("bob", "device_add", secret_hash=FIRST, seconds=3600) == "E409"
    assert world.outcome("alice", "device_add", secret_hash=SECOND, seconds=3600) == "ok"
