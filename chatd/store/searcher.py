"""Search the index: newest first, in the rooms that the asker may read, within a budget.

Every term of the index begins with its room's number, so that a query reads nothing of other rooms. Some
terms give the candidates, newest first; the words of each candidate decide the rest.
"""

from __future__ import annotations

import heapq
import json
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import apsw

from chatd.proto.search_query import Phrase, SearchQuery
from chatd.store.database import BUSY_MS, query, reading_uri
from chatd.store.search_index import SEARCH_NAME, SEARCH_VERSION, TOKENIZER
from chatd.store.search_plan import Candidates, Planner, Words

# The budget of one query, for which others wait: a time, and steps of SQLite's virtual machine. Choosing
# candidates may take so many, about 2,000,000 words; then the newest messages are read without a choice.
PLAN_STEPS = 12_000_000
_PLAN_SHARE = 0.5  # of the time
# Reading may take so many, which is about 250,000 candidates.
SEARCH_STEPS = 6_000_000
SEARCH_SECONDS = 1.0
# If a beginning has many words, so many are spent on the newest messages before FTS5 looks for all with it.
_NEWEST_STEPS = 1_000_000
_CHECK_STEPS = 10_000

_FLOOR = "SELECT coalesce(min(first_seq), 9223372036854775807) FROM hours WHERE hour >= ?"
_CEILING = "SELECT coalesce(max(last_seq), 0) + 1 FROM hours WHERE hour <= ?"
_FIND = """SELECT docs.seq FROM words CROSS JOIN docs ON docs.seq = words.rowid
 WHERE words MATCH :match AND words.rowid < :before AND words.rowid >= :floor
 AND docs.at >= :since AND docs.at < :until
 AND (:author IS NULL OR docs.author = :author)
 AND (:kind IS NULL OR ifnull(docs.kind, 'text') = :kind){phrases}
 AND NOT EXISTS (SELECT 1 FROM log.erased WHERE erased.seq = docs.version)
 AND NOT EXISTS (SELECT 1 FROM log.edits WHERE edits.target = docs.seq AND edits.seq > docs.version)
 ORDER BY words.rowid DESC"""
_HOUR_MS = 3_600_000
_FOREVER = 2**63 - 1

_Values = dict[str, Any]


class _Plan(NamedTuple):
    """One search's values for the statement. ``narrow``: see `Candidates`."""

    values: _Values
    narrow: str | None


class Found(NamedTuple):
    """Seqs of messages, newest first. ``partial``: not all were searched, for lack of budget or index."""

    seqs: list[int]
    partial: bool = False


