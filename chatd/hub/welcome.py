"""The welcome frame of a session, and the notice of a new role or mute. Pure."""

from __future__ import annotations

from itertools import islice

from chatd import __version__
from chatd.config.page_address import page_address
from chatd.hub.state.context import Context
from chatd.hub.state.model import SERVER
from chatd.hub.state.room_access import pending_of
from chatd.proto.frames import JsonObject, encode
from chatd.store.event_log import EventLog

PROTOCOL = 1
# A longer list would not fit the frame; the `rooms` request pages through all of them.
WELCOME_ROOMS = 500


def author_of(event: JsonObject) -> JsonObject:
    """Return the fields of an event that tell people who caused it."""
    return {name: event[name] for name in ("by", "by_login") if name in event}


def room_notice(event: JsonObject) -> JsonObject:
    """Return what a presence event tells rooms of a `role_set`, `muted`, `unmuted` or `unbanned` event."""
    cause = f"made {event['role']}" if event["type"] == "role_set" else event["type"]
    return {"cause": cause, **author_of(event), "reason": event["reason"]}


def standing_frame(context: Context, event: JsonObject) -> JsonObject:
    """Return the notice of a `role_set`, `muted` or `unmuted` event for the user that it concerns."""
    return {
        "type": "standing",
        "change": event["type"],
        "role": context.role,
        "permissions": sorted(context.rules.roles.permissions(context.role)),
        "room": event.get("room"),
        "until": event.get("until"),
        **author_of(event),
        "reason": event.get("reason", ""),
    }


def isolated_frame(reason: str) -> bytes:
    """Return the notice that what this machine shows may be old; "" if it no longer is."""
    return encode({"type": "isolated", "reason": reason})


def resumed_frames(context: Context, isolated: str | None = None) -> bytes:
    """Return what a session gets that has outlived a hub: it is not live, and its role may be another.

    The former hub may have died between a change of the role and its notice. ``isolated``: see
    `isolated_frame`; None if there is no other node.
    """
    standing = standing_frame(context, {"type": "resumed", "by": SERVER})
    mark = b"" if isolated is None else isolated_frame(isolated)
    return encode({"type": "lagged"}) + encode(standing) + mark


def welcome_frame(context: Context, log: EventLog, isolated: str | None = None) -> bytes:
    """Return the first frame of a session: its user, role, permissions, rooms and limits.

    ``isolated``: why what this machine shows may be old; None if there is no other node.
    """
    settings, user = context.rules.settings, context.state.users[context.who.user]
    rates = settings.limits.for_role(context.role)
    return encode(
        {
            "type": "welcome",
            "protocol": PROTOCOL,
            "server": "chatd",
            "version": __version__,
            "instance": settings.server.name,
            "user": context.who.user,
            "device": context.who.device,
            "role": context.role,
            "permissions": sorted(context.rules.roles.permissions(context.role)),
            "rooms": list(islice(user.rooms, WELCOME_ROOMS)),
            "invites": pending_of(context),
            "head": context.state.head,
            "lineage": [branch.model_dump() for branch in log.lineage],
            "time": context.now,
            "envelope": settings.security.encryption_enabled,
            "long_text": settings.limits.long_text,
            "page": page_address(settings),
            **({"isolated": isolated} if isolated else {}),
            **({"clustered": True} if isolated is not None else {}),
            "limits": {
                "message_chars": settings.limits.message_chars,
                "snippet_bytes": settings.limits.snippet_bytes,
                "topic_chars": settings.limits.topic_chars,
                "rooms": settings.limits.rooms_per_user,
                "history_on_join": settings.limits.history_on_join,
                "idle_seconds": settings.server.timeout,
                "messages_per_minute": round(rates.messages_per_second * 60),
                "burst": rates.burst,
            },
        }
    )
