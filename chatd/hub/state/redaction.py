"""Redact messages on request or by age; a hold prevents both.

The log keeps the message's place and hash; only the body is removed.
"""

from __future__ import annotations

from collections.abc import Sequence

from chatd.errors import ChatdError
from chatd.hub.state.context import Context
from chatd.hub.state.model import DAY_MS
from chatd.proto import requests as rq
from chatd.proto.frames import JsonObject
from chatd.proto.text import visible
from chatd.store.entry import StoredMessage, WrittenEntry


def redact(context: Context, request: rq.Redact) -> JsonObject:
    """Redact one message. Raises E404, E410 if the room has no such message, E306 while it is held."""
    context.room(request.room)
    message = named_message(context, request.room, request.seq, unread=True)
    return remove(context, request.room, request.seq, message, request.reason)


def remove(
    context: Context, room: str, seq: int, message: StoredMessage, reason: str, *, own: bool = False
) -> JsonObject:
    """Redact a message and its edits. Raises E306 while the room is held."""
    if context.state.rooms[room].held:
        raise ChatdError("E306", f"the messages of {room} are held")
    more: JsonObject = {"edits": list(message.edits)} if message.edits else {}
    if own:
        more["own"] = True
    event = context.emit(
        "redacted",
        room=room,
        target=seq,
        user=author_of(message),
        by=context.who.user,
        reason=visible(reason, newlines=False),
        **more,
    )
    by_seq: int = event["seq"]
    context.redacted |= dict.fromkeys((seq, *message.edits), by_seq)
    return {"seq": by_seq}


def named_message(context: Context, room: str, seq: int, *, unread: bool = False) -> StoredMessage:
    """Return the message that a request names. Raises E410 if the room has no such message, or none any more.

    ``unread``: also one from before the asker's reading of the room begins.
    """
    hidden = not unread and seq <= context.state.rooms[room].begin(context.who.user)
    message = None if hidden or context.entries is None else context.entries.message(room, seq)
    if message is None or (message.kind, message.room) != ("message", room):
        raise no_message(room, seq)
    if message.gone:
        raise removed_message(room, seq)
    return message


def removed_message(room: str, seq: int) -> ChatdError:
    """Return the refusal of a request that names a message whose text was removed."""
    return ChatdError("E410", f"message {seq} in {room} is already removed", "nothing is left to do")


def no_message(room: str, seq: int) -> ChatdError:
    """Return the refusal of a request that names a message which is not there."""
    return ChatdError(
        "E410", f"there is no message {seq} in {room}", "for the numbers, see: chat history ROOM"
    )


def author_of(message: StoredMessage) -> str:
    """Return the user who wrote a message."""
    return (message.device or "").partition("/")[0]


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


def expire(context: Context, name: str, entries: Sequence[WrittenEntry]) -> None:
    """Redact expired messages, edits and reactions (``entries``: ascending, at least one)."""
    texts = sum(entry.kind != "reacted" for entry in entries)
    event = context.emit("expired", room=name, upto=entries[-1].seq, count=texts)
    by_seq: int = event["seq"]
    context.redacted |= {entry.seq: by_seq for entry in entries}
