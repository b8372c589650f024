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
# words are mostly frequent together: the newest messages are read instead, and soon fill a page.
EXPANDED_TERMS = 256
# Messages are counted up to `RARE`, for so many terms that no more than `COUNTED_TERMS` are opened.
RARE = 1_000
COUNTED_TERMS = 2_000

Term = tuple[int, str]  # room, text

_OF_ROOMS = "SELECT room, term FROM vocabulary WHERE room IN (SELECT value FROM json_each(:rooms)) AND "
_EQUAL = f"{_OF_ROOMS} term = :term"
# U+10FFFF is no character, so that no word has it.
_BEGINNING = f"{_OF_ROOMS} term >= :term AND term < :term || char(1114111) LIMIT :limit"
_ROOMS_WITH = """SELECT value FROM json_each(:rooms) WHERE EXISTS (
 SELECT 1 FROM vocabulary WHERE room = value AND term >= :term AND term < :term || char(1114111))"""
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


class Candidates(NamedTuple):
    """The messages to read.

    ``terms``: each message that is found has one of them; none if nothing is found. ``wide``: for each
    beginning of more than `EXPANDED_TERMS` words, the rooms that have such a word, and the beginning.
    """

    terms: list[Term]
    wide: list[list[Term]]

    @property
    def match(self) -> str:
        """An FTS5 expression for any of the terms."""
        return any_of(self.terms)

    @property
    def narrow(self) -> str | None:
        """An FTS5 expression for one of the terms and each wide beginning; None without any of these.

        FTS5 gives the first message after it has merged those of all words with the beginning, which takes
        0.1 us for each of them (docs/lab/performance-journal.md) and is not interrupted.
        """
        if not self.wide:
            return None
        return " AND ".join([f"({self.match})", *(f"({any_of(terms, ' *')})" for terms in self.wide)])


class Planner:
    """Chooses terms in the rooms with these numbers. Its statements raise apsw.InterruptError."""

    def __init__(self, index: apsw.Connection, rooms: Sequence[int]) -> None:
        self._index = index
        self._rooms = json.dumps(list(rooms))

    def choose(self, phrases: Sequence[Words], names: Sequence[str], before: int, floor: int) -> Candidates:
        """Return the terms of a word, beginning or part of the phrases, or one of the terms ``names``.

        They are those with the fewest messages below seq ``before`` and from ``floor`` on.
        """
        words = dict.fromkeys(f"x{word}" for phrase in phrases for word in phrase.whole())
        # A long word is rarely a frequent one.
        terms = [*names, *sorted(words, key=len, reverse=True)]
        choices = [self._find(_EQUAL, term=term) for term in terms]
        wide: list[list[Term]] = []
        if all(choices):
            beginnings = dict.fromkeys(f"x{phrase.beginning()}" for phrase in phrases if phrase.beginning())
            found = {one: self._find(_BEGINNING, term=one, limit=EXPANDED_TERMS + 1) for one in beginnings}
            wide = [self._rooms_with(one) for one, there in found.items() if len(there) > EXPANDED_TERMS]
            parts = [
                self._find(_PART, word=phrase.words[0], limit=EXPANDED_TERMS + 1)
                for phrase in phrases
                if phrase.open_start
            ]
            choices += [there for there in (*found.values(), *parts) if len(there) <= EXPANDED_TERMS]
        if not choices:
            return Candidates(self.everything(), wide)
        if not all(choices):
            return Candidates([], [])
        return Candidates(choices[0] if len(choices) == 1 else self._rarest(choices, before, floor), wide)

    def everything(self) -> list[Term]:
        return self._find(_EQUAL, term="y")

    def _rooms_with(self, beginning: str) -> list[Term]:
        rows = self._index.execute(_ROOMS_WITH, {"rooms": self._rooms, "term": beginning})
        return [(room, beginning) for (room,) in rows]

    def _rarest(self, choices: list[list[Term]], before: int, floor: int) -> list[Term]:
        fewest, rarest, opened = RARE + 1, choices[0], 0
        for terms in choices:
            opened += len(terms)
            if opened > COUNTED_TERMS and terms is not choices[0]:
                break
            count = query(self._index, _COUNT, (any_of(terms), before, floor))[0][0]
            if count < fewest:
                fewest, rarest = count, terms
            if not count:
                return []
        return rarest

    def _find(self, sql: str, **values: str | int) -> list[Term]:
        rows = self._index.execute(sql, {"rooms": self._rooms, **values})
        return [(room, term) for room, term in rows]


def any_of(terms: Iterable[Term], suffix: str = "") -> str:
    """Return an FTS5 expression for any of the terms, each with the number of its room.

    FTS5 has a query language in which a stray quote or "NEAR" changes the meaning, hence the quotes.
    """
    return " OR ".join('"{}{}"{}'.format(room, term.replace('"', " "), suffix) for room, term in terms)
