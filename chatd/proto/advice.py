"""Fit the advice of an error to the permissions of its reader."""

from __future__ import annotations

import re
from collections.abc import Collection

from chatd.errors import ChatdError

# What a piece of advice contains -> the permission that following it takes. A test holds this against the
# tables of commands.
NEEDS = {
    "/bans": "moderate.ban",
    "/create": "room.create",
    "/group": "dm.send",
    "/history": "message.read",
    "/invite": "room.join",
    "/join": "room.join",
    "/msg": "dm.send",
    "/mutes": "moderate.mute",
    "/owner": "room.join",
    "/part": "room.join",
    "/redact": "moderate.redact",
    "/room ": "room.list",
    "/rooms": "room.list",
    "/say!": "filter.override",
    "/who ": "presence.read",
    "/whois": "presence.read",
    "--anyway": "filter.override",
    "chat history": "message.read",
    "chatctl asks": "invite.create",
    "chatctl bans": "moderate.ban",
    "chatctl guest list": "guest.sponsor",
    "chatctl held list": "message.review",
    "chatctl hold": "room.hold",
    "chatctl hook list": "hook.manage",
    "chatctl hook remove": "hook.manage",
    "chatctl hook rotate": "hook.manage",
    "chatctl invite": "invite.create",
    "chatctl mutes": "moderate.mute",
    "chatctl revoke": "device.revoke",
    "chatctl role set": "role.set",
    "chatctl room owner": "room.manage",
    "chatctl room unarchive": "room.archive",
    "chatctl rooms": "room.list",
    "chatctl users": "user.list",
    "chatctl who ": "presence.read",
    "chatctl whois": "presence.read",
    "chatd reload": "room.manage",
    "create it": "room.create",
    "reply to it": "message.send",
    "send it anyway": "filter.override",
}
# What the refusal of a forbidden word tells those who may override the filter.
SEND_ANYWAY = "send it anyway"
# Servers of older versions name the ways of all clients behind it.
_WAYS = re.compile(rf"{SEND_ANYWAY}(: .*)?")
_ALTERNATIVES = re.compile(r"(,? or )")


def fitting(fix: str, permissions: Collection[str]) -> str:
    """Return the alternatives of ``fix`` that somebody with these permissions may follow.

    Without any it tells whom to ask. Alternatives are separated by "or".
    """
    first, *others = _ALTERNATIVES.split(fix)
    pairs = [("", first), *zip(others[::2], others[1::2], strict=True)]
    kept = [(word, text) for word, text in pairs if needed(text) <= set(permissions)]
    if not kept:
        return f"ask an admin to {first}"
    return kept[0][1] + "".join(word + text for word, text in kept[1:])


def with_way(error: ChatdError, way: str) -> ChatdError:
    """Return a refusal that names a client's own way to send a message with a forbidden word."""
    if SEND_ANYWAY not in error.fix:
        return error
    return ChatdError(error.code, error.reason, _WAYS.sub(lambda _: f"{SEND_ANYWAY}: {way}", error.fix))


def needed(text: str) -> set[str]:
    """Return the permissions that following a piece of advice takes."""
    # The space lets a name at the end be found whole.
    return {permission for words, permission in NEEDS.items() if words in re.sub(r"[,;:.]|$", " ", text)}
