"""``/verify``: words that two people read to each other, to know that the server shows both the same keys."""

from __future__ import annotations

import re

from chatctl.model import answers
from chatctl.model.grammar import CommandCall
from chatctl.model.render import Line
from chatctl.model.surface import Surface
from chatd.proto.frames import JsonObject
from chatd.proto.key_words import words_of_key, words_of_pair

_KEY = re.compile("[0-9a-f]{64}")


async def verify(surface: Surface, call: CommandCall) -> None:
    """Show the words for this user and another; both see the same, whoever asks."""
    me = surface.model.me
    theirs = await surface.ask("whois", user=call["name"])
    mine = theirs if call["name"] == me else await surface.ask("whois", user=me)
    surface.show(verification(surface.identity.key_hash, surface.identity.ca_hash, mine, theirs))


def verification(own_key: str, ca: str, mine: JsonObject, theirs: JsonObject) -> list[Line]:
    """Return the lines for the answers to `whois` about this user and the other.

    ``own_key`` and ``ca`` are the SHA-256 in hex of this device's key and of the CA, from the identity.
    """
    me, other = str(mine["user"]), str(theirs["user"])
    my_keys, their_keys = _keys(mine), _keys(theirs)
    rows = [answers.row(f"{other}/{device}", _shown(key)) for device, key in their_keys.items()]
    if own_key not in my_keys.values():
        return [
            answers.note("the server does not name this device's key: do not trust what it says of keys"),
            *rows,
        ]
    if other == me:
        return [answers.note("your devices and the words of their keys"), *rows]
    unknown = _without_key(me, my_keys) + _without_key(other, their_keys)
    if unknown:
        why = f"the server does not know the keys of {', '.join(unknown)} yet"
        return [answers.note(f"{why}: they come with the next renewal, or with a new device"), *rows]
    if not their_keys:
        return [answers.note(f"{other} has no device that may log in")]
    pair = words_of_pair(ca, (me, my_keys.values()), (other, their_keys.values()))
    return [
        answers.note(f"{me} and {other}: read these words to each other by voice; both must see the same"),
        answers.row("words", pair),
        *rows,
    ]


def _keys(user: JsonObject) -> dict[str, str]:
    """Return the keys of the devices that may log in, by name; "" for an unknown key."""
    found: dict[str, str] = {}
    for device in user.get("devices") or []:
        if isinstance(device, dict) and not device.get("revoked"):
            key = device.get("key")
            is_key = isinstance(key, str) and _KEY.fullmatch(key)
            found[str(device.get("device"))] = str(key) if is_key else ""
    return found


def _without_key(user: str, keys: dict[str, str]) -> list[str]:
    return [f"{user}/{device}" for device, key in keys.items() if not key]


def _shown(key: str) -> str:
    return words_of_key(key) if key else "unknown"
