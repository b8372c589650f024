"""Hooks: bots through which other programs post to a room (ADR 42)."""

from __future__ import annotations

import hashlib
import hmac

from chatd.errors import ChatdError
from chatd.hub.state import leaving, moderation, rooms
from chatd.hub.state.context import Context
from chatd.hub.state.entities import OPEN
from chatd.hub.state.hook_book import HOOKS_LIMIT, HOOKS_PER_ROOM, Hook
from chatd.hub.state.queries import page_of
from chatd.proto import hook_requests as rq
from chatd.proto.frames import JsonObject
from chatd.proto.request_bounds import SIGNED_KINDS
from chatd.proto.text import check_new_name, visible

_CHECK = "see: chatctl hook list"
_DERIVE = b"chatd hook secret v1\n"


def create(context: Context, request: rq.HookCreate) -> JsonObject:
    """Create a hook, which enters its room. Raises E404, E311, E307, E403, E406, E409, E102."""
    _refuse_secret(request.kind, request.secret_hash)
    room = context.room(request.room)
    if request.room.startswith("@"):
        raise ChatdError("E404", "a direct conversation has no hooks")
    if room.mode != OPEN:
        context.owned(request.room)
    context.refuse_archived(request.room)
    _refuse_name(context, request.name)
    _refuse_too_many(context, request.room)
    key = _key_for(context, request.kind)
    context.emit(
        "hook_created",
        user=request.name,
        room=request.room,
        kind=request.kind,
        secret_hash=request.secret_hash,
        by=context.who.user,
    )
    rooms.enter(context, request.name, request.room, by=context.who.user)
    return _result(context, request.name, key)


def list_hooks(context: Context, request: rq.HookList) -> JsonObject:
    """List the hooks by name."""
    book = context.state.hooks.by_name
    names = sorted(
        name for name, one in book.items() if name > request.after and context.knows_room(one.room)
    )
    return page_of("hooks", names, lambda name: _entry(context, name))


def rotate(context: Context, request: rq.HookRotate) -> JsonObject:
    """Give a hook another token or secret. Raises E405, E102."""
    hook = _known(context, request.name)
    _refuse_secret(hook.kind, request.secret_hash)
    key = _key_for(context, hook.kind)
    context.emit(
        "hook_rotated",
        user=request.name,
        room=hook.room,
        secret_hash=request.secret_hash,
        by=context.who.user,
    )
    return _result(context, request.name, key)


def remove(context: Context, request: rq.HookRemove) -> JsonObject:
    """Remove a hook. Raises E405."""
    hook = _known(context, request.name)
    reason = visible(request.reason, newlines=False)
    leaving.leave_all(context, request.name, by=context.who.user, reason=reason)
    context.emit("hook_removed", user=request.name, room=hook.room, reason=reason, by=context.who.user)
    return {"user": request.name, "room": hook.room}


def secret_of(key: bytes, name: str, hook: Hook) -> str:
    """Derive the secret with which a hook signs its posts from the server's key.

    The event that created or rotated the hook makes it unique, also in a log that was restored.
    """
    text = f"{name}\n{hook.turned}\n{hook.turned_at}".encode()
    return hmac.new(key, _DERIVE + text, hashlib.sha256).hexdigest()


def _refuse_secret(kind: str, secret_hash: str | None) -> None:
    if (secret_hash is None) is not (kind in SIGNED_KINDS):
        needs = "none" if secret_hash is not None else "one"
        raise ChatdError("E102", f"field secret_hash: a hook of the kind {kind} needs {needs}")


def _refuse_name(context: Context, name: str) -> None:
    """Raise E403 or E406 for a name that is not free. That of a removed hook may be used again."""
    check_new_name(name, "hook")
    known = context.state.users.get(name)
    if known is not None and not (known.bot and known.removed):
        raise ChatdError("E406", f"there is a user {name}", "choose another name: --name NAME")
    if context.state.invites.open_for(name, context.now) is not None:
        raise ChatdError("E406", f"there is an open invite for {name}", "choose another name: --name NAME")
    if context.rules.pinned(name):
        raise ChatdError("E305", f"the role of {name} is fixed in config/settings.json")
    if known is None and len(context.state.users) >= moderation.USERS_LIMIT:
        raise ChatdError("E409", f"there are {moderation.USERS_LIMIT} users, the most there may be")


def _refuse_too_many(context: Context, room: str) -> None:
    book = context.state.hooks
    for count, limit, whose in (
        (len(book.of_room(room)), HOOKS_PER_ROOM, room),
        (len(book.by_name), HOOKS_LIMIT, "this server"),
    ):
        if count >= limit:
            raise ChatdError(
                "E409", f"{whose} has {limit} hooks, the most there may be",
                "remove one: chatctl hook remove NAME",
            )  # fmt: skip


def _known(context: Context, name: str) -> Hook:
    """Return a hook of a room that the asker may know of. Raises E405."""
    hook = context.state.hooks.by_name.get(name)
    if hook is None or not context.knows_room(hook.room):
        raise ChatdError("E405", f"there is no hook {name!r}", _CHECK)
    return hook


def _key_for(context: Context, kind: str) -> bytes | None:
    """Return the server's key if a hook of this kind signs; before any event, since it may fail."""
    return context.hook_key() if kind in SIGNED_KINDS else None


def _entry(context: Context, name: str) -> JsonObject:
    hook = context.state.hooks.by_name[name]
    return {
        "user": name,
        "room": hook.room,
        "kind": hook.kind,
        "by": hook.by,
        "at": hook.at,
        "rotated": hook.turned_at if hook.turned != hook.born else None,
    }


def _result(context: Context, name: str, key: bytes | None) -> JsonObject:
    hook = context.state.hooks.by_name[name]
    secret = None if key is None else secret_of(key, name, hook)
    settings = context.rules.settings.gateway
    gateway = next(iter(settings.addresses), settings.listen)
    return _entry(context, name) | {"secret": secret, "gateway": gateway}
