"""Requests that only read the state: users, rooms, sanctions, roles."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from heapq import merge
from itertools import groupby

from chatd.hub.state import mutes
from chatd.hub.state.context import Context
from chatd.hub.state.entities import MEMBERS
from chatd.hub.state.names import SortedNames
from chatd.hub.state.rooms import describe
from chatd.proto import requests as rq
from chatd.proto.frames import JsonObject
from chatd.proto.people_requests import Mutes

# A page of a list ends at either limit, so that it fits one frame.
PAGE_ENTRIES = 200
PAGE_BYTES = 48 * 1024
_ENTRY_OVERHEAD = 240
_DEVICE_BYTES = 160  # of one in JSON; names have up to 32 ASCII characters, hashes of keys 64


def rooms(context: Context, request: rq.Rooms) -> JsonObject:
    """List the rooms that the asker is in or may enter: the archived ones, or all others."""

    def entry(name: str) -> JsonObject:
        return describe(context, name) | {
            "joined": context.who.user in context.state.rooms[name].members,
            "invited": context.is_invited(name),
        }

    names = _known_rooms(context, request.after, archived=request.archived)
    return page_of("rooms", names, entry)


def _known_rooms(context: Context, after: str, *, archived: bool) -> Iterator[str]:
    """Yield the rooms that `Context.knows_room` tells of, in order.

    Reads no more than it yields, but for the configured rooms whose settings differ from the room's own flag.
    """
    state, rules = context.state, context.rules
    sources = [state.listed[archived, "guests"].between(after), rules.open_rooms.between(after)]
    if context.allows("room.closed"):
        sources.append(state.listed[archived, "closed"].between(after))
    if context.allows("room.manage"):
        sources.append(state.listed[archived, MEMBERS].between(after))
    if (user := state.users.get(context.who.user)) is not None:
        sources += [user.rooms.between(after, "@"), SortedNames(user.invites).between(after)]
    for name, _ in groupby(merge(*sources)):
        if context.knows_room(name) and state.rooms[name].archived == archived:
            yield name


def who(context: Context, request: rq.Who) -> JsonObject:
    """List a room's members, for its members and for roles with ``user.list``."""
    room = context.roster(request.room)

    def entry(name: str) -> JsonObject:
        state, text = context.presence.state_of(name)
        return {
            "user": name,
            "display": context.state.users[name].display,
            "role": context.rules.role_of(context.state, name),
            "state": state,
            "text": text,
        }

    return {"room": request.room} | page_of("members", room.members.between(request.after), entry)


def whois(context: Context, request: rq.Whois) -> JsonObject:
    """Describe one user.

    Common rooms only, and no bytes written, are told to others than the user and roles with ``user.list``.
    """
    user = context.acquaintance(request.user)
    mine = context.state.users.get(context.who.user)
    told = user.rooms if context.allows("user.list") or mine is None else mine.rooms
    state, text = context.presence.state_of(request.user)
    banned = context.state.bans.get(request.user)
    role = context.rules.role_of(context.state, request.user)
    written = {
        "today": context.written_today(request.user),
        "limit": context.rules.settings.limits.for_role(role).bytes_per_day,
    }
    return {
        "user": request.user,
        "display": user.display,
        "role": role,
        "pinned": context.rules.pinned(request.user),
        "devices": _devices(context, request.user),
        "state": state,
        "text": text,
        "rooms": [room for room in user.rooms.between("", "@") if room in told and context.knows_room(room)],
        "banned": banned is not None and banned.holds(context.now),
        "written": written if mine is user or context.allows("user.list") else None,
        "removed": user.removed,
    } | _more(context, request.user)


def _more(context: Context, user: str) -> JsonObject:
    """Return what only some roles learn of a user."""
    muted = {"muted": mutes.of_user(context, user)} if context.allows("moderate.mute") else {}
    return muted | (_standing(context, user) if context.allows("user.list") else {})


