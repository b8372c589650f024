"""Give reactions to messages, and take them back."""

from __future__ import annotations

from chatd.errors import ChatdError
from chatd.hub.state import messages
from chatd.hub.state.context import Context
from chatd.hub.state.redaction import named_message
from chatd.proto import requests as rq
from chatd.proto.frames import JsonObject
from chatd.proto.request_bounds import REACTIONS_LIMIT
from chatd.proto.text import visible
from chatd.store.entry import Given

NOT_GIVEN = Given(0, False, frozenset())


def react(context: Context, request: rq.React) -> JsonObject:
    """Give a reaction, or take it back; ``seq`` is None if nothing changes."""
    messages.refuse_place(context, request.room)
    named_message(context, request.room, request.seq)
    text, given = request.text, NOT_GIVEN
    if context.entries is not None:
        given = context.entries.given(request.seq, text, context.who.user)
    if given.mine == request.on:
        return {"seq": None, "count": given.users}
    if request.on:
        context.refuse_muted(request.room)
        _refuse_text(context, text, request.room)
        if text not in given.texts and len(given.texts) >= REACTIONS_LIMIT:
            raise ChatdError("E409", f"the message has {REACTIONS_LIMIT} reactions, the most there may be")
    count = given.users + (1 if request.on else -1)
    event = context.emit(
        "reacted",
        room=request.room,
        target=request.seq,
        user=context.who.user,
        text=text,
        on=request.on,
        count=count,
    )
    return {"seq": event["seq"], "count": count}


def _refuse_text(context: Context, text: str, room: str) -> None:
    """Raise E402 for a text that would not be shown as it is, and E400 for a forbidden word."""
    if visible(text, newlines=False) != text or text.split() != [text]:
        raise ChatdError("E402", "a reaction is one visible word or emoji", "write one without spaces")
    context.refuse_words(text, "reaction", room)
