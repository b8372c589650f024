"""Search the index: newest first, in the rooms that the asker may read, within a budget.

Every term of the index begins with its room's number, so that a query reads nothing of other rooms. One term
gives the candidates, newest first; the words of each candidate decide the rest.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import apsw

from chatd.store.database import BUSY_MS, query, reading_uri
from chatd.store.search_index import SEARCH_NAME, SEARCH_VERSION, TOKENIZER
from chatd.store.search_query import parse

# The budget of one query, for which others wait: steps of SQLite's virtual machine, which are about 250,000
# candidates and half a second, and a time, because a step takes longer in a thousand rooms.
SEARCH_STEPS = 6_000_000
SEARCH_SECONDS = 1.0
_CHECK_STEPS = 1_000
# The term with the fewest messages gives the candidates. Messages are counted up to `RARE`, for so many terms
# that no more than `COUNTED_TERMS` are opened in all rooms together, each in 10 to 50 us.
RARE = 1_000
COUNTED_TERMS = 2_000

_MATCHING = "FROM words WHERE words MATCH ? AND rowid < ? AND rowid >= ?"
_COUNT = f"SELECT count(*) FROM (SELECT 1 {_MATCHING} LIMIT {RARE})"  # noqa: S608 - constants
_FLOOR = "SELECT coalesce(min(first_seq), 9223372036854775807) FROM hours WHERE hour >= ?"
_FIND = """SELECT docs.seq FROM words CROSS JOIN docs ON docs.seq = words.rowid
 WHERE words MATCH :match AND words.rowid < :before AND words.rowid >= :floor AND docs.at >= :since
 AND (:author IS NULL OR docs.author = :author){phrases}
 AND NOT EXISTS (SELECT 1 FROM log.erased WHERE erased.seq = docs.seq)
 ORDER BY words.rowid DESC LIMIT :limit"""
_HOUR_MS = 3_600_000


class Found(NamedTuple):
    """Seqs of messages, newest first. ``partial``: not all were searched, for lack of budget or index."""

    seqs: list[int]
    partial: bool = False


class Budget:
    """Interrupts a connection's statements once one query has used its steps or its time."""

    def __init__(self, steps: int, seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self.steps = 0
        self._limit = steps
        self._clock = clock
        self._deadline = clock() + seconds

    def spent(self) -> bool:
        """Count `_CHECK_STEPS` steps; return whether to stop. SQLite's progress handler."""
        self.steps += _CHECK_STEPS
        return self.steps > self._limit or self._clock() > self._deadline


class Searcher:
    """A read-only connection to the index of one home. For one thread at a time."""

    def __init__(self, data: Path) -> None:
        self._path = data / SEARCH_NAME
        self._log_uri = reading_uri(data)
        self._index: apsw.Connection | None = None
        # Device and inode of the open file: `SearchIndex` replaces a damaged one.
        self._file: tuple[int, int] | None = None
        # VM steps of the last search, rounded up; for tests and measurements.
        self.steps = 0

    def search(self, text: str, rooms: Sequence[str], *, limit: int, before: int | None, now: int) -> Found:
        """Find messages in ``rooms`` below seq ``before``, newest first.

        ``now`` (ms) is the reference for since:2h. Raises E411 for an empty query. A missing or damaged index
        finds nothing, and says so, until `SearchIndex.catch_up` has rebuilt it.
        """
        wanted = parse(text, now)
        searched = [room for room in rooms if wanted.room in (None, room)]
        try:
            index = self._connection()
            if index is None:
                return Found([], True)
            phrases = [phrase for phrase in (_words(index, one) for one in wanted.phrases) if phrase]
            if wanted.phrases and not phrases:
                return Found([])
            search = _Search(index, _numbers(index, searched), before, wanted.since)
            budget = Budget(SEARCH_STEPS, SEARCH_SECONDS)
            index.set_progress_handler(budget.spent, _CHECK_STEPS)
            try:
                return search.run(phrases, wanted.author, max(0, limit))
            finally:
                index.set_progress_handler(None)
                self.steps = budget.steps
        except apsw.SQLError:
            raise  # a defect in a statement or match expression
        except apsw.Error:
            self.close()
            return Found([], True)

    def close(self) -> None:
        if self._index is not None:
            with suppress(apsw.Error):
                self._index.close(True)
            self._index = None

    def _connection(self) -> apsw.Connection | None:
        try:
            found = self._path.stat()
        except OSError:
            self.close()
            return None
        if self._index is None or self._file != (found.st_dev, found.st_ino):
            self.close()
            self._index = _open(self._path, self._log_uri)
            self._file = (found.st_dev, found.st_ino)
        return self._index


class _Search:
    """One search in the rooms with these numbers."""

    def __init__(self, index: apsw.Connection, rooms: list[int], before: int | None, since: int) -> None:
        self._index = index
        self._rooms = rooms
        self._before = 2**63 - 1 if before is None else before
        self._since = since
        self._floor = query(index, _FLOOR, (since // _HOUR_MS,))[0][0] if since else 0

    def run(self, phrases: list[list[str]], author: str | None, limit: int) -> Found:
        seqs: list[int] = []
        if not self._rooms or not limit:
            return Found(seqs)
        terms = dict.fromkeys(f"x{word}" for phrase in phrases for word in phrase)
        if author is not None:
            terms[f"z{author}"] = None
        values = {f"phrase{n}": f" {' '.join(phrase)} " for n, phrase in enumerate(phrases)}
        sql = _FIND.format(phrases="".join(f" AND instr(docs.text, :{name})" for name in values))
        try:
            match = self._rarest(list(terms) or ["y"])
            if match is None:
                return Found(seqs)
            bindings = values | {
                "match": match,
                "before": self._before,
                "floor": self._floor,
                "since": self._since,
                "author": author,
                "limit": limit,
            }
            for (seq,) in self._index.execute(sql, bindings):
                seqs.append(seq)
        except apsw.InterruptError:
            return Found(seqs, True)
        return Found(seqs)

    def _rarest(self, terms: list[str]) -> str | None:
        """Return the match expression of the term with the fewest messages; None if one has none."""
        if len(terms) == 1:
            return match_expression(self._rooms, terms[0])
        # A long word is rarely a frequent one.
        terms.sort(key=len, reverse=True)
        fewest, rarest = RARE + 1, ""
        for term in terms[: max(1, COUNTED_TERMS // len(self._rooms))]:
            match = match_expression(self._rooms, term)
            count = query(self._index, _COUNT, (match, self._before, self._floor))[0][0]
            if count < fewest:
                fewest, rarest = count, match
            if not count:
                return None
        return rarest


def match_expression(rooms: Iterable[int], term: str) -> str:
    """Return an FTS5 expression for a term in any of the rooms.

    FTS5 has a query language in which a stray quote or "NEAR" changes the meaning, hence the quotes.
    """
    quoted = term.replace('"', " ")
    return " OR ".join(f'"{room}{quoted}"' for room in rooms)


def _words(index: apsw.Connection, phrase: str) -> list[str]:
    """Split a phrase as the index splits messages."""
    split = index.fts5_tokenizer(TOKENIZER[0], list(TOKENIZER[1:]))
    words = split(
        phrase.encode(), apsw.FTS5_TOKENIZE_DOCUMENT, None, include_offsets=False, include_colocated=False
    )
    return [str(word) for word in words]


def _numbers(index: apsw.Connection, rooms: Iterable[str]) -> list[int]:
    sql = "SELECT id FROM rooms WHERE name IN (SELECT value FROM json_each(?)) ORDER BY id"
    return [row[0] for row in query(index, sql, (json.dumps(list(rooms)),))]


def _open(path: Path, log: str) -> apsw.Connection | None:
    index = apsw.Connection(
        f"{path.absolute().as_uri()}?mode=ro", flags=apsw.SQLITE_OPEN_READONLY | apsw.SQLITE_OPEN_URI
    )
    try:
        index.set_busy_timeout(BUSY_MS)
        index.pragma("trusted_schema", False)
        if index.pragma("user_version") != SEARCH_VERSION:
            index.close()
            return None
        index.execute("ATTACH ? AS log", (log,))
    except BaseException:
        index.close(True)
        raise
    return index
