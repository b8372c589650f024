"""Remove users: what they wrote stays, and they do not come back."""

from __future__ import annotations

from chatd.errors import ChatdError
from chatd.hub.state import leaving, moderation
from chatd.hub.state.context import Context
from chatd.proto.frames import JsonObject
from chatd.proto.people_requests import UserRemove
from chatd.proto.text import visible


def remove(context: Context, request: UserRemove) -> JsonObject:
    """Remove a user. Raises E304, E305, E405, E410."""
    name = request.user
    user = context.acquaintance(name)
    moderation.refuse_removed(name, user)
    if name == context.who.user:
        raise ChatdError("E304", "you cannot remove yourself", "ask another admin")
    moderation.refuse_more(context, context.rules.role_of(context.state, name))
    if context.rules.pinned(name):
        raise ChatdError(
            "E305",
            f"the role of {name} is fixed in config/settings.json",
            "take it out there, then: chatd reload",
        )
    sessions, workers = context.presence.sessions_of(name)
    result = {
        "user": name,
        "sessions": sessions,
        "workers": workers,
        "devices": sum(not device.revoked for device in user.devices.values()),
        "invites": context.state.invites.count_by(name, context.now),
        "dry_run": request.dry_run,
        **leaving.told(context, name, leaving.all_of(context, name)),
    }
    if not request.dry_run:
        reason = visible(request.reason, newlines=False)
        leaving.leave_all(context, name, by=context.who.user, reason=reason)
        context.emit("user_removed", user=name, reason=reason, by=context.who.user)
    return result
