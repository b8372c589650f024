"""The rooms that users are removed from, and what the asker is told of them."""

from __future__ import annotations

from chatd.hub.state.context import Context
from chatd.hub.state.entities import OPEN
from chatd.hub.state.model import SERVER
from chatd.proto.frames import JsonObject
from chatd.proto.text import is_group

# Names in an answer, which has to fit a frame. A person reads fewer.
ROOMS_TOLD = 100


def put_out_unentitled(context: Context, users: list[str]) -> None:
    """Remove users from rooms that their role may not be in (after a role change or reload)."""
    for user in users:
        for name in unentitled(context, user, context.rules.role_of(context.state, user)):
            leave(context, user, name, by=SERVER, reason="closed to guests")


def unentitled(context: Context, user: str, role: str) -> list[str]:
    """Return the rooms and groups of a user that ``role`` may not be in."""
    return [
        name for name in all_of(context, user) if not context.rules.admits_role(context.state, role, name)
    ]


def all_of(context: Context, user: str) -> list[str]:
    """Return a user's rooms and groups. Conversations of two cannot be left."""
    rooms = context.state.users[user].rooms
    return [*rooms.between("", "@"), *(name for name in rooms.between("@") if is_group(name))]


def told(context: Context, user: str, names: list[str]) -> JsonObject:
    """Describe what a user is removed from: the rooms that the asker may know of, and the number of groups.

    ``ownerless``: those of the rooms in which the user is the last owner who is needed.
    """
    known = [name for name in names if not name.startswith("@") and context.knows_room(name)]
    rooms = context.state.rooms
    ownerless = [name for name in known if rooms[name].mode != OPEN and rooms[name].owners == {user}]
    return {
        "rooms": known[:ROOMS_TOLD],
        "more_rooms": max(0, len(known) - ROOMS_TOLD),
        "groups": sum(name.startswith("@") for name in names),
        "ownerless": ownerless[:ROOMS_TOLD],
    }


def leave(context: Context, user: str, name: str, *, by: str, reason: str = "") -> None:
    """Remove a user from a room. Automatic joins remember it for the rooms in the settings only."""
    remember = name in context.rules.rooms
    context.emit("parted", room=name, user=user, by=by, reason=reason, remember=remember)


def leave_all(context: Context, user: str, *, by: str, reason: str) -> None:
    """Remove a user from all rooms and groups."""
    for name in all_of(context, user):
        leave(context, user, name, by=by, reason=reason)
