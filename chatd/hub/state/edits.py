"""Edit and delete one's own messages."""

from __future__ import annotations

import orjson

from chatd.errors import ChatdError
from chatd.hub.state import messages, redaction, texts
from chatd.hub.state.context import Context
from chatd.proto import requests as rq
from chatd.proto.frames import JsonObject
from chatd.proto.request_bounds import EDITS_LIMIT
from chatd.store.entry import StoredMessage

MINUTE_MS = 60_000
_ASK_AUTHOR = "ask its author to delete it, or remove it: /redact NUMBER"


def edit(context: Context, request: rq.Edit) -> JsonObject:
    """Replace a message's text; return the edit's seq and time, and notes on changes to the text."""
    messages.refuse_place(context, request.room)
    message = _own_message(context, request.room, request.seq)
    if len(message.edits) >= EDITS_LIMIT:
        raise ChatdError("E409", f"the message was edited {EDITS_LIMIT} times, the most there may be")
    context.refuse_muted(request.room)
    former = orjson.loads(message.body)
    text = texts.accept(context, request.room, request.body, former["kind"])
    replaced = [request.seq, *message.edits]
    kept = context.rules.settings.retention.edits == "keep" or context.state.rooms[request.room].held
    event = context.emit(
        "edited",
        room=request.room,
        target=request.seq,
        user=context.who.user,
        device=context.who.device,
        msg_id=request.msg_id,
        kind=text.kind,
        body=text.body,
        **{name: former[name] for name in ("role", "reply_to") if name in former},
        **({} if kept else {"replaces": replaced}),
    )
    context.outdated += message.edits[-1:]
    by_seq: int = event["seq"]
    if not kept:
        # What the last edit has replaced is gone already; all fifty each time would cost fifty times more.
        gone = former.get("replaces", ())
        context.redacted |= {seq: by_seq for seq in replaced if seq not in gone}
    return {"seq": by_seq, "at": event["at"], "notes": text.notes}


def delete(context: Context, request: rq.Delete) -> JsonObject:
    """Redact one's own message."""
    context.member(request.room)
    context.refuse_archived(request.room)
    message = _own_message(context, request.room, request.seq, not_yours=_ASK_AUTHOR)
    if request.reason:
        # The room reads it: nobody says so what they could not write there.
        context.refuse_unwritable(request.room)
        context.refuse_reason(request.room, request.reason)
    return redaction.remove(context, request.room, request.seq, message, request.reason, own=True)


def _own_message(context: Context, room: str, seq: int, *, not_yours: str = "") -> StoredMessage:
    """Return a message that the asker may change. Raises E410, E310 with the fix ``not_yours``, E309."""
    message = redaction.named_message(context, room, seq)
    if redaction.author_of(message) != context.who.user:
        raise ChatdError("E310", f"message {seq} is not yours", not_yours)
    minutes = context.rules.settings.limits.edit_minutes
    if not minutes:
        raise ChatdError("E309", "this server does not let messages be changed")
    if context.now - message.at > minutes * MINUTE_MS:
        raise ChatdError("E309", f"messages can be changed for {minutes} minutes")
    return message
