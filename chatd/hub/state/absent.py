"""Tell the writer of a message which @names in it call nobody, so that they do not wait for an answer."""

from __future__ import annotations

import re
from collections.abc import Container

from chatd.proto.frames import JsonObject
from chatd.proto.text import RESERVED

# Names in one note.
NAMED = 3
# They call everybody elsewhere. No user has such a name.
_EVERYBODY = frozenset(("all", "channel", "everybody", "everyone", "here"))
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
        if name in _EVERYBODY
    ]
    absent = [name for name in strangers if name not in _EVERYBODY and name not in RESERVED]
    if not absent:
        return found
    more = f" and {len(absent) - NAMED} more" if len(absent) > NAMED else ""
    who = f"{', '.join(absent[:NAMED])}{more}"
    where = "this conversation" if room.startswith("@") else room
    return [*found, {"rule": "absent", "text": f"{who} {'is' if len(absent) == 1 else 'are'} not in {where}"}]
