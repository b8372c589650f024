"""Questions about users, rooms and sanctions. Nothing here makes anything happen."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from chatd.hub.state.context import Turn
from chatd.hub.state.rooms import describe
from chatd.proto import requests as rq
from chatd.proto.frames import MAP_LIMIT, JsonObject

# One page of a list ends at either of these, so that it surely fits one frame.
PAGE_ENTRIES = 200
PAGE_BYTES = 48 * 1024
_ENTRY_OVERHEAD = 160


def rooms(turn: Turn, request: rq.Rooms) -> JsonObject:
    """Rooms the asker is in or may enter; the rest is not even named."""

    def entry(name: str) -> JsonObject:
        return describe(turn, name) | {"joined": turn.who.user in turn.state.rooms[name].members}

    names = (
        name
        for name, room in turn.state.rooms.items()
        if name[0] == "#"
        and (
            turn.who.operator
            or turn.who.user in room.members
            or turn.rules.may_enter(turn.state, turn.who.user, name)
        )
    )
    return _page("rooms", names, request.after, entry)


def who(turn: Turn, request: rq.Who) -> JsonObject:
    """The members of a room, for its members and for those who moderate."""
    room = turn.room(request.room) if turn.allows("user.list") else turn.member(request.room)

    def entry(name: str) -> JsonObject:
        state, text = turn.presence.state_of(name)
        return {"user": name, "role": turn.rules.role_of(turn.state, name), "state": state, "text": text}

    return {"room": request.room} | _page("members", room.members, request.after, entry)


def whois(turn: Turn, request: rq.Whois) -> JsonObject:
    """One user, as far as the asker shares a room with them (everything for those who list users)."""
    user = turn.acquaintance(request.user)
    mine = turn.state.users.get(turn.who.user)
    told = user.rooms if turn.allows("user.list") or mine is None else user.rooms & mine.rooms
    state, text = turn.presence.state_of(request.user)
    banned = turn.state.bans.get(request.user)
    return {
        "user": request.user,
        "role": turn.rules.role_of(turn.state, request.user),
        "pinned": turn.rules.pinned(request.user),
        "devices": [
            {
                "device": name,
                "revoked": device.revoked,
                "online": turn.presence.sessions_of(request.user, name)[0] > 0,
            }
            for name, device in sorted(user.devices.items())[:PAGE_ENTRIES]
        ],
        "state": state,
        "text": text,
        "rooms": [r for r in sorted(told) if r[0] == "#"],
        "banned": banned is not None and banned.holds(turn.now),
    }


def users(turn: Turn, request: rq.Users) -> JsonObject:
    """Every user."""
    sees = turn.allows("presence.read")

    def entry(name: str) -> JsonObject:
        banned = turn.state.bans.get(name)
        return {
            "user": name,
            "role": turn.rules.role_of(turn.state, name),
            "pinned": turn.rules.pinned(name),
            "devices": sum(not d.revoked for d in turn.state.users[name].devices.values()),
            "state": turn.presence.state_of(name)[0] if sees else None,
            "banned": banned is not None and banned.holds(turn.now),
        }

    return _page("users", turn.state.users, request.after, entry)


def bans(turn: Turn, request: rq.Bans) -> JsonObject:
    """The bans in force now."""

    def entry(name: str) -> JsonObject:
        ban = turn.state.bans[name]
        return {"user": name, "until": ban.until, "reason": ban.reason, "by": ban.by, "at": ban.at}

    holding = (name for name, ban in turn.state.bans.items() if ban.holds(turn.now))
    return _page("bans", holding, request.after, entry)


def role_show(turn: Turn, request: rq.RoleShow) -> JsonObject:
    """The roles and what they may do, or one user's role."""
    if request.user is not None:
        turn.acquaintance(request.user)
        role = turn.rules.role_of(turn.state, request.user)
        return {"user": request.user, "role": role, "pinned": turn.rules.pinned(request.user)}
    roles = turn.rules.roles
    # Who the admins are is told to those who list users; a frame's map holds no more than this.
    pinned = sorted(turn.rules.settings.roles.assigned.items())[:MAP_LIMIT]
    return {
        "roles": {name: sorted(roles.permissions(name)) for name in sorted(roles.names)},
        "default": turn.rules.settings.roles.default,
        "pinned": dict(pinned) if turn.allows("user.list") else {},
    }


def _page(key: str, names: Iterable[str], after: str, entry: Callable[[str], JsonObject]) -> JsonObject:
    """Entries for the names after ``after``, in order, as many as surely fit one frame."""
    entries: list[JsonObject] = []
    size = 0
    for name in sorted(n for n in names if n > after):
        item = entry(name)
        # A character takes at most 4 bytes of UTF-8; `visible` has removed what JSON would escape.
        size += _ENTRY_OVERHEAD + sum(4 * len(v) for v in item.values() if isinstance(v, str))
        if len(entries) >= PAGE_ENTRIES or size > PAGE_BYTES:
            return {key: entries, "more": True}
        entries.append(item)
    return {key: entries, "more": False}
