"""Tell the writer of a message which @names in it are not in the room, so that they do not wait for them."""

from __future__ import annotations

import re
from collections.abc import Container

from chatd.proto.frames import JsonObject
from chatd.proto.text import RESERVED

# Names in one note.
NAMED = 3
# A name follows @ at the beginning of a word, unlike in an address of mail; a full stop may end the sentence.
_MENTION = re.compile(r"(?<![\w.@/-])@([A-Za-z0-9](?:[A-Za-z0-9._-]{0,30}[A-Za-z0-9])?)(?![\w@])", re.ASCII)
_CODE = re.compile(r"```.*?(?:```|\Z)|`[^`\n]*`", re.DOTALL)


def notes(body: str, room: str, members: Container[str]) -> list[JsonObject]:
    """Return the note on ``@names`` in a message that are not among the members; none if all are.

    It is the same for users elsewhere and for names that nobody has.
    """
    if "@" not in body:
        return []
    names = dict.fromkeys(name.lower() for name in _MENTION.findall(_CODE.sub(" ", body)))
    absent = [name for name in names if name not in members and name not in RESERVED]
    if not absent:
        return []
    more = f" and {len(absent) - NAMED} more" if len(absent) > NAMED else ""
    who = f"{', '.join(absent[:NAMED])}{more}"
    where = "this conversation" if room.startswith("@") else room
    return [{"rule": "absent", "text": f"{who} {'is' if len(absent) == 1 else 'are'} not in {where}"}]
