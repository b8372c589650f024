"""Full-text search in a database of its own, derived from the log and rebuilt whenever in doubt.

The log's write path pays nothing for it: `SearchIndex.catch_up` reads committed entries later, in
another thread. The file may be deleted at any time.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import apsw

from chatd.store.database import connect_reader, query, reading_uri, storage_errors
from chatd.store.search_query import parse

SEARCH_NAME = "search.db"
_VERSION = 2
_DAMAGE = (apsw.CorruptError, apsw.NotADBError)
_SCHEMA = """
CREATE TABLE meta(id INTEGER PRIMARY KEY CHECK (id = 1), seq INTEGER NOT NULL, chain BLOB NOT NULL) STRICT;
CREATE TABLE docs(seq INTEGER PRIMARY KEY, at INTEGER NOT NULL, room TEXT, author TEXT) STRICT;
CREATE VIRTUAL TABLE words USING fts5(
    text, content='', contentless_delete=1, tokenize='unicode61 remove_diacritics 2'
);
INSERT INTO meta VALUES(1, 0, x'');
"""
_NEW = "SELECT max(seq), count(*) FROM (SELECT seq FROM events WHERE seq > ? ORDER BY seq LIMIT ?)"
_WHOLE = "SELECT * FROM events WHERE seq > ? AND seq <= ?"
# A statement for all entries of a step, JSON included, not one for each: the hub's other threads run
# meanwhile, and Python's lock is not taken and given back at each row (docs/lab/performance-journal.md).
_MESSAGES = """(SELECT seq, at, room, CAST(body AS TEXT) AS event FROM log.events
 WHERE seq > :after AND seq <= :upto AND kind = 'message' AND json_valid(CAST(body AS TEXT)))"""
_TAKE_IN = f"""
INSERT INTO docs(seq, at, room, author) SELECT seq, at, room, event ->> 'user' FROM {_MESSAGES};
INSERT INTO words(rowid, text) SELECT seq, event ->> 'body' FROM {_MESSAGES};
UPDATE meta SET seq = :upto, chain = (SELECT chain FROM log.events WHERE seq = :upto);
"""  # noqa: S608 - put together from the constant above
_SEARCH = """SELECT words.rowid FROM words JOIN docs ON docs.seq = words.rowid
 WHERE words MATCH :match AND words.rowid < :before AND docs.at >= :since
 AND docs.room IN (SELECT value FROM json_each(:rooms))
 AND (:author IS NULL OR docs.author = :author)
 ORDER BY words.rowid DESC LIMIT :limit"""


# Newest first along the primary key, so that it ends with the page; filters that match next to nothing
# read all of docs, as a frequent word beside them would.
_FILTER = """SELECT seq FROM docs WHERE seq < :before AND at >= :since
 AND room IN (SELECT value FROM json_each(:rooms))
 AND (:author IS NULL OR author = :author)
 ORDER BY seq DESC LIMIT :limit"""


class SearchIndex:
    """The index of one home. For one thread at a time."""

    def __init__(self, data: Path) -> None:
        self._path = data / SEARCH_NAME
        self._log_uri = reading_uri(data)
        with storage_errors("open the event log"):
            self._log = connect_reader(data)
        self._index: apsw.Connection | None = None

    @classmethod
    def open(cls, data: Path) -> SearchIndex:
        """Open the index beside the log in ``data``; made by the first use if need be. Raises E504, E610."""
        return cls(data)

    def catch_up(self, max_entries: int) -> int:
        """Take in up to ``max_entries`` entries of the log; returns how many, 0 = nothing new.

        A damaged index, or one of another log, is thrown away and begun anew. Raises E504, E610.
        """
        with storage_errors("update the search index"):
            try:
                seq = self._watermark(self._connection())
            except apsw.Error:
                seq = 0
                self._discard()
            with storage_errors("read the event log"):
                upto, count = query(self._log, _NEW, (seq, max_entries))[0]
            if not count:
                return 0
            try:
                index = self._connection()
                with index:
                    index.execute(_TAKE_IN, {"after": seq, "upto": upto})
            except (*_DAMAGE, apsw.SQLError):
                # Which of the two is damaged? Without the log there is nothing to begin anew from.
                with storage_errors("read the event log"):
                    query(self._log, _WHOLE, (seq, upto))
                self._discard()
            return int(count)

    def search(
        self, text: str, rooms: Sequence[str], *, limit: int, before: int | None, now: int
    ) -> list[int]:
        """The seqs of the newest messages of ``rooms`` that match, newest first, below ``before``.

        ``now`` (ms) is what since:2h counts from. Raises E411 when there is nothing to look for.
        A damaged index finds nothing until `catch_up` has made a new one.
        """
        wanted = parse(text, now)
        allowed = [room for room in rooms if wanted.room is None or room == wanted.room]
        values = {
            "match": wanted.match,
            "before": 2**63 - 1 if before is None else before,
            "since": wanted.since,
            "rooms": json.dumps(allowed),
            "author": wanted.author,
            "limit": max(0, limit),
        }
        try:
            statement = _SEARCH if wanted.match else _FILTER
            return [row[0] for row in self._connection().execute(statement, values).fetchall()]  # type: ignore[misc]
        except _DAMAGE:
            self._discard()
        except apsw.Error:
            pass
        return []

    def redact(self, seqs: Sequence[int]) -> None:
        """Take erased messages out. What is not indexed yet never will be. Raises E504."""
        with storage_errors("update the search index"):
            try:
                index = self._connection()
                with index:
                    index.executemany("DELETE FROM words WHERE rowid = ?", [(seq,) for seq in seqs])
                    index.executemany("DELETE FROM docs WHERE seq = ?", [(seq,) for seq in seqs])
            except (*_DAMAGE, apsw.SQLError):
                self._discard()

    def close(self) -> None:
        self._log.close()
        if self._index is not None:
            self._index.close()
            self._index = None

    def _connection(self) -> apsw.Connection:
        if self._index is None:
            try:
                self._index = _open_index(self._path, self._log_uri)
            except (*_DAMAGE, apsw.SQLError):
                self._discard()
                self._index = _open_index(self._path, self._log_uri)
        return self._index

    def _discard(self) -> None:
        if self._index is not None:
            with suppress(apsw.Error):
                self._index.close(True)
            self._index = None
        for suffix in ("", "-journal"):
            with suppress(OSError):
                Path(f"{self._path}{suffix}").unlink(missing_ok=True)

    def _watermark(self, index: apsw.Connection) -> int:
        """Up to where the log is indexed; starts anew when that is not a place in this log."""
        seq, chain = query(index, "SELECT seq, chain FROM meta")[0]
        if not isinstance(seq, int) or seq == 0:
            return 0
        rows = query(self._log, "SELECT chain FROM events WHERE seq = ?", (seq,))
        if rows and rows[0][0] == chain:
            return seq
        self._discard()
        return 0


def _open_index(path: Path, log: str) -> apsw.Connection:
    flags = apsw.SQLITE_OPEN_READWRITE | apsw.SQLITE_OPEN_CREATE | apsw.SQLITE_OPEN_URI
    index = apsw.Connection(str(path), flags=flags)
    try:
        path.chmod(0o600)
        index.set_busy_timeout(1_000)
        index.pragma("synchronous", "OFF")  # a power cut may spoil it; it is rebuilt then
        index.pragma("trusted_schema", False)
        index.pragma("secure_delete", True)  # erased words must not stay in free pages
        if index.pragma("user_version") != _VERSION:
            with index:
                index.execute(_SCHEMA)
                index.pragma("user_version", _VERSION)
        index.execute("ATTACH ? AS log", (log,))
    except BaseException:
        index.close()
        raise
    return index
