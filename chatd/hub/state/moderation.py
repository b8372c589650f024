"""Moderation and user administration: kick, ban, mute, roles, revocation, registration."""

from __future__ import annotations

from chatd.errors import ChatdError
from chatd.hub.state import guests, leaving, rooms
from chatd.hub.state.context import Context
from chatd.hub.state.model import MUTES_LIMIT, User
from chatd.hub.state.mutes import replaced
from chatd.proto import requests as rq
from chatd.proto.frames import JsonObject
from chatd.proto.text import check_new_name, visible

# Bound what an operator's script can add to the state.
USERS_LIMIT = 100_000
# Devices that may log in.
DEVICES_LIMIT = 50
# With the revoked and expired ones, whose names are not used again: a new device each day for a decade.
REGISTRATIONS_LIMIT = 4_000

_ANOTHER_ADMIN = "ask another admin, or make one on the server's box: chatd user add NAME --role admin"


def kick(context: Context, request: rq.Kick) -> JsonObject:
    """Remove a user from one room, or end their sessions for ``limits.kick_seconds``."""
    _refuse_protected(context, request.user)
    reason = visible(request.reason, newlines=False)
    if request.room is not None:
        return _kick_from_room(context, request, reason)
    until = context.now + context.rules.settings.limits.kick_seconds * 1000
    result = _reach(context, request.user, dry_run=request.dry_run) | {"until": until}
    if not request.dry_run:
        context.emit("kicked", user=request.user, until=until, reason=reason, by=context.who.user)
    return result


def _kick_from_room(context: Context, request: rq.Kick, reason: str) -> JsonObject:
    name = request.room or ""
    room = context.roster(name)
    if request.user not in room.members or name.startswith("@"):
        raise ChatdError("E410", f"{request.user} is not in {name}", "see /who or chatctl who ROOM")
    left = leaving.told(context, request.user, [name])
    if not request.dry_run:
        leaving.leave(context, request.user, name, by=context.who.user, reason=reason)
    result = {"user": request.user, "sessions": 0, "workers": 0, "dry_run": request.dry_run, "until": None}
    return result | {"ownerless": left["ownerless"]}


def ban(context: Context, request: rq.Ban) -> JsonObject:
    """End a user's sessions and refuse new ones until the ban ends."""
    _refuse_protected(context, request.user)
    until = context.now + request.seconds * 1000 if request.seconds else None
    result = _reach(context, request.user, dry_run=request.dry_run) | {"until": until}
    result["replaced"] = replaced(context, context.state.bans.get(request.user))
    if not request.dry_run:
        reason = visible(request.reason, newlines=False)
        context.emit("banned", user=request.user, until=until, reason=reason, by=context.who.user)
    return result


def unban(context: Context, request: rq.Unban) -> JsonObject:
    """End a ban or the time after a kick."""
    ban, kick = context.state.bans.get(request.user), context.state.kicks.get(request.user)
    if ban is None or not ban.holds(context.now):
        # Whoever may end bans may list them, but nobody lists kicks.
        context.acquaintance(request.user)
        if kick is None or not kick.holds(context.now):
            raise ChatdError("E410", f"{request.user} is not banned", "see /bans or chatctl bans")
    reason = visible(request.reason, newlines=False)
    context.emit("unbanned", user=request.user, reason=reason, by=context.who.user)
    return {}


def mute(context: Context, request: rq.Mute) -> JsonObject:
    """Refuse a user's messages, in one room or everywhere."""
    _refuse_protected(context, request.user)
    if request.room is not None:
        context.room(request.room)
    _refuse_too_many_mutes(context)
    until = context.now + request.seconds * 1000 if request.seconds else None
    former = replaced(context, context.state.mutes.get((request.user, request.room or "")))
    if not request.dry_run:
        reason = visible(request.reason, newlines=False)
        context.emit(
            "muted", user=request.user, room=request.room, until=until, reason=reason, by=context.who.user
        )
    return {"dry_run": request.dry_run, "until": until, "replaced": former}


def unmute(context: Context, request: rq.Unmute) -> JsonObject:
    """End a mute."""
    context.acquaintance(request.user)
    if request.user == context.who.user:
        raise ChatdError("E304", "you cannot end your own mute", _ANOTHER_ADMIN)
    known = request.room is None or context.knows_room(request.room)
    sanction = context.state.mutes.get((request.user, request.room or "")) if known else None
    if sanction is None or not sanction.holds(context.now):
        where = f"in {request.room}" if request.room else "everywhere"
        fix = "a mute in one room and one everywhere end separately, see /mutes or chatctl mutes"
        raise ChatdError("E410", f"{request.user} is not muted {where}", fix)
    reason = visible(request.reason, newlines=False)
    context.emit("unmuted", user=request.user, room=request.room, reason=reason, by=context.who.user)
    return {}


