"""Asks: admins list strangers who ask to be let in, and decide.

An approval is an invite for one key. Names, roles and rooms are judged as for every invite, and only now, so
that the asker learns nothing of them.
"""

from __future__ import annotations

from chatd.errors import ChatdError
from chatd.hub.state import invite_making, invites
from chatd.hub.state.ask_book import Ask, Waiter
from chatd.hub.state.context import Context
from chatd.hub.state.queries import page_of
from chatd.proto import ask_requests as rq
from chatd.proto.ask_frames import ASK_SECONDS, ask_hash
from chatd.proto.frames import JsonObject
from chatd.proto.invite_requests import InviteCreate


def list_asks(context: Context, request: rq.Asks) -> JsonObject:
    """List the asks by the hashes of their keys."""
    invites.require_list(context)
    asks = context.asks.by_key

    def entry(key: str) -> JsonObject:
        ask = asks[key]
        return {
            "ask": key,
            "user": ask.user,
            "device": ask.device or None,
            "address": ask.address,
            "words": ask.words,
            "at": ask.at,
            "taken": not invites.is_new(context, ask.user),
        }

    return page_of("asks", sorted(key for key in asks if key > request.after), entry)


def approve(context: Context, request: rq.AskApprove) -> JsonObject:
    """Make an invite for the asker's key. Raises E410, and what `invite_making.create` raises."""
    ask = _ask(context, request.ask)
    chosen = request.model_dump(include={"role", "rooms", "guest_seconds", "sponsor", "id"})
    invite = InviteCreate(
        type="invite_create",
        user=request.user or ask.user,
        device=request.device or ask.device or None,
        secret_hash=ask_hash(request.ask),
        seconds=ASK_SECONDS,
        **chosen,
    )
    result = invite_making.create(context, invite)
    context.asks.decide(request.ask, None)
    return {"ask": request.ask, "user": result["user"], "until": result["until"]}


def deny(context: Context, request: rq.AskDeny) -> JsonObject:
    """Refuse an asker. Raises E410."""
    ask = _ask(context, request.ask)
    context.emit("ask_denied", user=ask.user, address=ask.address, by=context.who.user)
    context.asks.decide(request.ask, ChatdError("E221"))
    return {"ask": request.ask, "user": ask.user}


def take(context: Context, waiter: Waiter, key: str, *asked: str | int) -> None:
    """Take an ask from the enrol process: the name, the device, the address, the words and the time."""
    if ask_hash(key) in context.state.invites.by_hash:
        # Approved, while the asker's connection was gone.
        context.asks.outcomes.append((waiter, None))
        return
    user, device, address, words = (str(text) for text in asked[:4])
    try:
        context.asks.add(key, Ask(user, device, address, words, int(asked[4]), waiter))
    except ChatdError as error:
        context.asks.outcomes.append((waiter, error))


def _ask(context: Context, key: str) -> Ask:
    invites.require_list(context)
    ask = context.asks.by_key.get(key)
    if ask is None:
        raise ChatdError("E410", "nobody asks with this key", "see: chatctl asks")
    return ask
