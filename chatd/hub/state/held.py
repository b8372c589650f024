"""Messages that the filter holds until a moderator decides (ADR 37).

The text is in the log only, in an entry that none but its writer receives. The event that decides redacts it,
in the transaction that publishes an approved message.
"""

from __future__ import annotations

from dataclasses import replace

import orjson

from chatd.errors import ChatdError
from chatd.hub.state.context import Context, Principal
from chatd.hub.state.held_book import HELD_LIMIT, HELD_PER_USER, HeldMessage
from chatd.hub.state.model import DAY_MS, SERVER, own_room
from chatd.hub.state.texts import AcceptedText
from chatd.hub.state.user_standing import check_standing
from chatd.proto import held_requests as rq
from chatd.proto.content_digest import digest_of
from chatd.proto.frames import JsonObject, compact
from chatd.proto.requests import Send
from chatd.proto.text import visible

# Held messages that one commit lets expire; the rest follows at the next ones.
AT_ONCE = 20
# A page of texts: the entries that are looked up in the loop, and their bytes. One entry always fits a frame.
PAGE_ENTRIES = 50
PAGE_BYTES = 32 * 1024
_NOTE: JsonObject = {"rule": "held", "text": "it waits for a moderator; nobody else reads it until then"}
_CHECK = "see: chatctl held list"


def hold(context: Context, request: Send, text: AcceptedText) -> JsonObject:
    """Hold a message that was judged. Raises E409 when too many wait."""
    book, user = context.state.held, context.who.user
    if book.count_of(user) >= HELD_PER_USER:
        raise ChatdError(
            "E409", f"{HELD_PER_USER} of your messages wait for a moderator, the most there may be",
            "wait until a moderator has decided",
        )  # fmt: skip
    if len(book.by_seq) >= HELD_LIMIT:
        raise ChatdError(
            "E409", f"{HELD_LIMIT} messages wait for a moderator, the most there may be", "ask a moderator"
        )
    event = context.emit(
        "message_held",
        room=request.to,
        user=user,
        device=context.who.device,
        role=context.role,
        msg_id=request.msg_id,
        kind=text.kind,
        body=text.body,
        word=context.held,
        digest=digest_of(request).hex(),
        **({} if request.reply_to is None else {"reply_to": request.reply_to}),
    )
    return acknowledgement(event["seq"], event["at"], text.notes)


def again(context: Context, one: HeldMessage, digest: bytes) -> JsonObject:
    """Acknowledge a held message that is sent again. Raises E408 for another message under its msg_id."""
    event = None if one.digest else _event(context, one)
    known = one.digest or ("" if event is None else event.get("digest", ""))
    if known not in ("", digest.hex()):
        raise ChatdError("E408", "this msg_id was used for another message")
    return acknowledgement(one.seq, one.at)


def acknowledgement(seq: int, at: int, notes: list[JsonObject] | None = None) -> JsonObject:
    """Return the result of a request to send whose message is held."""
    return {"seq": seq, "at": at, "notes": [*(notes or ()), _NOTE], "held": True}


def refused_error() -> ChatdError:
    """Return the refusal of a resent message that was held and then refused."""
    return ChatdError("E415")


def list_held(context: Context, request: rq.HeldList) -> JsonObject:
    """List held messages with their texts."""
    entries: list[JsonObject] = []
    size = 0
    for one in context.state.held.by_seq.values():
        event = _event(context, one) if one.seq > request.after else None
        if event is None:
            continue
        item = {name: event[name] for name in ("seq", "at", "room", "user", "device", "kind", "word", "body")}
        size += len(compact(item))
        if entries and (len(entries) >= PAGE_ENTRIES or size > PAGE_BYTES):
            return {"held": entries, "more": True}
        entries.append(item)
    return {"held": entries, "more": False}


