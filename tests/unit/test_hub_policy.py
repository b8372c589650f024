"""Edge cases of decisions: mutes, custom roles, the operator, names, limits."""

from __future__ import annotations

from typing import Any

import pytest

from chatd.config.schema import Settings
from chatd.errors import ChatdError
from chatd.hub.sessions import Sessions
from chatd.hub.state import authorize, moderation, rooms
from chatd.hub.state.context import OPERATOR, Context, Principal
from chatd.hub.state.model import Device, State, User
from chatd.hub.state.rules import Rules
from chatd.policy.roles import DEFAULT_ROLES
from chatd.proto.advice import fitting
from chatd.proto.frames import MAP_LIMIT, encode
from chatd.proto.text import RESERVED
from tests.support.hubworld import DEVICE, World
from tests.unit.test_requests import MINIMAL

COMMON_PERMISSIONS = ["message.send", "dm.send", "room.join", "room.create", "room.topic", "away.set"]
CUSTOM = Settings.model_validate(
    {
        "roles": {
            "permissions": {
                "admin": ["*"],
                "helper": [
                    *COMMON_PERMISSIONS,
                    "moderate.kick",
                    "moderate.mute",
                    "role.set",
                    "device.revoke",
                ],
                "user": [*COMMON_PERMISSIONS, "room.closed", "room.list", "message.read"],
                "guest": ["message.send", "room.join"],
            },
            "assigned": {f"pinned{n}": "user" for n in range(100)},
        },
        "limits": {"per_role": {}, "rooms_per_user": 3, "topic_chars": 10},
    }
)


@pytest.fixture
def world() -> World:
    """Five users in #lobby: alice (admin), helen (helper), bob and carl (user), gus (guest)."""
    world = World(CUSTOM)
    world.create_configured_rooms()
    for name, role in (
        ("alice", "admin"),
        ("helen", "helper"),
        ("bob", "user"),
        ("carl", "user"),
        ("gus", "guest"),
    ):
        world.add_user(name, role)
    return world


TEXT_REQUESTS: list[tuple[str, dict[str, Any]]] = [
    ("send", {"to": "#lobby", "body": "x"}),
    ("send", {"to": "@carl", "body": "x"}),
    ("send", {"to": "@bob,carl", "body": "x"}),
    ("topic", {"room": "#lobby", "topic": "x"}),
    ("create", {"room": "#says-bob"}),
    ("away", {"text": "x"}),
]


@pytest.mark.parametrize(("kind", "fields"), TEXT_REQUESTS)
def test_a_muted_user_cannot_publish_text_by_any_request(
    world: World, kind: str, fields: dict[str, Any]
) -> None:
    world.ask("alice", "mute", user="bob", seconds=60, reason="noise")
    assert world.refusal_text("bob", kind, **fields).startswith("you are muted for 1m: noise (E302)")
    world.now += 60_000
    assert world.outcome("bob", kind, **fields) == "ok"


def test_a_mute_without_an_end_lasts_until_unmute(world: World) -> None:
    world.ask("alice", "mute", user="bob")
    assert world.outcome("bob", "away") == "ok"
    world.ask("alice", "unmute", user="bob")
    assert world.outcome("bob", "send", to="#lobby", body="x") == "ok"
    assert world.outcome("alice", "unmute", user="bob") == "E410"


def test_a_mute_in_one_room_applies_to_that_room_only(world: World) -> None:
    world.ask("bob", "create", room="#den")
    world.ask("alice", "mute", user="bob", room="#den")
    assert world.outcome("bob", "send", to="#den", body="x") == "E302"
    assert world.outcome("bob", "topic", room="#den", topic="x") == "E302"
    assert world.outcome("bob", "send", to="#lobby", body="x") == "ok"


@pytest.mark.parametrize("to", ["@alice", "@alice,bob", "@bob,alice"])
def test_a_mute_in_a_conversation_applies_to_every_spelling_of_its_name(world: World, to: str) -> None:
    world.ask("alice", "send", to="@bob", body="x")
    world.ask("alice", "mute", user="bob", room="@alice,bob")
    assert world.outcome("bob", "send", to=to, body="x") == "E302"


def test_a_user_cannot_end_their_own_mute(world: World) -> None:
    world.ask("alice", "mute", user="helen")
    assert world.outcome("helen", "unmute", user="helen") == "E304"
    assert world.outcome("helen", "send", to="#lobby", body="x") == "E302"


