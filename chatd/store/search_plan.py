"""Choose the terms of the index whose messages a search reads: those with the fewest messages.

Every message that is found has one of them. They come from the vocabulary of the asker's rooms.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import apsw

from chatd.store.database import query

# Words that a beginning or a part may stand for, in all rooms together; opening one takes 10 to 100 us. More
# words are frequent together: the newest messages are read instead, and soon fill a page.
EXPANDED_TERMS = 256
# Messages are counted up to `RARE`, for so many terms that no more than `COUNTED_TERMS` are opened.
RARE = 1_000
COUNTED_TERMS = 2_000

Term = tuple[int, str]  # room, text

_OF_ROOMS = "SELECT room, term FROM vocabulary WHERE room IN (SELECT value FROM json_each(:rooms)) AND "
_EQUAL = f"{_OF_ROOMS} term = :term"
# U+10FFFF is no character, so that no word has it.
_BEGINNING = f"{_OF_ROOMS} term >= :term AND term < :term || char(1114111) LIMIT :limit"
_PART = f"{_OF_ROOMS} term >= 'x' AND term < 'y' AND instr(term, :word) LIMIT :limit"
_COUNT = f"""SELECT count(*) FROM (
 SELECT 1 FROM words WHERE words MATCH ? AND rowid < ? AND rowid >= ? LIMIT {RARE})"""  # noqa: S608


class Words(NamedTuple):
    """A phrase as the index splits it. ``open_start``: the first word may begin with more, see `Phrase`."""

    words: list[str]
    open_start: bool
    open_end: bool

    @property
    def text(self) -> str:
        """The part of a message's words, each between two spaces, that is this phrase."""
        return f"{'' if self.open_start else ' '}{' '.join(self.words)}{'' if self.open_end else ' '}"

    def whole(self) -> list[str]:
        """The words without a * at them."""
        return self.words[self.open_start : len(self.words) - self.open_end]

    def beginning(self) -> str:
        """The beginning of a word, "" without one."""
        only_end = self.open_end and not (self.open_start and len(self.words) == 1)
        return self.words[-1] if only_end else ""


class Planner:
    """Chooses terms in the rooms with these numbers. Its statements raise apsw.InterruptError."""

    def __init__(self, index: apsw.Connection, rooms: Sequence[int]) -> None:
        self._index = index
        self._rooms = json.dumps(list(rooms))

    def choose(self, phrases: Sequence[Words], names: Sequence[str], before: int, floor: int) -> list[Term]:
        """Return the terms of a word, beginning or part of the phrases, or one of the terms ``names``.

        They are those with the fewest messages below seq ``before`` and from ``floor`` on. Empty if there are
        none: nothing is found then.
        """
        words = dict.fromkeys(f"x{word}" for phrase in phrases for word in phrase.whole())
        # A long word is rarely a frequent one.
        terms = [*names, *sorted(words, key=len, reverse=True)]
        choices = [self._find(_EQUAL, term=term) for term in terms]
        if all(choices):
            choices += self._expanded(phrases)
        if not choices:
            return self.everything()
        if not all(choices):
            return []
        return choices[0] if len(choices) == 1 else self._rarest(choices, before, floor)

    def everything(self) -> list[Term]:
        return self._find(_EQUAL, term="y")

    def _expanded(self, phrases: Sequence[Words]) -> list[list[Term]]:
        """The words that beginnings and parts stand for, unless they are too many."""
        found = []
        for phrase in phrases:
            if beginning := phrase.beginning():
                found.append(self._find(_BEGINNING, term=f"x{beginning}", limit=EXPANDED_TERMS + 1))
            if phrase.open_start:
                found.append(self._find(_PART, word=phrase.words[0], limit=EXPANDED_TERMS + 1))
        return [terms for terms in found if len(terms) <= EXPANDED_TERMS]

    def _rarest(self, choices: list[list[Term]], before: int, floor: int) -> list[Term]:
        fewest, rarest, opened = RARE + 1, choices[0], 0
        for terms in choices:
            opened += len(terms)
            if opened > COUNTED_TERMS and terms is not choices[0]:
                break
            count = query(self._index, _COUNT, (match_expression(terms), before, floor))[0][0]
            if count < fewest:
                fewest, rarest = count, terms
            if not count:
                return []
        return rarest

    def _find(self, sql: str, **values: str | int) -> list[Term]:
        rows = self._index.execute(sql, {"rooms": self._rooms, **values})
        return [(room, term) for room, term in rows]


def match_expression(terms: Iterable[Term]) -> str:
    """Return an FTS5 expression for any of the terms, each with the number of its room.

    FTS5 has a query language in which a stray quote or "NEAR" changes the meaning, hence the quotes.
    """
    return " OR ".join('"{}{}"'.format(room, term.replace('"', " ")) for room, term in terms)