def _standing(context: Context, user: str) -> JsonObject:
    """Return what only roles with ``user.list`` learn: a guest's end and sponsor, open invites."""
    guest, invites = context.state.guests.by_name.get(user), context.state.invites
    invited = invites.open_for(user, context.now)
    return {
        "guest": guest and {"ends": guest.ends, "sponsor": guest.sponsor},
        "invited_until": invited and invited[1].until,
        "invites": invites.count_by(user, context.now),
    }


def _devices(context: Context, user: str) -> list[JsonObject]:
    """Describe a user's devices, those that may log in first."""
    known = context.state.users[user].devices
    ordered = sorted(known.items(), key=lambda item: (not item[1].usable(context.now), item[0]))
    return [
        {
            "device": name,
            "revoked": device.revoked,
            "online": context.presence.sessions_of(user, name)[0] > 0,
            "key": device.key or None,
        }
        for name, device in ordered[:PAGE_ENTRIES]
    ]


def users(context: Context, request: rq.Users) -> JsonObject:
    """List all users; their ``devices`` are listed only to whoever may read presence, as in `whois`."""
    sees = context.allows("presence.read")

    def entry(name: str) -> JsonObject:
        banned = context.state.bans.get(name)
        return {
            "user": name,
            "display": context.state.users[name].display,
            "role": context.rules.role_of(context.state, name),
            "pinned": context.rules.pinned(name),
            "devices": sum(d.usable(context.now) for d in context.state.users[name].devices.values()),
            "state": context.presence.state_of(name)[0] if sees else None,
            "banned": banned is not None and banned.holds(context.now),
            "removed": context.state.users[name].removed,
        } | ({"device_list": _devices(context, name)} if request.devices and sees else {})

    return page_of("users", context.state.user_names.between(request.after), entry)


def bans(context: Context, request: rq.Bans) -> JsonObject:
    """List the bans in force."""

    def entry(name: str) -> JsonObject:
        ban = context.state.bans[name]
        return {"user": name, "until": ban.until, "reason": ban.reason, "by": ban.by, "at": ban.at}

    return page_of("bans", context.state.banned.at(context.now).between(request.after), entry)


def list_mutes(context: Context, request: Mutes) -> JsonObject:
    """List the mutes in force that the asker could end."""
    page = page_of("mutes", mutes.names(context, request.after), lambda name: mutes.describe(context, name))
    last = page["mutes"][-1] if page["mutes"] else None
    return page | {"next": last and f"{last['user']}/{last['room'] or ''}"}


def role_show(context: Context, request: rq.RoleShow) -> JsonObject:
    """Describe the roles and their permissions, or one user's role."""
    if request.user is not None:
        context.acquaintance(request.user)
        role = context.rules.role_of(context.state, request.user)
        return {"user": request.user, "role": role, "pinned": context.rules.pinned(request.user)}
    roles = context.rules.roles
    return {
        "roles": {name: sorted(roles.permissions(name)) for name in sorted(roles.names)},
        "default": context.rules.settings.roles.default,
        # Only roles with ``user.list`` learn who has a pinned role.
        "pinned": context.rules.pinned_roles if context.allows("user.list") else {},
    }


def page_of(key: str, names: Iterable[str], entry: Callable[[str], JsonObject]) -> JsonObject:
    """Return the entries of sorted ``names``, as many as fit one frame. Reads one name more."""
    entries: list[JsonObject] = []
    size = 0
    for name in names:
        item = entry(name)
        # A character takes at most 4 bytes of UTF-8; `visible` has removed what JSON would escape.
        size += _ENTRY_OVERHEAD + sum(4 * len(v) for v in item.values() if isinstance(v, str))
        size += _DEVICE_BYTES * len(item.get("device_list", ()))
        if len(entries) >= PAGE_ENTRIES or size > PAGE_BYTES:
            return {key: entries, "more": True}
        entries.append(item)
    return {key: entries, "more": False}