MODERATION: list[tuple[str, str, dict[str, Any], str]] = [
    # A helper may set roles, but only roles with no more permissions than the helper role.
    ("helen", "role_set", {"user": "gus", "role": "helper"}, "ok"),
    ("helen", "role_set", {"user": "gus", "role": "admin"}, "E304"),
    ("helen", "role_set", {"user": "gus", "role": "user"}, "E304"),
    ("helen", "role_set", {"user": "alice", "role": "guest"}, "E304"),
    ("helen", "role_set", {"user": "helen", "role": "admin"}, "E304"),
    ("helen", "revoke", {"user": "alice", "device": DEVICE}, "E304"),
    ("helen", "revoke", {"user": "gus", "device": DEVICE}, "ok"),
    ("helen", "kick", {"user": "alice"}, "E304"),
    ("helen", "kick", {"user": "alice", "room": "#lobby"}, "E304"),
    ("helen", "mute", {"user": "alice"}, "E304"),
    ("helen", "kick", {"user": "bob"}, "ok"),
    ("alice", "kick", {"user": "alice"}, "E304"),
    ("alice", "ban", {"user": "alice"}, "E304"),
    ("alice", "role_set", {"user": "alice", "role": "user"}, "E304"),
    ("alice", "role_set", {"user": "bob", "role": "emperor"}, "E403"),
    ("alice", "role_set", {"user": "bob", "role": "admin"}, "ok"),
    ("alice", "revoke", {"user": "alice", "device": DEVICE}, "E304"),
    ("alice", "revoke", {"user": "alice", "device": DEVICE, "dry_run": True}, "E304"),
    # Somebody else may do all that a helper may.
    ("helen", "revoke", {"user": "helen", "device": DEVICE}, "ok"),
    ("alice", "revoke", {"user": "bob", "device": "nil"}, "E412"),
    ("alice", "kick", {"user": "nil"}, "E405"),
    ("alice", "kick", {"user": "server"}, "E405"),
    ("alice", "unban", {"user": "bob"}, "E410"),
    ("alice", "mute", {"user": "bob", "room": "#nil"}, "E404"),
    ("alice", "kick", {"user": "bob", "room": "#nil"}, "E404"),
]


@pytest.mark.parametrize(("who", "kind", "fields", "outcome"), MODERATION)
def test_moderation_is_permitted_or_refused_as_listed(
    world: World, who: str, kind: str, fields: dict[str, Any], outcome: str
) -> None:
    assert world.outcome(who, kind, **fields) == outcome


def add_device(world: World, user: str, device: str, ends: int | None = None, role: str | None = None) -> str:
    serial = f"{len(world.log) + 1:x}"
    return world.outcome(OPERATOR, "user_add", user=user, device=device, serial=serial, ends=ends, role=role)


REVOKE_OWN = {"user": "alice", "device": DEVICE}


def test_the_last_device_of_an_admin_cannot_revoke_itself(world: World) -> None:
    """Devices that cannot log in do not count; what the refusal advises makes it possible."""
    add_device(world, "alice", "old", ends=world.now)
    add_device(world, "alice", "lost")
    world.ask("alice", "revoke", user="alice", device="lost")
    add_device(world, "mallory", "phone", role="admin")
    world.ask_as_operator("ban", user="mallory")
    text = world.refusal_text("alice", "revoke", **REVOKE_OWN)
    assert "chatd user add alice --device NEW" in text
    assert add_device(world, "alice", "new", ends=world.now + 1000) == "ok"
    assert world.outcome("alice", "revoke", **REVOKE_OWN) == "ok"
    assert world.outcome(Principal("alice", "new"), "revoke", user="alice", device="new") == "E304"


def test_the_last_admin_may_leave_once_there_is_another(world: World) -> None:
    world.ask("alice", "role_set", user="bob", role="admin")
    assert world.outcome("alice", "revoke", **REVOKE_OWN) == "ok"


@pytest.mark.parametrize("kind", ["kick", "ban", "mute", "unmute", "role_set"])
def test_nobody_moderates_themselves_and_the_only_admin_learns_what_to_do(world: World, kind: str) -> None:
    fields = {"role": "user"} if kind == "role_set" else {}
    text = world.refusal_text("alice", kind, user="alice", **fields)
    assert "E304" in text
    assert "chatd user add NAME --role admin" in text
    assert add_device(world, "zoe", "phone", role="admin") == "ok"
    role = {"role": "user"} if kind == "role_set" else {}
    if kind != "unmute":
        world.ask_as_operator("role_set", user="alice", role="user")
        assert world.outcome(Principal("zoe", "phone"), kind, user="alice", **role) == "ok"


