"""Who enters a room and who owns it: its mode, invitations, owners, and the removal of a member."""

from __future__ import annotations

from chatd.errors import ChatdError
from chatd.hub.state import leaving, rooms
from chatd.hub.state.context import Context
from chatd.hub.state.entities import DAY_MS, MEMBERS, OPEN
from chatd.hub.state.model import Room
from chatd.proto import room_requests as rq
from chatd.proto.frames import JsonObject
from chatd.proto.text import visible

# An invitation is for a person who is expected; one that nobody took within this time ends.
INVITE_DAYS = 14
_NOTHING = "there is nothing to do"
# Invitations that have not ended: of one room, and to one user.
INVITES_PER_ROOM = 100
INVITES_PER_USER = 50
# Owners in one answer.
OWNERS_SHOWN = 100


def mode(context: Context, request: rq.RoomMode) -> JsonObject:
    """Set a room's mode; its members stay. Raises E404, E311, E308.

    Invitations to an open room end, since any member may have made them.
    """
    room = context.owned(request.room)
    if request.mode == MEMBERS and request.room in context.rules.rooms:
        raise ChatdError("E308", f"{request.room} is a room of config/settings.json, so it stays open")
    ends = _pending(context, request.room, room) if request.mode != room.mode == OPEN else []
    if request.mode != room.mode and not request.dry_run:
        for user in ends:
            context.emit("uninvited", room=request.room, user=user, by=context.who.user)
        context.emit("room_mode", room=request.room, mode=request.mode, by=context.who.user)
    result = {"mode": request.mode, "dry_run": request.dry_run, "invitations_ended": len(ends)}
    return rooms.describe(context, request.room) | result


def info(context: Context, request: rq.RoomInfo) -> JsonObject:
    """Describe a room. Members and admins are told its owners, whoever may invite is told who is invited."""
    room = context.room(request.room)
    me = context.who.user
    result = rooms.describe(context, request.room) | {
        "joined": me in room.members,
        "invited": context.is_invited(request.room),
        "reads_after": room.begin(me) if me in room.members else None,
        "owners": None,
        "invitations": None,
    }
    if me in room.members or context.allows("room.manage"):
        result["owners"] = sorted(room.owners)[:OWNERS_SHOWN]
    if _may_invite(context, room):
        result["invitations"] = _pending(context, request.room, room)
    return result


def invite(context: Context, request: rq.RoomInvite) -> JsonObject:
    """Invite a user; inviting again prolongs the invitation.

    Raises E404, E301, E311, E307, E302, E405, E410, E303, E409.
    """
    room = _inviting(context, request.room)
    context.refuse_archived(request.room)
    context.refuse_muted(request.room)
    known = context.acquaintance(request.user)
    if request.user in room.members:
        raise ChatdError("E410", f"{request.user} is in {request.room} already", _NOTHING)
    if not context.rules.may_enter(context.state, request.user, request.room):
        raise ChatdError("E303", f"{request.room} is closed to the role of {request.user}")
    if not context.is_invited(request.room, request.user):
        if len(_pending(context, request.room, room)) >= INVITES_PER_ROOM:
            raise _too_many(request.room, INVITES_PER_ROOM)
        if sum(until > context.now for until in known.invites.values()) >= INVITES_PER_USER:
            raise _too_many(request.user, INVITES_PER_USER)
    until = context.now + INVITE_DAYS * DAY_MS
    context.emit("invited", room=request.room, user=request.user, until=until, by=context.who.user)
    return {"room": request.room, "user": request.user, "until": until}


def uninvite(context: Context, request: rq.RoomUninvite) -> JsonObject:
    """Withdraw an invitation, or decline one's own. Raises E404, E301, E311, E410."""
    if request.user == context.who.user:
        context.room(request.room)
    else:
        _inviting(context, request.room)
    if not context.is_invited(request.room, request.user):
        raise ChatdError("E410", f"{request.user} is not invited to {request.room}", _NOTHING)
    context.emit("uninvited", room=request.room, user=request.user, by=context.who.user)
    return {"room": request.room, "user": request.user}


def owner(context: Context, request: rq.Owner) -> JsonObject:
    """Make a member an owner, or undo that. An admin who is not in the room enters it as an owner.

    Raises E404, E311, E410, E314.
    """
    room = context.owned(request.room)
    if not request.on:
        if request.user not in room.owners:
            raise ChatdError("E410", f"{request.user} does not own {request.room}", _NOTHING)
        rooms.refuse_last_owner(request.room, room, request.user)
        _set_owner(context, request)
    elif request.user not in room.owners:
        if request.user not in room.members:
            _take_over(context, request)
        _set_owner(context, request)
    return {"room": request.room, "user": request.user, "on": request.on}


def member_remove(context: Context, request: rq.MemberRemove) -> JsonObject:
    """Remove a member from a room. Raises E404, E311, E410, E304; E302, E400 for the reason."""
    room = context.owned(request.room)
    if request.user not in room.members:
        raise ChatdError("E410", f"{request.user} is not in {request.room}", "see /who or chatctl who ROOM")
    if request.user == context.who.user:
        raise ChatdError("E304", "you cannot remove yourself", "leave the room: /part")
    if request.user in room.owners:
        fix = f"end that first: /owner {request.user} --remove"
        raise ChatdError("E304", f"{request.user} owns {request.room} too", fix)
    if request.reason:
        context.refuse_reason(request.room, request.reason)
    if not request.dry_run:
        reason = visible(request.reason, newlines=False)
        leaving.leave(context, request.user, request.room, by=context.who.user, reason=reason)
    return {"room": request.room, "user": request.user, "dry_run": request.dry_run}


def pending_of(context: Context) -> list[str]:
    """Return the rooms to which the asker has an invitation."""
    user = context.state.users[context.who.user]
    return [name for name in sorted(user.invites) if context.is_invited(name) and context.knows_room(name)]


def _may_invite(context: Context, room: Room) -> bool:
    """Whether the asker invites: an owner, and in an open room every member.

    Not an admin as such: who is in a members room without having been invited has to be seen by the others.
    """
    return context.who.user in (room.members if room.mode == OPEN else room.owners)


def _inviting(context: Context, name: str) -> Room:
    """Return a room whose invitations the asker makes. Raises E404, E301, E311."""
    room = context.member(name)
    if name.startswith("@"):
        raise ChatdError("E404", "nobody is invited to a direct conversation", "begin another one: /group")
    if not _may_invite(context, room):
        raise ChatdError("E311", f"only the owners of {name} may do this")
    return room


def _pending(context: Context, name: str, room: Room) -> list[str]:
    return sorted(user for user in room.invited if context.is_invited(name, user))


def _too_many(whose: str, limit: int) -> ChatdError:
    return ChatdError("E409", f"{whose} has {limit} invitations, the most there may be", "withdraw one first")


def _take_over(context: Context, request: rq.Owner) -> None:
    """Let an admin enter a room as its owner, which its members see and the audit keeps."""
    if request.user != context.who.user:
        fix = f"invite them first: /invite {request.user}"
        raise ChatdError("E410", f"{request.user} is not in {request.room}", fix)
    context.refuse_archived(request.room)
    rooms.refuse_too_many(context)
    rooms.enter(context, request.user, request.room, by=request.user)


def _set_owner(context: Context, request: rq.Owner) -> None:
    context.emit("owner_set", room=request.room, user=request.user, on=request.on, by=context.who.user)
