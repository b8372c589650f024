"""The permission matrix: every request type by every kind of principal in every kind of room.

``TABLE`` states the expected outcomes and shares nothing with the code that decides. A new request type
fails a test until it has a row.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from chatd.proto.requests import REQUESTS
from tests.support.hubworld import World, copier

# The users of the world below; the columns of the table.
PRINCIPALS = ("guest", "demoted", "user", "admin", "former", "stranger", "outsider")
SHUT_OUT = {"banned": "E207", "kicked": "E208", "revoked": "E206", "nobody": "E205"}
ROOMS = {"open": "#open", "closed": "#closed", "members": "#private", "dm": "@dan,eve"}
MSG_ID = "0a" * 16


def build() -> World:
    """Build the world of the matrix.

    guest is in #open; user and admin are in #open and #closed; outsider is an admin in neither. demoted was
    in both as a user and is a guest now; former and revoked were in both; stranger never was. The members of
    #closed are also in #private, which is entered by invitation. dan and eve have a conversation.
    """
    world = World()
    world.create_configured_rooms()
    roles = {"guest": "guest", "admin": "admin", "outsider": "admin"}
    members = ("user", "admin", "demoted", "former", "banned", "kicked", "revoked", "dan", "victim")
    for name in (*PRINCIPALS, "banned", "kicked", "revoked", "dan", "eve", "victim", "hidden"):
        world.add_user(name, roles.get(name))
        world.ask(name, "part", room="#lobby")
    world.ask("dan", "create", room="#open", guests=True)
    world.ask("eve", "create", room="#closed")
    world.ask("eve", "create", room="#private", mode="members")
    for name in members:
        world.ask(name, "join", room="#closed")
        world.ask("eve", "invite", room="#private", user=name)
        for room in ("#open", "#private"):
            world.ask(name, "join", room=room)
    world.ask("guest", "join", room="#open")
    world.ask("dan", "part", room="#open")
    for room in ("#open", "#closed", "#private"):
        world.ask("former", "part", room=room)
        world.ask_as_operator("mute", user="victim", room=room)
    world.ask_as_operator("mute", user="victim")
    world.ask("dan", "send", to="@eve", body="between us")
    world.ask_as_operator("role_set", user="demoted", role="guest")
    world.ask_as_operator("role_set", user="hidden", role="guest")
    world.ask_as_operator("ban", user="banned")
    world.ask_as_operator("kick", user="kicked")
    world.ask_as_operator("ban", user="eve")
    world.ask_as_operator("revoke", user="revoked", device="laptop")
    return world


world_copy = copier(build)

#                     guest demoted user admin former stranger outsider
EVERYBODY = "ok   ok   ok   ok   ok   ok   ok"
NOBODY = "E300 E300 E300 E300 E300 E300 E300"
ADMINS = "E300 E300 E300 ok   E300 E300 ok"
USERS = "E300 E300 ok   ok   ok   ok   ok"
UNKNOWN = "E404 E404 E404 E404 E404 E404 E404"
ADMINS_NOT_FOUND = "E300 E300 E300 E404 E300 E300 E404"
MEMBERS = {
    "open": "ok   ok   ok   ok   E301 E301 E301",
    "closed": "E404 E404 ok   ok   E301 E301 E301",
    "members": "E404 E404 ok   ok   E404 E404 E301",
    "dm": UNKNOWN,
}
MODERATION = {"open": ADMINS, "closed": ADMINS, "members": ADMINS, "dm": ADMINS_NOT_FOUND}
UNKNOWN_HOOK = "E300 E300 E300 E405 E300 E300 E405"
# No principal of the table owns a room, and admins act as owners.
OWNERS = {
    "open": "E311 E311 E311 ok   E311 E311 ok",
    "closed": "E404 E404 E311 ok   E311 E311 ok",
    "members": "E404 E404 E311 ok   E404 E404 ok",
    "dm": UNKNOWN,
}
# victim is in each room and invited to none.
INVITERS = {
    "open": "E410 E410 E410 E410 E301 E301 E301",
    "closed": "E404 E404 E410 E410 E301 E301 E301",
    "members": "E404 E404 E311 E311 E404 E404 E301",
    "dm": UNKNOWN,
}

Row = tuple[dict[str, Any], dict[str, str]]
# Request type -> rows of (fields, outcomes by kind of room). The kind "-" is for requests that name no
# room; ROOM stands for the name of the room.
ROOM = object()
TABLE: dict[str, list[Row]] = {
    "ping": [({}, {"-": EVERYBODY})],
    "resume": [({"after": 0}, {"-": EVERYBODY})],
    "send": [
        (
            {"to": ROOM, "body": "hello", "msg_id": MSG_ID},
            MEMBERS | {"dm": "E300 E300 E405 E405 E405 E405 E405"},
        ),
        # Only users who may know that dan exists may write to him.
        ({"to": "@dan", "body": "hello", "msg_id": MSG_ID}, {"-": "E300 E300 ok   ok   E405 E405 ok"}),
        ({"to": "@nil", "body": "hello", "msg_id": MSG_ID}, {"-": "E300 E300 E405 E405 E405 E405 E405"}),
        # Guests receive no direct messages; only users who may know that the guest exists learn why.
        ({"to": "@guest", "body": "hello", "msg_id": MSG_ID}, {"-": "E300 E300 E303 E303 E405 E405 E303"}),
    ],
    "edit": [({"room": ROOM, "seq": 1000, "body": "hello", "msg_id": MSG_ID}, MEMBERS)],
    "delete": [({"room": ROOM, "seq": 1000}, MEMBERS)],
    "react": [({"room": ROOM, "seq": 1000, "text": "+1"}, MEMBERS)],
    "reactions": [({"room": ROOM, "seq": 1000}, MEMBERS)],
    "history": [({"room": ROOM}, MEMBERS)],
    "messages": [({"room": ROOM, "seqs": [1]}, MEMBERS)],
    "read": [({"room": ROOM, "seq": 1000}, MEMBERS)],
    "unread": [({}, {"-": EVERYBODY})],
    "search": [({"query": "hello in:#closed"}, {"-": EVERYBODY})],
    "create": [
        ({"room": "#fresh"}, {"-": USERS}),
        (
            {"room": ROOM},
            {
                "open": "E300 E300 E406 E406 E406 E406 E406",
                "closed": "E300 E300 E406 E406 E406 E406 E406",
                "members": "E300 E300 E406 E406 E406 E406 E406",
                "dm": "E300 E300 E403 E403 E403 E403 E403",
            },
        ),
    ],
    "join": [
        (
            {"room": ROOM},
            {
                "open": EVERYBODY,
                "closed": "E404 E404 ok   ok   ok   ok   ok",
                "members": "E404 E404 ok   ok   E404 E404 E312",
                "dm": UNKNOWN,
            },
        )
    ],
    "room_info": [
        (
            {"room": ROOM},
            {
                "open": EVERYBODY,
                "closed": "E404 E404 ok   ok   ok   ok   ok",
                "members": "E404 E404 ok   ok   E404 E404 ok",
                "dm": UNKNOWN,
            },
        )
    ],
    "room_mode": [({"room": ROOM, "mode": "read-only"}, OWNERS)],
    "owner": [({"room": ROOM, "user": "victim"}, OWNERS)],
    "member_remove": [({"room": ROOM, "user": "victim"}, OWNERS)],
    "invite": [
        ({"room": ROOM, "user": "victim"}, INVITERS),
        ({"room": "#open", "user": "eve"}, {"-": "E405 E405 ok   ok   E301 E301 E301"}),
    ],
    "uninvite": [({"room": ROOM, "user": "victim"}, INVITERS)],
    "part": [({"room": ROOM}, MEMBERS)],
    "rooms": [({}, {"-": EVERYBODY})],
    "who": [
        (
            {"room": ROOM},
            {
                "open": "ok   ok   ok   ok   E301 E301 ok",
                "closed": "E404 E404 ok   ok   E301 E301 ok",
                "members": "E404 E404 ok   ok   E404 E404 ok",
                "dm": UNKNOWN,
            },
        )
    ],
    # dan is only in #closed, so users outside it must not learn that dan exists.
    "whois": [({"user": "dan"}, {"-": "E405 E405 ok   ok   E405 E405 ok"})],
    "topic": [
        (
            {"room": ROOM, "topic": "t"},
            {
                "open": "E300 E300 ok   ok   E301 E301 E301",
                "closed": "E300 E300 ok   ok   E301 E301 E301",
                "members": "E300 E300 E311 ok   E404 E404 E301",
                "dm": "E300 E300 E404 E404 E404 E404 E404",
            },
        )
    ],
    "away": [({"text": "lunch"}, {"-": EVERYBODY})],
    "kick": [({"user": "victim"}, {"-": ADMINS}), ({"user": "victim", "room": ROOM}, MODERATION)],
    "ban": [({"user": "victim"}, {"-": ADMINS})],
    "unban": [({"user": "banned"}, {"-": ADMINS})],
    "bans": [({}, {"-": ADMINS})],
    "mutes": [({}, {"-": ADMINS})],
    "mute": [({"user": "victim"}, {"-": ADMINS}), ({"user": "victim", "room": ROOM}, MODERATION)],
    "unmute": [
        ({"user": "victim"}, {"-": ADMINS}),
        ({"user": "victim", "room": ROOM}, MODERATION | {"dm": "E300 E300 E300 E410 E300 E300 E410"}),
    ],
    "redact": [({"room": ROOM, "seq": 1000}, MODERATION)],
    "hold": [({"room": ROOM}, MODERATION)],
    "room_archive": [({"room": ROOM}, MODERATION)],
    "room_remove": [({"room": ROOM}, MODERATION)],
    "announce": [({"body": "hello"}, {"-": ADMINS})],
    "role_set": [
        ({"user": "victim", "role": "guest"}, {"-": ADMINS}),
        ({"user": "victim", "role": "admin"}, {"-": ADMINS}),
    ],
    "role_show": [({}, {"-": USERS}), ({"user": "dan"}, {"-": "E300 E300 ok   ok   E405 E405 ok"})],
    "users": [({}, {"-": ADMINS})],
    "revoke": [({"user": "victim", "device": "laptop"}, {"-": ADMINS})],
    "stats": [({}, {"-": ADMINS})],
    "audit": [({}, {"-": ADMINS}), ({"actor": "dan", "target": "#closed"}, {"-": ADMINS})],
    "invite_create": [({"user": "newcomer", "secret_hash": "0a" * 32, "seconds": 60}, {"-": ADMINS})],
    "invite_many": [
        ({"invites": [{"user": "newcomer", "secret_hash": "0a" * 32}], "seconds": 60}, {"-": ADMINS}),
        (
            {"invites": [{"user": "victim", "secret_hash": "0a" * 32}], "seconds": 60, "dry_run": True},
            {"-": ADMINS},
        ),
    ],
    "invite_list": [({}, {"-": ADMINS})],
    "invite_cancel": [({"user": "newcomer"}, {"-": "E300 E300 E300 E410 E300 E300 E410"})],
    "asks": [({}, {"-": ADMINS})],
    "ask_approve": [({"ask": "0a" * 32}, {"-": "E300 E300 E300 E410 E300 E300 E410"})],
    "ask_deny": [({"ask": "0a" * 32}, {"-": "E300 E300 E300 E410 E300 E300 E410"})],
    "held_list": [({}, {"-": ADMINS})],
    "held_approve": [({"seq": 1}, {"-": "E300 E300 E300 E410 E300 E300 E410"})],
    "held_refuse": [({"seq": 1}, {"-": "E300 E300 E300 E410 E300 E300 E410"})],
    "held_withdraw": [({"seq": 1}, {"-": "E410 E410 E410 E410 E410 E410 E410"})],
    "filter_test": [({"body": "a text", "place": "#closed"}, {"-": ADMINS})],
    "hook_create": [
        (
            {"room": ROOM, "name": "alerts", "kind": "text", "secret_hash": "0a" * 32},
            {"open": ADMINS, "closed": ADMINS, "members": ADMINS, "dm": ADMINS_NOT_FOUND},
        ),
    ],
    "hook_list": [({}, {"-": ADMINS})],
    "hook_rotate": [({"name": "alerts", "secret_hash": "0a" * 32}, {"-": UNKNOWN_HOOK})],
    "hook_remove": [({"name": "alerts"}, {"-": UNKNOWN_HOOK})],
    "device_add": [({"secret_hash": "0b" * 32, "seconds": 60}, {"-": USERS})],
    "devices": [({}, {"-": EVERYBODY})],
    "user_remove": [({"user": "victim"}, {"-": ADMINS})],
    "display_name": [({"user": "victim", "display": "Vic"}, {"-": ADMINS})],
    "certificates": [({}, {"-": ADMINS}), ({"user": "dan"}, {"-": ADMINS})],
    "guest_list": [({}, {"-": USERS})],
    "guest_extend": [({"user": "victim", "seconds": 60}, {"-": "E300 E300 E405 E405 E405 E405 E405"})],
    "guest_end": [({"user": "victim"}, {"-": "E300 E300 E405 E405 E405 E405 E405"})],
    "user_add": [({"user": "mallory", "device": "x", "serial": "0a", "role": "admin"}, {"-": NOBODY})],
}


def filled(fields: dict[str, Any], room: str) -> dict[str, Any]:
    return {name: room if value is ROOM else value for name, value in fields.items()}


def cases() -> Iterator[Any]:
    for kind, rows in TABLE.items():
        for number, (fields, outcomes) in enumerate(rows):
            for target, line in outcomes.items():
                full = filled(fields, ROOMS.get(target, ""))
                expected = dict(zip(PRINCIPALS, line.split(), strict=True)) | SHUT_OUT
                for who, outcome in expected.items():
                    yield pytest.param(who, kind, full, outcome, id=f"{who}-{kind}{number or ''}-{target}")


def test_every_request_type_has_a_row() -> None:
    assert set(TABLE) == set(REQUESTS)


def test_every_request_type_that_names_a_room_has_a_row_with_every_kind_of_room() -> None:
    for kind, model in REQUESTS.items():
        if {"room", "to"} & set(model.model_fields):
            assert set(ROOMS) <= {target for _, outcomes in TABLE[kind] for target in outcomes}, kind


@pytest.mark.parametrize(("who", "kind", "fields", "outcome"), list(cases()))
def test_a_request_has_the_outcome_of_the_table(
    who: str, kind: str, fields: dict[str, Any], outcome: str
) -> None:
    world = world_copy()
    before = world.state.snapshot()
    assert world.outcome(who, kind, **fields) == outcome
    if outcome != "ok":
        assert world.state.snapshot() == before


# --- answers do not reveal what is hidden ----------------------------------------------------------

# Hidden room -> the users it is hidden from, and the name of a room of its kind that does not exist.
HIDDEN_ROOMS = {
    "#closed": (("guest", "demoted"), "#nought"),
    "#private": (("guest", "demoted", "former", "stranger"), "#nought"),
    "@dan,eve": (PRINCIPALS, "@dan,nil"),
}
# Hidden user -> the users it is hidden from.
HIDDEN_USERS = {"dan": ("guest", "demoted", "former", "stranger"), "hidden": ("guest", "user", "stranger")}


def anonymous_refusal(who: str, kind: str, fields: dict[str, Any], name: str) -> str:
    """Return the refusal of a request with the name that was asked for replaced."""
    return world_copy().refusal_text(who, kind, **fields).replace(name.lstrip("@"), "NAME")


@pytest.mark.parametrize("kind", [k for k, m in REQUESTS.items() if {"room", "to"} & set(m.model_fields)])
@pytest.mark.parametrize("room", HIDDEN_ROOMS)
def test_a_hidden_room_is_refused_in_the_words_for_a_missing_one(kind: str, room: str) -> None:
    unaware, missing = HIDDEN_ROOMS[room]
    for fields, outcomes in TABLE[kind]:
        if "dm" not in outcomes:
            continue
        for who in unaware:
            refusal = anonymous_refusal(who, kind, filled(fields, room), room)
            expected = anonymous_refusal(who, kind, filled(fields, missing), missing)
            if kind == "create" and not expected:
                # A clash of names cannot be hidden from somebody who may create the room.
                expected = "the name NAME cannot be used (E406). choose another name"
            assert refusal == expected, who
            assert refusal


@pytest.mark.parametrize("user", HIDDEN_USERS)
def test_a_hidden_user_is_refused_in_the_words_for_a_missing_one(user: str) -> None:
    for who in HIDDEN_USERS[user]:
        for kind in ("whois", "role_show"):
            refusal = anonymous_refusal(who, kind, {"user": user}, user)
            assert refusal == anonymous_refusal(who, kind, {"user": "nil"}, "nil")
            assert refusal


def test_a_message_to_a_hidden_guest_is_refused_in_the_words_for_a_missing_user() -> None:
    for who in ("former", "stranger"):
        hidden, missing = (
            anonymous_refusal(who, "send", {"to": f"@{name}", "body": "x", "msg_id": MSG_ID}, name)
            for name in ("guest", "nil")
        )
        assert hidden == missing != ""


def test_refused_moderation_does_not_reveal_who_exists() -> None:
    for kind in ("kick", "ban", "unban", "mute", "unmute", "revoke", "role_set", "user_remove"):
        for who in ("guest", "demoted", "user", "former", "stranger"):
            fields = TABLE[kind][0][0]
            refusals = {
                anonymous_refusal(who, kind, fields | {"user": name}, name)
                for name in ("dan", "outsider", "nil")
            }
            assert len(refusals) == 1


def test_lists_contain_only_what_the_user_may_know() -> None:
    world = world_copy()
    seen = {who: {r["room"] for r in world.ask(who, "rooms")["rooms"]} for who in PRINCIPALS}
    assert seen["guest"] == seen["demoted"] == {"#lobby", "#open"}
    known = {"#lobby", "#open", "#closed"}
    assert seen["former"] == seen["stranger"] == known
    assert seen["user"] == seen["admin"] == seen["outsider"] == known | {"#private"}
    assert world.ask("user", "whois", user="dan")["rooms"] == ["#closed", "#private"]
    assert world.ask("guest", "whois", user="user")["rooms"] == ["#open"]
    assert world.ask("user", "role_show")["pinned"] == {}


def test_admins_do_not_see_the_conversations_of_others() -> None:
    world = world_copy()
    for who in ("admin", "outsider"):
        assert "@dan" not in str(world.ask(who, "whois", user="dan"))
        assert "@dan" not in str(world.ask(who, "users"))
        assert "@dan" not in str(world.ask(who, "rooms"))


@pytest.mark.parametrize("kind", ["resume", "search"])
def test_resume_and_search_cover_only_the_users_own_rooms(kind: str) -> None:
    expected = {
        "guest": {"#open"},
        "demoted": {"#open"},
        "user": {"#open", "#closed", "#private"},
        "admin": {"#open", "#closed", "#private"},
        "former": set(),
        "stranger": set(),
        "outsider": set(),
    }
    for who, rooms in expected.items():
        world = world_copy()
        assert set(world.ask(who, kind, **TABLE[kind][0][0])["rooms"]) == rooms | {"*", f"={who}"}