def role_set(context: Context, request: rq.RoleSet) -> JsonObject:
    """Set a user's role; the user leaves rooms that it may not be in."""
    context.acquaintance(request.user)
    if context.state.users[request.user].bot:
        raise ChatdError("E304", f"{request.user} is a bot, and its role does not change")
    if context.rules.pinned(request.user):
        fix = f"edit it there, then: chatd reload, or end a stolen identity: {_on_the_box(request.user)}"
        raise ChatdError("E305", f"the role of {request.user} is fixed in config/settings.json", fix)
    if request.role not in context.rules.roles.names:
        known = ", ".join(sorted(context.rules.roles.names))
        raise ChatdError("E403", f"there is no role {request.role!r}", f"choose one of: {known}")
    if request.user == context.who.user:
        raise ChatdError("E304", "you cannot change your own role", _ANOTHER_ADMIN)
    refuse_more(context, context.rules.role_of(context.state, request.user), request.role)
    lost = leaving.unentitled(context, request.user, request.role)
    result = {"user": request.user, "role": request.role, "dry_run": request.dry_run}
    result |= leaving.told(context, request.user, lost)
    if not request.dry_run:
        reason = visible(request.reason, newlines=False)
        context.emit("role_set", user=request.user, role=request.role, reason=reason, by=context.who.user)
        leaving.put_out_unentitled(context, [request.user])
    return result


def revoke(context: Context, request: rq.Revoke) -> JsonObject:
    """Revoke a device for good and end its sessions."""
    device = context.acquaintance(request.user).devices.get(request.device)
    if device is None:
        raise ChatdError("E412", f"{request.user} has no device {request.device!r}")
    if device.revoked:
        raise ChatdError(
            "E410",
            f"{request.user}/{request.device} is already revoked",
            "for the others, see: chatctl whois NAME",
        )
    refuse_more(context, context.rules.role_of(context.state, request.user))
    _refuse_last(context, request)
    _refuse_last_of_pinned(context, request)
    result = _reach(context, request.user, request.device, dry_run=request.dry_run)
    result["invites"] = context.state.invites.count_by(request.user, context.now)
    if not request.dry_run:
        reason = visible(request.reason, newlines=False)
        context.emit(
            "device_revoked", user=request.user, device=request.device, reason=reason, by=context.who.user
        )
    return result | {"device": request.device, "serial": device.serial, "until": None}


def user_add(context: Context, request: rq.UserAdd) -> JsonObject:
    """Register a device's certificate. The first one creates the user."""
    known = context.state.users.get(request.user)
    user = request.user if known else check_new_name(request.user, "user")
    device = check_new_name(request.device, "device")
    refuse_unregistrable(context, user, device, request.role)
    ends = request.guest_seconds and context.now + request.guest_seconds * 1000
    sponsor = request.sponsor or context.who.user
    if ends is not None:
        guests.refuse_sponsor(context, sponsor, user, ends)
    if request.dry_run:
        return {"user": user, "device": device, "dry_run": True}
    register(
        context,
        user,
        device,
        request.serial,
        role=request.role,
        ends=request.ends,
        by=context.who.user,
        **({"key": request.key} if request.key else {}),
    )
    guests.welcome(context, user, ends, sponsor, by=context.who.user)
    return {"user": user, "device": device, "role": context.rules.role_of(context.state, user)}


def register(
    context: Context,
    user: str,
    device: str,
    serial: str,
    *,
    role: str | None,
    ends: int | None,
    by: str,
    **origin: int | str,
) -> None:
    """Register a device that `refuse_unregistrable` has let pass.

    ``origin``: the ``key`` (its SHA-256 in hex), and of a certificate from an invite, when it was ``issued``
    and the identifier of the ``invite``.
    """
    known = context.state.users.get(user)
    if known is None:
        context.emit("user_added", user=user, role=role, by=by)
    elif role is not None and role != known.role:
        context.emit("role_set", user=user, role=role, reason="", by=by)
        leaving.put_out_unentitled(context, [user])
    more = {} if ends is None else {"ends": ends}
    context.emit("device_added", user=user, device=device, serial=serial, by=by, **more, **origin)
    rooms.auto_join(context, user)


