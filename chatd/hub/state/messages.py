"""Messages to a room or a user, announcements, away texts."""

from __future__ import annotations

from chatd.hub.state import absent, direct, held, texts
from chatd.hub.state.context import Context
from chatd.hub.state.model import EVERYONE
from chatd.proto import requests as rq
from chatd.proto.frames import JsonObject
from chatd.proto.text import visible


def send(context: Context, request: rq.Send) -> JsonObject:
    """Append a message, or hold it; return its seq, its time and notes on changes to the text."""
    if request.to.startswith("@"):
        conversation = direct.find(context, request.to)
    else:
        conversation = request.to
        refuse_place(context, conversation)
    context.refuse_muted(conversation)
    text = texts.accept(context, conversation, request.body, request.kind, anyway=request.anyway)
    if context.held:
        return held.hold(context, request, text)
    direct.open_for(context, conversation)
    message: JsonObject = {"reply_to": request.reply_to} if request.reply_to is not None else {}
    event = context.emit(
        "message",
        room=conversation,
        user=context.who.user,
        device=context.who.device,
        role=context.role,
        msg_id=request.msg_id,
        kind=text.kind,
        body=text.body,
        **message,
    )
    notes = text.notes + absent.unreached(context, conversation)
    if text.kind != texts.SNIPPET:
        notes = notes + absent.notes(text.body, conversation, context.state.rooms[conversation].members)
    return {"seq": event["seq"], "at": event["at"], "notes": notes}


def refuse_place(context: Context, room: str) -> None:
    """Raise the refusal of whoever may not write in a room or an existing direct conversation now."""
    context.member(room)
    context.refuse_unwritable(room)
    if room.startswith("@"):
        direct.find(context, room)


def announce(context: Context, request: rq.Announce) -> JsonObject:
    """Send an announcement to everybody."""
    body = texts.accept_line(context, request.body)
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
