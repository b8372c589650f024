"""Requests that only read the state: users, rooms, sanctions, roles."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from chatd.hub.state.context import Context
from chatd.hub.state.rooms import describe
from chatd.proto import requests as rq
from chatd.proto.frames import MAP_LIMIT, JsonObject

# A page of a list ends at either limit, so that it fits one frame.
PAGE_ENTRIES = 200
PAGE_BYTES = 48 * 1024
_ENTRY_OVERHEAD = 160


def rooms(context: Context, request: rq.Rooms) -> JsonObject:
    """List the rooms that the asker is in or may enter."""

    def entry(name: str) -> JsonObject:
        return describe(context, name) | {"joined": context.who.user in context.state.rooms[name].members}

    names = (
        name
        for name, room in context.state.rooms.items()
        if name[0] == "#"
        and (
            context.who.operator
            or context.who.user in room.members
            or context.rules.may_enter(context.state, context.who.user, name)
        )
    )
    return _page("rooms", names, request.after, entry)


def who(context: Context, request: rq.Who) -> JsonObject:
    """List a room's members, for its members and for roles with ``user.list``."""
    room = context.roster(request.room)

    def entry(name: str) -> JsonObject:
        state, text = context.presence.state_of(name)
        return {
            "user": name,
            "role": context.rules.role_of(context.state, name),
            "state": state,
            "text": text,
        }

    return {"room": request.room} | _page("members", room.members, request.after, entry)


def whois(context: Context, request: rq.Whois) -> JsonObject:
    """Describe one user.

    Common rooms only, and no bytes written, are told to others than the user and roles with ``user.list``.
    """
    user = context.acquaintance(request.user)
    mine = context.state.users.get(context.who.user)
    told = user.rooms if context.allows("user.list") or mine is None else user.rooms & mine.rooms
    state, text = context.presence.state_of(request.user)
    banned = context.state.bans.get(request.user)
    role = context.rules.role_of(context.state, request.user)
    written = {
        "today": context.written_today(request.user),
        "limit": context.rules.settings.limits.for_role(role).bytes_per_day,
    }
    return {
        "user": request.user,
        "role": role,
        "pinned": context.rules.pinned(request.user),
        "devices": [
            {
                "device": name,
                "revoked": device.revoked,
                "online": context.presence.sessions_of(request.user, name)[0] > 0,
            }
            for name, device in sorted(
                user.devices.items(), key=lambda item: (not item[1].usable(context.now), item[0])
            )[:PAGE_ENTRIES]
        ],
        "state": state,
        "text": text,
        "rooms": [r for r in sorted(told) if r[0] == "#"],
        "banned": banned is not None and banned.holds(context.now),
        "written": written if mine is user or context.allows("user.list") else None,
    }


def users(context: Context, request: rq.Users) -> JsonObject:
    """List all users."""
    sees = context.allows("presence.read")

    def entry(name: str) -> JsonObject:
        banned = context.state.bans.get(name)
        return {
            "user": name,
            "role": context.rules.role_of(context.state, name),
            "pinned": context.rules.pinned(name),
            "devices": sum(d.usable(context.now) for d in context.state.users[name].devices.values()),
            "state": context.presence.state_of(name)[0] if sees else None,
            "banned": banned is not None and banned.holds(context.now),
        }

    return _page("users", context.state.users, request.after, entry)


def bans(context: Context, request: rq.Bans) -> JsonObject:
    """List the bans in force."""

    def entry(name: str) -> JsonObject:
        ban = context.state.bans[name]
        return {"user": name, "until": ban.until, "reason": ban.reason, "by": ban.by, "at": ban.at}

    holding = (name for name, ban in context.state.bans.items() if ban.holds(context.now))
    return _page("bans", holding, request.after, entry)


def role_show(context: Context, request: rq.RoleShow) -> JsonObject:
    """Describe the roles and their permissions, or one user's role."""
    if request.user is not None:
        context.acquaintance(request.user)
        role = context.rules.role_of(context.state, request.user)
        return {"user": request.user, "role": role, "pinned": context.rules.pinned(request.user)}
    roles = context.rules.roles
    # Only roles with ``user.list`` learn who has a pinned role. A frame's map has a size limit.
    pinned = sorted(context.rules.settings.roles.assigned.items())[:MAP_LIMIT]
    return {
        "roles": {name: sorted(roles.permissions(name)) for name in sorted(roles.names)},
        "default": context.rules.settings.roles.default,
        "pinned": dict(pinned) if context.allows("user.list") else {},
    }


def _page(key: str, names: Iterable[str], after: str, entry: Callable[[str], JsonObject]) -> JsonObject:
    """Return the sorted entries after ``after``, as many as fit one frame."""
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