def refuse_unregistrable(context: Context, user: str, device: str, role: str | None) -> None:
    """Refuse a device, or the role of its user, that cannot be registered. Raises E305, E403, E406, E409."""
    known = context.state.users.get(user)
    if role is not None and role not in context.rules.roles.names:
        names = ", ".join(sorted(context.rules.roles.names))
        raise ChatdError("E403", f"there is no role {role!r}", f"choose one of: {names}")
    pinned = context.rules.settings.roles.assigned.get(user)
    if role is not None and pinned is not None and pinned != role:
        raise ChatdError("E305", f"the role of {user} is fixed to {pinned} in config/settings.json")
    if known is not None and known.bot:
        raise ChatdError("E406", f"{user} is the name of a bot", "choose another name")
    if known is not None and device in known.devices:
        raise ChatdError(
            "E406",
            f"{user} has a device {device!r} already",
            "choose another name for the device; that of a revoked one is not used again",
        )
    if known is None and len(context.state.users) >= USERS_LIMIT:
        raise ChatdError(
            "E409", f"there are {USERS_LIMIT} users, the most there may be", "use an existing one"
        )
    if known is not None:
        _refuse_too_many_devices(context, user, known)


def _refuse_too_many_devices(context: Context, name: str, user: User) -> None:
    usable = sum(device.usable(context.now) for device in user.devices.values())
    if usable >= DEVICES_LIMIT:
        reason = f"{name} has {usable} devices, the most there may be"
        raise ChatdError("E409", reason, f"revoke one that is not used: chatctl revoke {name}/DEVICE")
    if len(user.devices) >= REGISTRATIONS_LIMIT:
        reason = f"{name} has had {len(user.devices)} devices, the most there may be"
        raise ChatdError("E409", reason, "add the device to another user")


def _refuse_protected(context: Context, name: str) -> None:
    """Refuse sanctions against oneself, against moderators, and against users who were removed."""
    refuse_removed(name, context.acquaintance(name))
    if name == context.who.user:
        raise ChatdError("E304", "you cannot do this to yourself", _ANOTHER_ADMIN)
    if not context.who.operator and context.allows("moderate.ban", name):
        fix = f"take the role away first: chatctl role set {name} ROLE"
        if context.rules.pinned(name):
            fix = "ask an admin to change that role in config/settings.json first"
        stolen = f"chatctl revoke {name} (on the server's box: {_on_the_box(name)})"
        reason = f"{name} moderates this server too"
        raise ChatdError("E304", reason, f"{fix}, or end a stolen identity for good: {stolen}")


def refuse_removed(name: str, user: User) -> None:
    """Raise E410 for a removed user, of whom nothing is left to end or to refuse."""
    if user.removed:
        raise ChatdError("E410", f"the user {name} was removed before", "see: chatctl user show NAME")


def _refuse_too_many_mutes(context: Context) -> None:
    mutes = context.state.mutes
    if len(mutes) >= MUTES_LIMIT and sum(m.holds(context.now) for m in mutes.values()) >= MUTES_LIMIT:
        raise ChatdError("E409", f"there are {MUTES_LIMIT} mutes, the most there may be", "end one first")


def refuse_more(context: Context, *roles: str) -> None:
    """Refuse to give, take or revoke a role that may do more than the asker's."""
    permissions = context.rules.roles.permissions
    for role in roles:
        if not context.who.operator and not permissions(role) <= permissions(context.role):
            raise ChatdError("E304", f"the role {role} may do more than yours", "ask an admin")


def _refuse_last(context: Context, request: rq.Revoke) -> None:
    """Refuse to revoke the device in use if nobody else could then do all that the asker can."""
    used = (context.who.user, context.who.device)
    if context.who.operator or (request.user, request.device) != used:
        return
    mine = context.rules.roles.permissions(context.role)
    for name, user in context.state.users.items():
        role, ban = context.rules.role_of(context.state, name), context.state.bans.get(name)
        if not context.rules.roles.permissions(role) >= mine or (ban is not None and ban.holds(context.now)):
            continue
        if any(one.usable(context.now) and (name, device) != used for device, one in user.devices.items()):
            return
    raise ChatdError(
        "E304",
        f"nobody else can log in with the role {context.role}",
        f"first add a device on the server's box: chatd user add {request.user} --device NEW",
    )


def _refuse_last_of_pinned(context: Context, request: rq.Revoke) -> None:
    """Refuse to lock out an equal whose role the settings fix: a stolen identity of another could do it."""
    name = request.user
    if context.who.operator or name == context.who.user or not context.rules.pinned(name):
        return
    permissions = context.rules.roles.permissions
    if not permissions(context.role) <= permissions(context.rules.role_of(context.state, name)):
        return
    devices = context.state.users[name].devices.items()
    if not any(one.usable(context.now) for device, one in devices if device != request.device):
        raise ChatdError(
            "E305",
            f"this is the last device of {name}, whose role is fixed in config/settings.json",
            f"if it is stolen, run on the server's box: {_on_the_box(name)}",
        )


def _on_the_box(name: str) -> str:
    return f"chatd user revoke {name}"


def _reach(context: Context, user: str, device: str | None = None, *, dry_run: bool) -> JsonObject:
    sessions, workers = context.presence.sessions_of(user, device)
    return {"user": user, "sessions": sessions, "workers": workers, "dry_run": dry_run}
