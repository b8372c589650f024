"""The one policy decision: every request passes `permit`, every new session `admit`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from chatd.errors import ChatdError
from chatd.hub.state import (
    asks,
    certificate_list,
    devices,
    display_names,
    edits,
    filter_trial,
    guests,
    held,
    hook_acts,
    invite_making,
    invites,
    markers,
    messages,
    moderation,
    queries,
    reactions,
    redaction,
    removal,
    room_access,
    room_ends,
    rooms,
)
from chatd.hub.state.context import Context
from chatd.hub.state.user_standing import Shown, check_standing
from chatd.proto import ask_requests as arq
from chatd.proto import device_requests as drq
from chatd.proto import guest_requests as grq
from chatd.proto import held_requests as hrq
from chatd.proto import hook_requests as hoq
from chatd.proto import people_requests as prq
from chatd.proto import requests as rq
from chatd.proto import room_requests as rrq
from chatd.proto.frames import JsonObject
from chatd.proto.invite_requests import InviteMany

# Request type -> the handler that carries it out once it is permitted. Requests of other kinds than EVENT
# and SEND are answered by the worker (ping), `chatd.hub.reads` and `chatd.hub.stats`, after `permit`.
_HANDLERS: dict[type[rq.Request], Callable[[Context, Any], JsonObject]] = {
    rq.Send: messages.send,
    rq.Edit: edits.edit,
    rq.Delete: edits.delete,
    rq.React: reactions.react,
    hrq.HeldList: held.list_held,
    hrq.HeldApprove: held.approve,
    hrq.HeldRefuse: held.refuse,
    hrq.HeldWithdraw: held.withdraw,
    hrq.FilterTest: filter_trial.judge_lines,
    rq.Announce: messages.announce,
    rq.Away: messages.away,
    rq.Create: rooms.create,
    rq.Join: rooms.join,
    rq.Part: rooms.part,
    rq.Topic: rooms.topic,
    rrq.RoomInfo: room_access.info,
    rrq.RoomMode: room_access.mode,
    rrq.RoomInvite: room_access.invite,
    rrq.RoomUninvite: room_access.uninvite,
    rrq.Owner: room_access.owner,
    rrq.MemberRemove: room_access.member_remove,
    rq.RoomArchive: room_ends.archive,
    rq.RoomRemove: room_ends.remove,
    rq.Rooms: queries.rooms,
    rq.Who: queries.who,
    rq.Whois: queries.whois,
    rq.Users: queries.users,
    rq.Bans: queries.bans,
    rq.RoleShow: queries.role_show,
    rq.Kick: moderation.kick,
    rq.Ban: moderation.ban,
    rq.Unban: moderation.unban,
    rq.Mute: moderation.mute,
    rq.Unmute: moderation.unmute,
    rq.Redact: redaction.redact,
    rq.Hold: redaction.hold,
    rq.RoleSet: moderation.role_set,
    rq.Revoke: moderation.revoke,
    rq.UserAdd: moderation.user_add,
    rq.InviteCreate: invite_making.create,
    InviteMany: invite_making.create_many,
    rq.InviteList: invites.list_invites,
    rq.InviteCancel: invites.cancel,
    rq.MoveMarker: markers.move,
    drq.DeviceAdd: devices.add,
    prq.Devices: certificate_list.devices,
    prq.Certificates: certificate_list.certificates,
    prq.Mutes: queries.list_mutes,
    prq.UserRemove: removal.remove,
    prq.DisplayName: display_names.set_display,
    grq.GuestList: guests.list_guests,
    grq.GuestExtend: guests.extend,
    grq.GuestEnd: guests.end,
    hoq.HookCreate: hook_acts.create,
    hoq.HookList: hook_acts.list_hooks,
    hoq.HookRotate: hook_acts.rotate,
    hoq.HookRemove: hook_acts.remove,
    arq.Asks: asks.list_asks,
    arq.AskApprove: asks.approve,
    arq.AskDeny: asks.deny,
}


def decide(context: Context, request: rq.Request) -> JsonObject:
    """Carry out a request if it is permitted and return its result. Raises the ChatdError that refuses it."""
    permit(context, request)
    return perform(context, request)


def perform(context: Context, request: rq.Request) -> JsonObject:
    """Carry out a permitted request and return its result. Raises the handler's ChatdError."""
    context.metered = not context.who.operator
    return _HANDLERS[type(request)](context, request)


def permit(context: Context, request: rq.Request) -> None:
    """Refuse a request that the asker's standing or role does not allow. Raises E2xx or E300."""
    if context.who.operator:
        return
    check_standing(context, context.who.user, context.who.device)
    permission = request.spec.permission
    if permission == "operate":
        permit_operator(context)
    if permission is not None and not context.allows(permission):
        raise ChatdError(
            "E300",
            f"the role {context.role} may not do this ({permission})",
            "ask an admin for it, or for another role",
        )


def permit_operator(context: Context) -> None:
    """Refuse everybody but an operator on the server's box, or on that of another node. Raises E300."""
    if not context.who.operator:
        raise ChatdError("E300", "this is done on the server's box only", "run it there: chatd --help")


def admit(context: Context, serial: str, shown: Shown | None = None, *, total: int) -> None:
    """Refuse a session that may not open; ``total`` are open already. Raises E2xx, E501, E505.

    Moderators get `ADMIN_RESERVE` places above ``server.max_connections``, so that a full server can
    still be administered.
    """
    check_standing(context, context.who.user, context.who.device, serial, shown)
    settings = context.rules.settings
    reserve = ADMIN_RESERVE if context.allows("moderate.kick") else 0
    if total >= settings.server.max_connections + reserve:
        raise ChatdError("E501", f"all {settings.server.max_connections} connections are taken")
    own, _ = context.presence.sessions_of(context.who.user)
    if own >= settings.limits.sessions_per_user:
        raise ChatdError("E505", f"{context.who.user} has {own} connections, the most there may be")


# Places above server.max_connections for moderators.
ADMIN_RESERVE = 4
