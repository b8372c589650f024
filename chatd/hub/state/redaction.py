"""Redact messages on request or by age; a hold prevents both.

The log keeps the message's place and hash; only the body is removed.
"""

from __future__ import annotations

from chatd.errors import ChatdError
from chatd.hub.state.context import Context
from chatd.hub.state.model import DAY_MS
from chatd.proto import requests as rq
from chatd.proto.frames import JsonObject
from chatd.proto.text import visible


def redact(context: Context, request: rq.Redact) -> JsonObject:
    """Redact one message. Raises E404, E410 if the room has no such message, E306 while it is held."""
    room = context.room(request.room)
    if context.target != ("message", request.room):
        raise ChatdError("E410", f"there is no message {request.seq} in {request.room}")
    if room.held:
        raise ChatdError("E306", f"the messages of {request.room} are held")
    reason = visible(request.reason, newlines=False)
    event = context.emit(
        "redacted", room=request.room, target=request.seq, by=context.who.user, reason=reason
    )
    context.redacted[request.seq] = event["seq"]
    return {"seq": event["seq"]}


def hold(context: Context, request: rq.Hold) -> JsonObject:
    """Hold a room's messages or release them; repeating it changes nothing."""
    room = context.room(request.room)
    if room.held != request.on:
        reason = visible(request.reason, newlines=False)
        context.emit("held", room=request.room, on=request.on, by=context.who.user, reason=reason)
    return {"room": request.room, "on": request.on}


def expires_before(context: Context, name: str) -> int | None:
    """Return the time (ms since 1970) before which a room's messages expire; None if they never do."""
    retention = context.rules.settings.retention
    days = retention.per_room.get(name, retention.days)
    if not days or context.state.rooms[name].held:
        return None
    return context.now - days * DAY_MS


def expire(context: Context, name: str, seqs: list[int]) -> None:
    """Redact expired messages (``seqs``: ascending, at least one)."""
    event = context.emit("expired", room=name, upto=seqs[-1], count=len(seqs))
    by_seq: int = event["seq"]
    context.redacted |= dict.fromkeys(seqs, by_seq)