class Budget:
    """Interrupts a connection's statements once one query has used its steps or its time."""

    def __init__(self, seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self.steps = 0
        self._limit = 0
        self._seconds = seconds
        self._clock = clock
        self._start = clock()
        self._end = self._start
        self._paused = False

    def allow(self, steps: int, share: float = 1.0) -> None:
        """Allow so many more steps, until ``share`` of the whole time has passed."""
        self._limit = self.steps + steps
        self._end = self._start + self._seconds * share

    def spent(self) -> bool:
        """Count `_CHECK_STEPS` steps; return whether to stop. SQLite's progress handler."""
        self.steps += _CHECK_STEPS
        return not self._paused and (self.steps > self._limit or self._clock() > self._end)

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Let a statement end that is short in any case."""
        self._paused = True
        yield
        self._paused = False


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

    def search(
        self,
        wanted: SearchQuery,
        rooms: Sequence[str],
        *,
        limit: int,
        before: int | None,
        floors: Mapping[str, int] | None = None,
    ) -> Found:
        """Find messages in ``rooms`` below seq ``before``, newest first.

        ``floors``: room -> the seq after which it is searched, for rooms of which the asker may not read
        everything. A missing or damaged index finds nothing, and says so, until `SearchIndex.catch_up` has
        rebuilt it.
        """
        searched = [room for room in rooms if wanted.room in (None, room)]
        try:
            index = self._connection()
            if index is None:
                return Found([], True)
            phrases = [words for words in (_words(index, one) for one in wanted.phrases) if words.words]
            if limit < 1 or (wanted.phrases and not phrases):
                return Found([])
            budget = Budget(SEARCH_SECONDS)
            searches = [
                _Search(index, _numbers(index, names), start, budget)
                for start, names in _by_start(searched, floors or {}).items()
            ]
            index.set_progress_handler(budget.spent, _CHECK_STEPS)
            try:
                before = _FOREVER if before is None else before
                budget.allow(PLAN_STEPS, _PLAN_SHARE)
                plans = [search.plan(phrases, wanted, before) for search in searches]
                return _read(index, _statement(phrases), [plan for plan in plans if plan], limit, budget)
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


def _by_start(rooms: Iterable[str], floors: Mapping[str, int]) -> dict[int, list[str]]:
    """Group rooms by the seq from which on they are searched.

    Each group is a query of its own, which reads nothing before it. Its time then tells nothing about
    what the asker may not read.
    """
    groups: dict[int, list[str]] = {}
    for room in rooms:
        groups.setdefault(floors.get(room, -1) + 1, []).append(room)
    return groups


def _statement(phrases: list[Words]) -> str:
    return _FIND.format(phrases="".join(f" AND instr(docs.text, :phrase{n})" for n in range(len(phrases))))


def _read(index: apsw.Connection, sql: str, plans: Sequence[_Plan], limit: int, budget: Budget) -> Found:
    """Return the newest ``limit`` of several searches, or those found within the budget.

    The newest messages soon have a page of a frequent beginning. Of a rare one they may have none, and
    FTS5 finds the older ones.
    """
    wide = any(plan.narrow for plan in plans)
    budget.allow(_NEWEST_STEPS if wide else SEARCH_STEPS)
    found = _merged(index, sql, [plan.values for plan in plans], limit)
    if not (wide and found.partial):
        return found
    below = {"before": found.seqs[-1]} if found.seqs else {}
    narrowed = [plan.values | {"match": plan.narrow or plan.values["match"]} | below for plan in plans]
    budget.allow(SEARCH_STEPS)
    older = _merged(index, sql, narrowed, limit - len(found.seqs))
    return Found(found.seqs + older.seqs, older.partial)


def _merged(index: apsw.Connection, sql: str, plans: Sequence[_Values], limit: int) -> Found:
    seqs: list[int] = []
    cursors = [index.cursor() for _ in plans]
    try:
        rows = [cursor.execute(sql, plan) for cursor, plan in zip(cursors, plans, strict=True)]
        seqs.extend(seq for (seq,) in islice(heapq.merge(*rows, reverse=True), limit))
    except apsw.InterruptError:
        return Found(seqs, True)
    finally:
        for cursor in cursors:
            cursor.close(True)
    return Found(seqs)


class _Search:
    """One search in the rooms with these numbers, from seq ``start`` on."""

    def __init__(self, index: apsw.Connection, rooms: list[int], start: int, budget: Budget) -> None:
        self._index = index
        self._planner = Planner(index, rooms)
        self._start = start
        self._budget = budget

    def plan(self, phrases: list[Words], wanted: SearchQuery, before: int) -> _Plan | None:
        """Return how to read the candidates; None if nothing can match."""
        before, floor = self._range(wanted, before)
        if floor >= before:
            return None
        choice = self._choose(phrases, wanted, before, floor)
        if not choice.terms:
            return None
        values: _Values = {f"phrase{n}": phrase.text for n, phrase in enumerate(phrases)}
        values |= {
            "match": choice.match,
            "before": before,
            "floor": floor,
            "since": wanted.since,
            "until": _FOREVER if wanted.until is None else wanted.until,
            "author": wanted.author,
            "kind": wanted.kind,
        }
        return _Plan(values, choice.narrow)

    def _choose(self, phrases: list[Words], wanted: SearchQuery, before: int, floor: int) -> Candidates:
        names = [f"z{wanted.author}"] if wanted.author is not None else []
        # Most messages are texts, so that the index has no term for them.
        names += [f"k{wanted.kind}"] if wanted.kind not in (None, "text") else []
        try:
            return self._planner.choose(phrases, names, before, floor)
        except apsw.InterruptError:
            with self._budget.paused():
                return Candidates(self._planner.everything(), [])

    def _range(self, wanted: SearchQuery, before: int) -> tuple[int, int]:
        """Return the seq below which and the one from which on messages are looked for."""
        floor = query(self._index, _FLOOR, (wanted.since // _HOUR_MS,))[0][0] if wanted.since else 0
        if wanted.until is not None:
            before = min(before, query(self._index, _CEILING, (wanted.until // _HOUR_MS,))[0][0])
        return before, max(floor, self._start)


def _words(index: apsw.Connection, phrase: Phrase) -> Words:
    """Split a phrase as the index splits messages."""
    split = index.fts5_tokenizer(TOKENIZER[0], list(TOKENIZER[1:]))
    words = split(
        phrase.text.encode(),
        apsw.FTS5_TOKENIZE_DOCUMENT,
        None,
        include_offsets=False,
        include_colocated=False,
    )
    return Words([str(word) for word in words], phrase.open_start, phrase.open_end)


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
