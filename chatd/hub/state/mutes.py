"""The mutes in force, for those who may end them."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

from chatd.hub.state.context import Context
from chatd.hub.state.entities import Sanction
from chatd.proto.frames import JsonObject

# Mutes of one user that `whois` tells of: its answer has to fit a frame.
TOLD = 5


def names(context: Context, after: str) -> Iterator[str]:
    """Yield "user/room" of each mute in force that the asker may know of, in order.

    One that holds everywhere has no room.
    """
    found = sorted(name for key in context.state.mutes if (name := "/".join(key)) > after)
    return (name for name in found if _is_told(context, *_key(name)))


def describe(context: Context, name: str) -> JsonObject:
    """Describe the mute that `names` calls so."""
    user, room = _key(name)
    mute = context.state.mutes[user, room]
    return {
        "user": user,
        "room": room or None,
        "until": mute.until,
        "reason": mute.reason,
        "by": mute.by,
        "at": mute.at,
    }


def of_user(context: Context, name: str) -> list[JsonObject]:
    """Return the mutes of one user, the one everywhere first."""
    rooms = sorted(room for user, room in context.state.mutes if user == name)
    told = (f"{name}/{room}" for room in rooms if _is_told(context, name, room))
    return [describe(context, one) for one in islice(told, TOLD)]


def replaced(context: Context, sanction: Sanction | None) -> JsonObject | None:
    """Describe a ban or mute that a new one replaces; None if there is none in force."""
    return {"until": sanction.until} if sanction is not None and sanction.holds(context.now) else None


def _is_told(context: Context, user: str, room: str) -> bool:
    holds = context.state.mutes[user, room].holds(context.now)
    return holds and context.knows_user(user) and (not room or context.knows_room(room))


def _key(name: str) -> tuple[str, str]:
    user, _, room = name.partition("/")
    return user, room
