"""Whoever has nothing to do with a user or a room cannot learn whether it exists.

For every request with a user or a room, all combinations of the other fields are asked about one that exists
and one that does not. To askers without a relation to it, both answers must be the same but for the name.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from typing import Any

import pytest

from chatd.config.schema import Settings
from chatd.errors import ChatdError
from chatd.hub.state.entities import DAY_MS
from chatd.hub.state.room_access import INVITE_DAYS
from chatd.policy.roles import DEFAULT_ROLES, PERMISSIONS
from chatd.proto.requests import REQUESTS
from tests.support.hubworld import World, copier

NAMING = ("user", "room", "to")
# Every permission but the one to list all users, and those about rooms that others may not enter.
HELPER = sorted(set(PERMISSIONS) - {"user.list", "room.closed", "room.manage"})
# Every permission but to manage rooms: to this role a members room is as unknown as to others.
CLERK = sorted(set(PERMISSIONS) - {"room.manage"})
SETTINGS = Settings.model_validate(
    {
        "filter": {"words": ["hack"]},
        "limits": {"topic_chars": 20},
        "roles": {
            "permissions": DEFAULT_ROLES | {"helper": HELPER, "clerk": CLERK},
            "assigned": {"pia": "user"},
        },
    }
)
# Values of the fields besides the one that names a user or room; other fields keep their defaults.
VALUES: dict[str, list[Any]] = {
    "display": ["Robert", "dan"],
    "msg_id": ["0a" * 16],
    "body": ["hello", "hack", "\u200b", "x" * 60_000],
    "kind": ["text", "action"],
    "topic": ["", "hack", "x" * 21],
    "guests": [True, False],
    "mode": ["open", "members", "read-only"],
    "history": ["all", "since_join"],
    "dry_run": [True, False],
    "device": ["laptop", "nil", "box"],
    "role": ["guest", "admin", "nil"],
    "seconds": [None, 60],
    "seq": [1000],
    "seqs": [[1]],
    "text": ["+1", "hack", "a b"],
    "on": [True, False],
    "serial": ["0a"],
    "secret_hash": ["0a" * 32],
    "ask": ["0a" * 32],
}
ASKERS = ("helen", "una", "gus")
# Users that the askers share no room with: of every role, banned, kicked, muted, with a pinned role.
HIDDEN = ("dan", "ann", "gil", "hal", "ben", "kim", "max", "pia")
# Rooms that the askers do not know. una may enter every room.
# cleo may do all but manage rooms, fay was removed from #private, and the invitation of ian has ended.
HIDDEN_ROOMS = {
    "#closed": ("helen", "gus"),
    "#private": (*ASKERS, "cleo", "fay", "ian"),
    "@ann,dan": ASKERS,
    "@ann,dan,pia": ASKERS,
}
MISSING_ROOMS = {
    "#closed": "#nought",
    "#private": "#nought",
    "@ann,dan": "@ann,nil",
    "@ann,dan,pia": "@ann,dan,nil",
}


def build() -> World:
    """Build the world: the askers and vic are in #open, the hidden users in #closed."""
    world = World(SETTINGS)
    world.create_configured_rooms()
    roles = {"helen": "helper", "gus": "guest", "ann": "admin", "gil": "guest", "hal": "helper"}
    roles["cleo"] = "clerk"
    for name in (*ASKERS, *HIDDEN, "vic", "cleo", "fay", "ian"):
        world.add_user(name, roles.get(name))
        world.ask(name, "part", room="#lobby")
    world.ask("dan", "create", room="#closed")
    world.ask("vic", "create", room="#open", guests=True)
    for name in ("ann", "ben", "kim", "max", "pia"):
        world.ask(name, "join", room="#closed")
    for name in (*ASKERS, "cleo", "fay", "ian"):
        world.ask(name, "join", room="#open")
    world.ask("vic", "create", room="#private", mode="members", guests=True)
    for name in ("fay", "ian"):
        world.ask("vic", "invite", room="#private", user=name)
    world.now += (INVITE_DAYS - 1) * DAY_MS
    world.ask("fay", "join", room="#private")
    world.ask("vic", "member_remove", room="#private", user="fay")
    world.ask_as_operator("mute", user="vic", room="#private")
    world.now += DAY_MS
    world.ask("ann", "send", to="@dan", body="between us")
    world.ask("ann", "send", to="@ann,dan,pia", body="between the three of us")
    for kind, name in (("ban", "ben"), ("kick", "kim"), ("mute", "max"), ("mute", "vic")):
        world.ask_as_operator(kind, user=name)
    return world


