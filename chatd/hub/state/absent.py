"""Tell the writer of a message whom it does not reach, so that they do not wait for an answer."""

from __future__ import annotations

import re
from collections.abc import Container

from chatd.hub.state.context import Context
from chatd.proto.frames import JsonObject
from chatd.proto.text import RESERVED, dm_members

# Names in one note.
NAMED = 3
# Names that call everybody elsewhere, and those that no user can get.
_NOBODY = frozenset(("all", "channel", "everybody", "everyone", "here")) | RESERVED
# A name follows @ at the beginning of a word, unlike in an address of mail; a full stop may end the sentence.
_MENTION = re.compile(r"(?<![\w.@/-])@([A-Za-z0-9](?:[A-Za-z0-9._-]{0,30}[A-Za-z0-9])?)(?![\w@])", re.ASCII)
_CODE = re.compile(r"```.*?(?:```|\Z)|`[^`\n]*`", re.DOTALL)


def notes(body: str, room: str, members: Container[str]) -> list[JsonObject]:
    """Return notes on the ``@names`` in a message that are not among the members; none if all are.

    They are the same for users elsewhere and for names that nobody has.
    """
    if "@" not in body:
        return []
    names = dict.fromkeys(name.lower() for name in _MENTION.findall(_CODE.sub(" ", body)))
    strangers = [name for name in names if name not in members]
    found: list[JsonObject] = [
        {"rule": "absent", "text": f"@{name} calls nobody; write the names"}
        for name in strangers
        if name in _NOBODY
    ]
    absent = [name for name in strangers if name not in _NOBODY]
    if not absent:
        return found
    where = "this conversation" if room.startswith("@") else room
    verb = "is" if len(absent) == 1 else "are"
    return [*found, {"rule": "absent", "text": f"{_listed(absent)} {verb} not in {where}"}]


def unreached(context: Context, room: str) -> list[JsonObject]:
    """Return a note on those whom a direct conversation is named after and who do not get its messages.

    They have left the group. Nobody leaves a conversation of two, but its peer may be unable to log in again.
    """
    names = dm_members(room) or ()
    members = context.state.rooms[room].members
    gone = [name for name in names if name not in members]
    if gone:
        have, do = ("has", "does") if len(gone) == 1 else ("have", "do")
        text = f"{_listed(gone)} {have} left this conversation and {do} not get it"
        return [{"rule": "left", "text": text}]
    out = [name for name in names if name != context.who.user and context.is_out(name)]
    return [{"rule": "left", "text": f"{name} cannot log in any more and does not get it"} for name in out]


def _listed(names: list[str]) -> str:
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return f"{', '.join(names[:NAMED])}{more}"
