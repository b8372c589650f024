"""Messages to a room or a user, announcements, away texts."""

from __future__ import annotations

from chatd.errors import ChatdError
from chatd.hub.state import direct
from chatd.hub.state.context import Context
from chatd.hub.state.model import EVERYONE
from chatd.policy.filter import WORD_CHARS
from chatd.proto import requests as rq
from chatd.proto.frames import JsonObject
from chatd.proto.text import clean_body, tidy, truncate, visible


def send(context: Context, request: rq.Send) -> JsonObject:
    """Append a message; return its seq, its time and notes on changes to the text."""
    if request.to.startswith("@"):
        conversation = direct.find(context, request.to)
    else:
        conversation = request.to
        refuse_place(context, conversation)
    context.refuse_muted(conversation)
    body, notes = acceptable(context, request.body)
    direct.open_for(context, conversation)
    message: JsonObject = {"reply_to": request.reply_to} if request.reply_to is not None else {}
    event = context.emit(
        "message",
        room=conversation,
        user=context.who.user,
        device=context.who.device,
        role=context.role,
        msg_id=request.msg_id,
        kind=request.kind,
        body=body,
        **message,
    )
    return {"seq": event["seq"], "at": event["at"], "notes": notes}


def refuse_place(context: Context, room: str) -> None:
    """Raise the refusal of whoever may not write in a room or an existing direct conversation now."""
    context.member(room)
    context.refuse_unwritable(room)
    if room.startswith("@"):
        direct.find(context, room)


def announce(context: Context, request: rq.Announce) -> JsonObject:
    """Send an announcement to everybody."""
    body, _ = acceptable(context, request.body)
    event = context.emit("announcement", room=EVERYONE, body=body, by=context.who.user)
    return {"seq": event["seq"]}


def away(context: Context, request: rq.Away) -> JsonObject:
    """Set or clear the away text. It is not logged, but others read it."""
    if request.text:
        context.refuse_muted()
        context.refuse_words(request.text, "text")
    context.presence.set_away(context.who.user, visible(request.text, newlines=False))
    context.presence_changed.append(context.who.user)
    return {}


def acceptable(context: Context, text: str) -> tuple[str, list[JsonObject]]:
    """Return the text for the log and notes on what was changed in it. Raises E400, E401, E402."""
    limits = context.rules.settings.limits
    limit = limits.message_chars
    text = tidy(text)
    # Cut first, so that filtering and escaping cost O(limit) whatever was sent. The margin lets the filter
    # see the whole of a word that the limit splits.
    body = text[: limit + WORD_CHARS]
    context.refuse_words(body, "message")
    shown, escaped = clean_body(body)
    notes: list[JsonObject] = []
    if escaped:
        notes.append({"rule": "escaped", "text": "characters that cannot be shown were escaped"})
    if len(shown) > limit:
        if limits.over_length == "reject":
            length = max(len(text), len(shown))
            raise ChatdError("E401", f"the message has {length} characters; {limit} are allowed")
        shown, _ = truncate(shown, limit)
        notes.append({"rule": "truncated", "text": f"only {limit} characters are allowed"})
    return shown, notes