world_copy = copier(build)


def variants(kind: str, naming: str, rooms: tuple[str | None, ...]) -> Iterator[dict[str, Any]]:
    """Yield every combination of a request's fields besides ``naming``."""
    fields = {name: VALUES[name] for name in REQUESTS[kind].model_fields if name in VALUES}
    if naming == "user" and "room" in REQUESTS[kind].model_fields:
        fields["room"] = list(rooms)
    for values in product(*fields.values()):
        yield {name: value for name, value in zip(fields, values, strict=True) if value is not None}


def answer(who: str, kind: str, fields: dict[str, Any], naming: str, value: str) -> list[str]:
    """Return a request's answer, refusal or result, with the name that was asked about replaced."""
    world = world_copy()
    try:
        reply = ["ok", str(world.ask(who, kind, **{naming: value}, **fields))]
    except ChatdError as error:
        reply = [error.code, error.reason, error.fix]
    return [text.replace(value.lstrip("@"), "NAME") for text in reply]


def requests_naming(*fields: str) -> list[Any]:
    found = [(k, f) for k, model in REQUESTS.items() for f in fields if f in model.model_fields]
    return [pytest.param(kind, field, id=f"{kind}-{field}") for kind, field in found]


@pytest.mark.parametrize("user", HIDDEN)
@pytest.mark.parametrize(("kind", "naming"), requests_naming("user", "to"))
def test_an_unrelated_user_is_like_a_missing_one(kind: str, naming: str, user: str) -> None:
    if (kind, user) == ("unban", "ben"):
        return  # whoever may end bans may also list them
    sign = "@" if naming == "to" else ""
    for who in ASKERS:
        for fields in variants(kind, naming, (None, "#open", "#closed", "#nought")):
            exists = answer(who, kind, fields, naming, sign + user)
            assert exists == answer(who, kind, fields, naming, sign + "nil"), (who, fields)


@pytest.mark.parametrize("room", HIDDEN_ROOMS)
@pytest.mark.parametrize(("kind", "naming"), requests_naming("room", "to"))
def test_a_hidden_room_is_like_a_missing_one(kind: str, naming: str, room: str) -> None:
    for who in HIDDEN_ROOMS[room]:
        for fields in variants(kind, naming, (None,)):
            fields |= {"user": "vic"} if "user" in REQUESTS[kind].model_fields else {}
            exists = answer(who, kind, fields, naming, room)
            missing = answer(who, kind, fields, naming, MISSING_ROOMS[room])
            if kind == "create" and missing[0] == "ok":
                # A clash cannot be hidden. Whoever tries a free name creates a room, and the log tells who.
                assert exists == ["E406", "the name NAME cannot be used", "choose another name"]
            else:
                assert exists == missing, (who, fields)


def test_the_matrix_reaches_what_it_forbids() -> None:
    """To users who share a room, most of these requests do answer differently."""
    differing = set()
    for param in requests_naming("user", "to"):
        kind, naming = param.values
        sign = "@" if naming == "to" else ""
        for fields in variants(kind, naming, (None, "#open")):
            known = answer("helen", kind, fields, naming, sign + "vic")
            if known != answer("helen", kind, fields, naming, sign + "nil"):
                differing.add(kind)
    assert differing == {
        *("send", "whois", "kick", "ban", "unban", "mute", "unmute", "role_set", "role_show", "revoke"),
        *("invite", "user_remove", "display_name"),
    }


def test_one_request_cannot_make_two_strangers_acquainted() -> None:
    world = world_copy()
    assert world.outcome("una", "send", to="@dan", body="hello") == "E405"
    assert world.outcome("una", "whois", user="dan") == "E405"
    # A conversation that began while they shared a room goes on, in both directions.
    assert world.outcome("una", "send", to="@vic", body="hello") == "ok"
    world.ask("vic", "part", room="#open")
    assert world.outcome("una", "send", to="@vic", body="hello") == "ok"
    assert world.outcome("vic", "whois", user="una") == "ok"


def test_who_is_in_a_room_is_not_told_by_kicks_from_outside() -> None:
    world = world_copy()
    world.ask("una", "create", room="#side", guests=True)
    for user in ("vic", "una"):
        assert world.outcome("helen", "kick", user=user, room="#side", dry_run=True) == "E301"
