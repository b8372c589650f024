"""Say what a user is removed from, and what leaving a room ends. All functions are pure."""

from __future__ import annotations

from typing import Any

from chatd.proto.frames import JsonObject
from chatd.proto.text import visible

# What `losses` has to know of a group: everybody comes back to it, and reads what follows.
GROUP: JsonObject = {"history": "since_join"}
# Rooms that a sentence names; --json has up to 100.
NAMED = 8


def removals(result: JsonObject) -> str:
    """Return "removed from #ops and 2 groups; #team has no owner then"; "" if the user stays everywhere."""
    rooms, more = _names(result.get("rooms")), _number(result.get("more_rooms"))
    more += max(0, len(rooms) - NAMED)
    parts = [*rooms[:NAMED], *_counted(more, "more room"), *_counted(_number(result.get("groups")), "group")]
    if not parts:
        return ""
    would = "would be " if result.get("dry_run") is True else ""
    return f"{would}removed from {_listed(parts)}{ownerless(result)}"


def ownerless(result: JsonObject) -> str:
    """Return "; #team has no owner then", with how to give it one; "" for none."""
    rooms = _names(result.get("ownerless"))
    if not rooms:
        return ""
    have = "has" if len(rooms) == 1 else "have"
    then = "then" if result.get("dry_run") is True else "now"
    fix = f"chatctl room owner {rooms[0].removeprefix('#')} NAME"
    return f"; {_listed(rooms[:NAMED])} {have} no owner {then}: {fix}"


def losses(info: JsonObject, me: str) -> str:
    """Return what ``me`` cannot get back by joining again, from a result of `room_info`; "" for nothing.

    Of a group, ``info`` is `GROUP`.
    """
    owners, members, mode = _names(info.get("owners")), _number(info.get("members")), info.get("mode")
    last = owners == [me]
    if last and members > 1 and mode != "open":
        return ""  # the server refuses, and says what to do
    found = []
    if info.get("archived") is True:
        found.append("nobody enters an archived room")
    elif mode == "members" and members > 1:
        found.append("only an invitation brings you back")
    elif mode == "members":
        found.append("you are its last member, so nobody can invite you back")
    if info.get("history") == "since_join" and info.get("archived") is not True:
        found.append("if you come back, you cannot read anything from before, your own messages included")
    if last:
        found.append(
            "nobody owns it then" + ("; /owner NAME makes another owner first" if members > 1 else "")
        )
    return ", and ".join(found)


def _listed(parts: list[str]) -> str:
    return " and ".join(filter(None, (", ".join(parts[:-1]), parts[-1])))


def _counted(number: int, what: str) -> list[str]:
    return [f"{number} {what}{'s' * (number != 1)}"] if number else []


def _number(value: Any) -> int:
    return value if isinstance(value, int) else 0


def _names(value: Any) -> list[str]:
    return [visible(str(one), newlines=False) for one in value] if isinstance(value, list) else []
