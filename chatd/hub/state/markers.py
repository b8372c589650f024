"""Read markers: the seq up to which a user has read a room, the same for all of the user's devices."""

from __future__ import annotations

from chatd.hub.state.context import Context
from chatd.proto.frames import JsonObject
from chatd.proto.reading_requests import MoveMarker


def move(context: Context, request: MoveMarker) -> JsonObject:
    """Move the asker's marker of a room forward; return where it is. Raises E404, E301."""
    context.member(request.room)
    markers = context.state.users[context.who.user].markers
    # A client of a restored server may know a seq that the log has not reached.
    seq = min(request.seq, context.state.head)
    if seq > markers.get(request.room, 0):
        context.emit("read", room=request.room, user=context.who.user, upto=seq)
    return {"room": request.room, "seq": markers.get(request.room, 0)}
