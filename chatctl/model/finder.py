"""Find rooms, people and commands by some of their letters. All functions are pure."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from chatctl.model.chat_model import ChatModel
from chatctl.model.commands import permitted

# More are never looked through: a better query is shorter than scrolling.
FOUND_LIMIT = 50
# Beside a room that waits for this user.
INVITED = "you are invited: Enter joins"
_WORD_ENDS = "-_. "


class Destination(NamedTuple):
    """Where one can go: a room "#war", a person "@bob", or a command "/topic".

    ``detail`` explains it; ``unread`` messages make it come first.
    """

    address: str
    detail: str = ""
    unread: int = 0

    @property
    def name(self) -> str:
        """The address without its first letter."""
        return self.address[1:]


def places(model: ChatModel) -> list[Destination]:
    """Return what the model knows: the listed conversations first, other rooms, people, commands."""
    listed = model.listed()
    found = {
        model.address(one.name): Destination(model.address(one.name), one.topic, one.unread) for one in listed
    }
    people = {user for one in model.conversations.values() for user in one.members} - {model.me}
    for address in (*sorted(model.room_names()), *(f"@{user}" for user in sorted(people))):
        found.setdefault(address, Destination(address))
    for address in model.invited_to:
        found[address] = Destination(address, INVITED)
    commands = [Destination(f"/{command.name}", command.help) for command in permitted(model.permissions)]
    return [*found.values(), *commands]


def find(query: str, among: Iterable[Destination]) -> list[Destination]:
    """Return the places that a query fits, the best first; "#", "@" or "/" before it narrows the kind."""
    kind, wanted = (query[:1], query[1:]) if query[:1] in ("#", "@", "/") else ("", query)
    wanted = wanted.strip().lower()
    ranked = [
        # Who types a name means the person, not a group with them.
        (
            rank,
            bool(wanted) and "," in place.name,
            -place.unread,
            len(place.address) if wanted else 0,
            number,
            place,
        )
        for number, place in enumerate(among)
        if place.address.startswith(kind) and (rank := _rank(wanted, place.name.lower())) is not None
    ]
    return [place for *_, place in sorted(ranked)[:FOUND_LIMIT]]


def _rank(wanted: str, name: str) -> int | None:
    """Return how badly a name fits, 0 for exactly; None if it has not all letters in their order."""
    if wanted == name:
        return 0
    at = name.find(wanted)
    if at >= 0:
        begins_word = at == 0 or name[at - 1] in _WORD_ENDS
        return 1 if at == 0 else 2 if begins_word else 3
    letters = iter(name)
    return 4 if all(letter in letters for letter in wanted) else None
