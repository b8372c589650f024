"""Saying something: to a room, to a user, to everybody."""

from __future__ import annotations

from chatd.errors import ChatdError
from chatd.hub.state.model import EVERYONE
from chatd.hub.state.turn import Turn, until_text
from chatd.proto import requests as rq
from chatd.proto.frames import JsonObject
from chatd.proto.text import check_name, clean_body, dm_room, truncate, visible


def send(turn: Turn, request: rq.Send) -> JsonObject:
    """Append a message. Its result tells sequence number, time and what was changed in the text."""
    conversation = _conversation(turn, request.to) if request.to.startswith("@") else request.to
    if conversation == request.to:
        turn.member(request.to)
    _refuse_muted(turn, request.to)
    body, notes = _acceptable(turn, request.body)
    if conversation not in turn.state.rooms:
        turn.emit("dm_opened", room=conversation)
    message: JsonObject = {"reply_to": request.reply_to} if request.reply_to is not None else {}
    event = turn.emit(
        "message",
        room=conversation,
        user=turn.who.user,
        device=turn.who.device,
        role=turn.role,
        msg_id=request.msg_id,
        kind=request.kind,
        body=body,
        **message,
    )
    return {"seq": event["seq"], "at": event["at"], "notes": notes}


def announce(turn: Turn, request: rq.Announce) -> JsonObject:
    """Tell everybody something."""
    body, _ = _acceptable(turn, request.body)
    event = turn.emit("announcement", room=EVERYONE, body=body, by=turn.who.user)
    return {"seq": event["seq"]}


def away(turn: Turn, request: rq.Away) -> JsonObject:
    """Set or clear the away text; it is not part of the log."""
    turn.presence.set_away(turn.who.user, visible(request.text, newlines=False))
    return {}


def _conversation(turn: Turn, to: str) -> str:
    """The direct conversation with "@name", or with the other member of "@one,two"."""
    if not turn.allows("dm.send"):
        raise ChatdError("E300", f"the role {turn.role} may not send direct messages (dm.send)")
    me = turn.who.user
    names = to[1:].split(",")
    if len(names) == 2 and me in names:
        names.remove(me)
    peer = check_name(names[0], "user") if len(names) == 1 else ""
    if peer not in turn.state.users:
        raise ChatdError("E405", f"there is no user {peer or to[1:]!r}")
    if not turn.allows("dm.send", peer):
        raise ChatdError("E303", f"{peer} is a guest and gets no direct messages")
    return dm_room(me, peer)


def _refuse_muted(turn: Turn, room: str) -> None:
    for scope in ("", room):
        sanction = turn.state.mutes.get((turn.who.user, scope))
        if sanction is not None and sanction.holds(turn.now):
            where = f" in {scope}" if scope else ""
            reason = f": {sanction.reason}" if sanction.reason else ""
            raise ChatdError("E302", f"you are muted{where} {until_text(sanction)}{reason}")


def _acceptable(turn: Turn, text: str) -> tuple[str, list[JsonObject]]:
    """The text as it will stand in the log and what was changed in it. Raises E400, E401, E402."""
    limits, filtered = turn.rules.settings.limits, turn.rules.settings.filter
    # Before cutting to length, so that a word cannot hide behind the cut.
    if turn.role not in filtered.exempt_roles and (rule := turn.rules.words.find(text)) is not None:
        raise ChatdError("E400", f"the message contains the forbidden word {rule!r}")
    body, escaped = clean_body(text)
    notes: list[JsonObject] = []
    if escaped:
        notes.append({"rule": "escaped", "text": "characters that cannot be shown were written out"})
    if len(body) > limits.message_chars:
        if limits.over_length == "reject":
            raise ChatdError(
                "E401", f"the message has {len(body)} characters; {limits.message_chars} are allowed"
            )
        body, _ = truncate(body, limits.message_chars)
        notes.append({"rule": "truncated", "text": f"only {limits.message_chars} characters are allowed"})
    return body, notes
