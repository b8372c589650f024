"""Archive rooms and remove them, on request or because they are empty.

A removed room is gone at once for everybody. The hub's upkeep then redacts its messages as retention does,
and the name is free when none is left.
"""

from __future__ import annotations

from chatd.errors import ChatdError
from chatd.hub.state.context import Context
from chatd.hub.state.model import DAY_MS, SERVER, Room
from chatd.hub.state.rooms import ensure_configured
from chatd.proto import requests as rq
from chatd.proto.frames import JsonObject
from chatd.proto.text import visible


def archive(context: Context, request: rq.RoomArchive) -> JsonObject:
    """Archive a room or undo that; repeating it changes nothing."""
    room = _room(context, request.room)
    if room.archived != request.on and not request.dry_run:
        reason = visible(request.reason, newlines=False)
        context.emit("archived", room=request.room, on=request.on, by=context.who.user, reason=reason)
    return _reach(request.room, room, dry_run=request.dry_run) | {"on": request.on}


def remove(context: Context, request: rq.RoomRemove) -> JsonObject:
    """Remove a room. Raises E306 while it is held, E308 if it is in the settings."""
    room = _room(context, request.room)
    if room.held:
        raise ChatdError("E306", f"the messages of {request.room} are held")
    if request.room in context.rules.rooms:
        raise ChatdError("E308", f"{request.room} is a room of config/settings.json")
    if not request.dry_run:
        _remove(context, request.room, context.who.user, visible(request.reason, newlines=False))
    return _reach(request.room, room, dry_run=request.dry_run)


def remove_empty(context: Context, limit: int) -> None:
    """Remove up to ``limit`` rooms that had no members for ``retention.empty_room_days``."""
    days = context.rules.settings.retention.empty_room_days
    if not days:
        return
    latest = context.now - days * DAY_MS
    due = [name for name, since in context.state.empty.items() if since <= latest]
    ended = [name for name in due if _may_end(context, name)]
    for name in ended[:limit]:
        _remove(context, name, SERVER, f"empty for {days} days")


def free(context: Context, name: str) -> None:
    """Free the name of a removed room without messages."""
    context.emit("room_freed", room=name)
    ensure_configured(context)


def _room(context: Context, name: str) -> Room:
    room = context.room(name)
    if name.startswith("@"):
        raise ChatdError("E404", "a direct conversation cannot be archived or removed")
    return room


def _may_end(context: Context, name: str) -> bool:
    room = context.state.rooms[name]
    return not (room.held or room.archived or name in context.rules.rooms)


def _remove(context: Context, name: str, by: str, reason: str) -> None:
    context.emit("room_removed", room=name, by=by, reason=reason)


def _reach(name: str, room: Room, *, dry_run: bool) -> JsonObject:
    return {"room": name, "members": len(room.members), "dry_run": dry_run}