def test_devices_that_cannot_log_in_do_not_count_against_the_limit(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(moderation, "DEVICES_LIMIT", 3)
    monkeypatch.setattr(moderation, "REGISTRATIONS_LIMIT", 6)
    assert add_device(world, "bob", "two", ends=world.now + 1000) == "ok"
    assert add_device(world, "bob", "three") == "ok"
    assert add_device(world, "bob", "four") == "E409"
    world.now += 1000
    assert add_device(world, "bob", "four") == "ok"
    assert add_device(world, "bob", "five") == "E409"
    world.ask("alice", "revoke", user="bob", device="three")
    (bob,) = (user for user in world.ask("alice", "users")["users"] if user["user"] == "bob")
    assert bob["devices"] == 2
    names = [entry["device"] for entry in world.ask("alice", "whois", user="bob")["devices"]]
    assert names == ["four", DEVICE, "three", "two"], "usable devices come first"
    restored = World(CUSTOM, State.restore(world.state.snapshot()))
    restored.now, restored.log = world.now, world.log
    for one in (world, restored):
        assert add_device(one, "bob", "five") == "ok"
        assert add_device(one, "bob", "six") == "E409"
        one.ask("alice", "revoke", user="bob", device="five")
        assert add_device(one, "bob", "six") == "ok"
        one.ask("alice", "revoke", user="bob", device="six")
        assert add_device(one, "bob", "seven") == "E409", "the names of old devices are bounded too"


@pytest.mark.parametrize("kind", MINIMAL)
def test_the_operator_gets_a_result_or_a_refusal(world: World, kind: str) -> None:
    variants = [MINIMAL[kind]]
    if "to" in MINIMAL[kind]:
        variants.append(MINIMAL[kind] | {"to": "@bob"})
    for fields in variants:
        assert world.outcome(OPERATOR, kind, **fields)
    assert world.state.head == len(world.log)


def test_a_user_cannot_create_a_room_they_may_not_enter(world: World) -> None:
    assert world.outcome("helen", "create", room="#den") == "E303"
    assert world.outcome("helen", "create", room="#den", guests=True) == "ok"


def test_rooms_per_user_are_limited(world: World) -> None:
    assert [world.outcome("bob", "create", room=f"#r{n}") for n in range(3)] == ["ok", "ok", "E409"]
    world.ask("carl", "create", room="#more")
    assert world.outcome("bob", "join", room="#more") == "E409"
    assert world.outcome("bob", "join", room="#r0") == "ok"
    world.ask("bob", "part", room="#r0")
    assert world.outcome("bob", "join", room="#more") == "ok"


def test_conversations_per_user_are_limited(world: World) -> None:
    limits = CUSTOM.limits.model_copy(update={"conversations_per_user": 1})
    world.rules = Rules.from_settings(CUSTOM.model_copy(update={"limits": limits}))
    assert world.outcome("bob", "send", to="@carl", body="x") == "ok"
    assert world.outcome("alice", "send", to="@carl", body="x") == "E409"
    assert world.outcome("bob", "send", to="@alice", body="x") == "E409"
    assert world.outcome("carl", "send", to="@bob", body="x") == "ok"


CONVERSATIONS = [
    ("@carl", "@bob,carl"),
    ("@bob,carl", "@bob,carl"),
    ("@carl,bob", "@bob,carl"),
    ("@bob", "@bob,bob"),
    ("@bob,bob", "@bob,bob"),
]


@pytest.mark.parametrize(("to", "room"), CONVERSATIONS)
def test_a_first_message_opens_the_conversation(world: World, to: str, room: str) -> None:
    world.ask("bob", "send", to=to, body="x")
    assert [(e["type"], e["room"]) for e in world.log[-2:]] == [("dm_opened", room), ("message", room)]
    assert world.outcome("bob", "part", room=room) == "E301"


WRONG_TARGETS = [
    "",
    "#",
    "@",
    "lobby",
    "*",
    "@,",
    "@carl,alice,dave",
    "@bob,carl,carl",
    "@bob,carl,bob",
    "@bob,carl,",
    "@alice,carl",
    "@carl,",
    "@CARL",
    "@server",
]


@pytest.mark.parametrize("to", [*WRONG_TARGETS, "@nil", "#Lobby", "#lobby ", "@gus,nil", "@\x1b[2J"])
def test_a_wrong_target_is_refused_with_a_printable_reason(world: World, to: str) -> None:
    refusal = world.refusal_text("bob", "send", to=to, body="x")
    assert refusal[-1:] and refusal.isprintable()


def test_texts_are_limited_and_filtered_after_escaping(world: World) -> None:
    assert world.outcome("bob", "topic", room="#lobby", topic="x" * 10) == "ok"
    assert world.outcome("bob", "topic", room="#lobby", topic="x" * 11) == "E401"
    assert world.outcome("bob", "topic", room="#lobby", topic="\x1b\x1b\x1b") == "E401"
    assert world.outcome("bob", "topic", room="#lobby", topic="drop\nit") == "E400"
    assert world.outcome("bob", "away", text="drop") == "E400"
    assert world.outcome("bob", "send", to="#lobby", body="DR\u200bOP") == "E400"
    assert world.outcome("bob", "send", to="#lobby", body=" \n\t ") == "E402"
    world.ask("bob", "topic", room="#lobby", topic="a\nb\r")
    assert world.log[-1]["topic"] == r"a\x0ab\x0d"


def cut_long_texts(world: World) -> None:
    limits = CUSTOM.limits.model_copy(update={"long_text": "truncate"})
    world.rules = Rules.from_settings(CUSTOM.model_copy(update={"limits": limits}))


def test_a_long_message_is_truncated_and_its_sender_told(world: World) -> None:
    cut_long_texts(world)
    result = world.ask("bob", "send", to="#lobby", body="x" * 501)
    assert [note["rule"] for note in result["notes"]] == ["truncated"]
    assert len(world.log[-1]["body"]) == 500
    assert world.ask("bob", "send", to="#lobby", body="x" * 500)["notes"] == []
    world.ask("alice", "kick", user="bob", reason="a\x1bb\n")
    assert world.log[-1]["reason"] == r"a\x1bb\x0a"


def test_a_forbidden_word_across_the_length_limit_is_refused(world: World) -> None:
    assert world.outcome("bob", "send", to="#lobby", body="x" * 497 + " drop") == "E400"


def test_text_beyond_the_length_limit_is_neither_filtered_nor_published(world: World) -> None:
    cut_long_texts(world)
    assert world.outcome("bob", "send", to="#lobby", body="x" * 700 + " drop") == "ok"
    assert "drop" not in world.log[-1]["body"]


def test_a_kick_ends_after_a_minute_or_by_unban(world: World) -> None:
    world.ask("alice", "kick", user="bob")
    assert world.outcome("bob", "rooms") == "E208"
    world.now += 60_000
    assert world.outcome("bob", "rooms") == "ok"
    world.ask("alice", "kick", user="bob")
    world.ask("alice", "unban", user="bob")
    assert world.outcome("bob", "rooms") == "ok"


@pytest.mark.parametrize("kind", ["kick", "ban", "revoke"])
def test_a_dry_run_does_not_change_the_state(world: World, kind: str) -> None:
    before = world.state.snapshot()
    world.ask("alice", kind, user="bob", dry_run=True, **({"device": DEVICE} if kind == "revoke" else {}))
    assert world.state.snapshot() == before


def test_demoted_users_leave_closed_rooms_and_keep_their_conversations(world: World) -> None:
    world.ask("bob", "create", room="#den")
    world.ask("bob", "send", to="@carl", body="x")
    world.ask("alice", "role_set", user="bob", role="guest")
    assert sorted(world.state.users["bob"].rooms) == ["#lobby", "@bob,carl"]
    assert world.outcome("carl", "send", to="@bob", body="x") == "E303"


def test_a_login_does_not_rejoin_a_room_the_user_has_left(world: World) -> None:
    world.ask("bob", "part", room="#lobby")
    rooms.auto_join(world.context(Principal("bob", DEVICE)), "bob")
    assert "#lobby" not in world.state.users["bob"].rooms


def test_role_show_is_limited_to_what_a_client_accepts(world: World) -> None:
    shown = world.ask("alice", "role_show")
    assert len(shown["pinned"]) == MAP_LIMIT


def test_the_list_of_users_hides_presence_without_the_permission() -> None:
    permissions = {**DEFAULT_ROLES, "auditor": ["user.list"]}
    world = World(Settings.model_validate({"roles": {"permissions": permissions}}))
    world.create_configured_rooms()
    world.add_user("alice", "admin")
    world.add_user("aud", "auditor")
    for user, states in (("alice", {"offline"}), ("aud", {None})):
        assert {entry["state"] for entry in world.ask(user, "users")["users"]} == states


def test_the_pages_of_a_long_list_hold_every_user_once(world: World) -> None:
    names = [f"{'u' * 26}{n:05d}" for n in range(1, 451)]
    for name in names:
        world.add_user(name)
    seen: list[str] = []
    after, more = "", True
    while more:
        page = world.ask("alice", "users", after=after)
        encode({"type": "ok", "id": 1, "result": page})
        seen += [entry["user"] for entry in page["users"]]
        after, more = seen[-1], page["more"]
    assert seen == sorted(world.state.users)


LOGINS = [
    ("bob", DEVICE, "ok", 0, "ok"),
    ("bob", DEVICE, "wrong", 0, "E205"),
    ("bob", "nil", "ok", 0, "E205"),
    ("nil", DEVICE, "ok", 0, "E205"),
    ("server", "box", "ok", 0, "E205"),
    ("bob", DEVICE, "ok", 49, "ok"),
    ("bob", DEVICE, "ok", 50, "E501"),
    ("alice", DEVICE, "ok", 53, "ok"),
    ("alice", DEVICE, "ok", 54, "E501"),
]


@pytest.mark.parametrize(("user", "device", "serial", "total", "outcome"), LOGINS)
def test_a_login_is_admitted_or_refused_as_listed(
    world: World, user: str, device: str, serial: str, total: int, outcome: str
) -> None:
    known = world.state.users["alice" if user == "alice" else "bob"].devices[DEVICE].serial
    context = Context(world.state, world.rules, Principal(user, device), world.now, Sessions())
    try:
        authorize.admit(context, known if serial == "ok" else "dead", total=total)
    except ChatdError as error:
        assert error.code == outcome
    else:
        assert outcome == "ok"


def test_an_empty_state_survives_a_snapshot() -> None:
    assert State.restore(State().snapshot()) == State()


@pytest.mark.parametrize("name", sorted(RESERVED))
def test_a_reserved_name_is_refused_for_new_users_and_devices_only(name: str) -> None:
    world = World()
    world.create_configured_rooms()
    fields = {"user": name, "device": DEVICE, "serial": "0a"}
    assert world.outcome(OPERATOR, "user_add", **fields) == "E403"
    assert world.outcome(OPERATOR, "user_add", **fields | {"user": "bob", "device": name}) == "E403"
    # A home may have a user from before the name was reserved.
    world.state.users[name] = User(devices={"old": Device("0b")})
    assert world.outcome(OPERATOR, "user_add", **fields) == "ok"
    world.add_user("bob")
    assert world.outcome("bob", "send", to=f"@{name}", body="hello") == "ok"


@pytest.mark.parametrize("protected", ["ali", "ann"])
def test_a_moderator_is_not_advised_to_revoke_another_one(protected: str) -> None:
    world = pinned_admins()
    world.add_user("ali", "admin")
    for kind in ("kick", "ban", "mute"):
        with pytest.raises(ChatdError) as refused:
            world.ask("abe", kind, user=protected)
        told = fitting(refused.value.fix, {"moderate.ban", "moderate.kick", "moderate.mute"})
        assert told.startswith("ask an admin to ") and "revoke" not in told


def pinned_admins() -> World:
    """Two admins whose roles are fixed, one who was given the role, and a moderator."""
    settings = CUSTOM.model_dump()
    settings["roles"]["assigned"] = {"ann": "admin", "amy": "admin", "pat": "user"}
    world = World(Settings.model_validate(settings))
    world.create_configured_rooms()
    for name, role in (("ann", None), ("amy", None), ("pat", None), ("abe", "admin"), ("helen", "helper")):
        world.add_user(name, role)
    return world


def test_a_stolen_admin_does_not_lock_out_the_pinned_ones_and_the_box_ends_it() -> None:
    """Only the box revokes the last device of an admin whose role the settings fix; every refusal says so."""
    world = pinned_admins()
    for who in ("amy", "abe"):
        text = world.refusal_text(who, "revoke", user="ann", device=DEVICE)
        assert "E305" in text and "chatd user revoke ann" in text
    for kind, fields in (("ban", {}), ("kick", {}), ("mute", {}), ("role_set", {"role": "guest"})):
        text = world.refusal_text("abe", kind, user="ann", **fields)
        assert "chatd user revoke ann" in text, kind
    add_device(world, "ann", "old", ends=world.now + 1000)
    assert world.outcome("abe", "revoke", user="ann", device=DEVICE, dry_run=True) == "ok"
    world.now += 1000
    assert world.outcome("abe", "revoke", user="ann", device=DEVICE, dry_run=True) == "E305"
    add_device(world, "ann", "new")
    assert world.outcome("abe", "revoke", user="ann", device=DEVICE) == "ok"
    assert world.outcome("abe", "revoke", user="ann", device="new") == "E305"
    assert world.outcome(OPERATOR, "revoke", user="ann", device="new") == "ok"
    assert world.outcome(Principal("ann", "new"), "ping") == "E206"
    # Neither a pinned role with fewer permissions nor a given one is protected.
    assert world.outcome("abe", "revoke", user="pat", device=DEVICE) == "ok"
    assert world.outcome("amy", "revoke", user="abe", device=DEVICE) == "ok"