def approve(context: Context, request: rq.HeldApprove) -> JsonObject:
    """Publish a held message under its writer's name, or refuse it if the writer could not send it now."""
    one, event = _waiting(context, request.seq)
    result = {"user": one.user, "room": one.room}
    try:
        _refuse_writer(context, one)
    except ChatdError as error:
        _end(context, one, by=context.who.user, reason=error.reason)
        return result | {"published": None, "refused": error.reason}
    kept = ("room", "user", "device", "role", "msg_id", "kind", "body", "reply_to")
    published = context.emit("message", **{name: event[name] for name in kept if name in event})
    approved = context.emit(
        "message_approved",
        **_place(one),
        published=published["seq"],
        by=context.who.user,
    )
    context.redacted[one.seq] = approved["seq"]
    return result | {"published": published["seq"], "refused": None}


def refuse(context: Context, request: rq.HeldRefuse) -> JsonObject:
    """Refuse a held message."""
    one, _ = _waiting(context, request.seq)
    _end(context, one, by=context.who.user, reason=visible(request.reason, newlines=False))
    return {"user": one.user, "room": one.room}


def withdraw(context: Context, request: rq.HeldWithdraw) -> JsonObject:
    """Take back one's own held message; that of somebody else is not known to wait. Raises E410."""
    one = context.state.held.by_seq.get(request.seq)
    if one is None or one.user != context.who.user or _event(context, one) is None:
        raise ChatdError("E410", f"no message {request.seq} of yours waits for a moderator")
    _end(context, one, by=one.user, reason="")
    return {"room": one.room}


def expire(context: Context) -> None:
    """Refuse messages that have waited for `filter.held_days`."""
    due = context.now - context.rules.settings.filter.held_days * DAY_MS
    for one in list(context.state.held.by_seq.values())[:AT_ONCE]:
        # One that is not in the log yet cannot be redacted with this batch.
        if one.at <= due and _event(context, one) is not None:
            _end(context, one, by=SERVER, reason="no moderator decided in time")


def _refuse_writer(context: Context, one: HeldMessage) -> None:
    """Raise the refusal that the writer would meet, were the message sent now. Raises E2xx, E3xx, E404."""
    writer = replace(context, who=Principal(one.user, one.device))
    check_standing(writer, one.user, one.device)
    if not writer.allows("message.send"):
        raise ChatdError("E300", f"the role {writer.role} may not send messages")
    room = context.state.rooms.get(one.room)
    if room is None or room.born > one.seq:
        raise ChatdError("E404", f"{one.room} was removed")
    if one.user not in room.members:
        raise ChatdError("E301", f"{one.user} has left {one.room}")
    writer.refuse_unwritable(one.room)
    try:
        writer.refuse_muted(one.room)
    except ChatdError:
        # Its own text speaks to the writer.
        raise ChatdError("E302", f"{one.user} is muted") from None


def _end(context: Context, one: HeldMessage, *, by: str, reason: str) -> None:
    refused = context.emit("message_refused", **_place(one), by=by, reason=reason)
    context.redacted[one.seq] = refused["seq"]


def _place(one: HeldMessage) -> JsonObject:
    place = {"room": one.room, "user": one.user, "device": one.device}
    return place | {"msg_id": one.msg_id, "target": one.seq}


def _waiting(context: Context, seq: int) -> tuple[HeldMessage, JsonObject]:
    """Return a held message that a request names, with its event. Raises E410."""
    one = context.state.held.by_seq.get(seq)
    event = None if one is None else _event(context, one)
    if one is None or event is None:
        raise ChatdError("E410", f"no message {seq} waits for a moderator", _CHECK)
    return one, event


def _event(context: Context, one: HeldMessage) -> JsonObject | None:
    """Return the event of a held message; None while it is not in the log yet."""
    stored = None if context.entries is None else context.entries.message(own_room(one.user), one.seq)
    if stored is None or stored.kind != "message_held" or not stored.body:
        return None
    event: JsonObject = orjson.loads(stored.body)
    return event
