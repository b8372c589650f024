"""Put a room's mode, owners and invitations into words. All functions are pure."""

from __future__ import annotations

from collections.abc import Iterable

from chatd.proto import events as ev
from chatd.proto.text import dm_members, visible

MODES = {
    "members": "entered by invitation",
    "read-only": "only its owners write",
}
# Rooms that a sentence names.
NAMED_ROOMS = 3
NEW_MEMBERS_READ = "members read what follows their joining"


def rules(mode: str, history: str) -> list[str]:
    """What is special about a room; empty for an open one with its whole history."""
    special = [] if mode == "open" else [MODES.get(mode, _safe(mode))]
    return special + ([NEW_MEMBERS_READ] if history == "since_join" else [])


def invited(room: str) -> str:
    """Tell a user of an invitation."""
    return f"you are invited to {_safe(room)}: /join {_safe(room)}"


def left_without_choice(others: Iterable[str]) -> str:
    """Tell a user whose room has ended, or who was removed from it, how to go on."""
    rooms = sorted(others)
    if not rooms:
        return "you are in no room now; /join ROOM goes on elsewhere"
    listed = ", ".join(map(_safe, rooms[:NAMED_ROOMS])) + (" and others" if len(rooms) > NAMED_ROOMS else "")
    return f"you are still in {listed}; /join {_safe(rooms[0])} goes on there"


def describe(event: ev.RoomModeSet | ev.OwnerSet | ev.Invited | ev.Uninvited) -> str:
    """A sentence about an event."""
    by, room = _safe(event.author), _safe(event.room)
    match event:
        case ev.RoomModeSet():
            if event.mode == "read-only":
                return f"in {room} only its owners write now, says {by}"
            return f"{room} is {MODES.get(event.mode, _safe(event.mode))} now, says {by}"
        case ev.OwnerSet():
            return _owner(event)
        case ev.Invited():
            return f"{by} invited {_safe(event.user)} to {room}"
    if event.by == event.user:
        return f"{by} declined the invitation to {room}"
    return f"{by} withdrew the invitation of {_safe(event.user)} to {room}"


def _owner(event: ev.OwnerSet) -> str:
    by, user, room = (_safe(text) for text in (event.author, event.user, event.room))
    if event.on and event.by == event.user:
        return f"{by} took over {room} as an owner"
    if event.on:
        return f"{by} made {user} an owner of {room}"
    return (
        f"{user} no longer owns {room}"
        if event.by == event.user
        else f"{by} removed {user} as an owner of {room}"
    )


def why_removed(event: ev.Parted) -> str:
    """Return a sentence that names the remover and the reason; "" if the user left by themselves."""
    if event.by == event.user:
        return ""
    why = f": {_safe(event.reason)}" if event.reason else ""
    return f"you were removed from {place(event.room)} by {_safe(event.author)}{why}"


def place(room: str) -> str:
    """Name a room or group; a person may be in several groups."""
    members = dm_members(room)
    return f"the group of {', '.join(members)}" if members and len(members) > 2 else _safe(room)


def _safe(text: str) -> str:
    return visible(text, newlines=False)
