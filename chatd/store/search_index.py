"""Full-text search in a separate database, derived from the log and rebuilt if it is damaged.

Appending to the log does not wait for it: `SearchIndex.catch_up` reads committed entries later, in another
thread. The file may be deleted at any time.
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
_NEXT_ENTRIES = "SELECT max(seq), count(*) FROM (SELECT seq FROM events WHERE seq > ? ORDER BY seq LIMIT ?)"
_ALL_COLUMNS = "SELECT * FROM events WHERE seq > ? AND seq <= ?"
# One statement indexes all entries of a step, JSON included: SQLite releases the GIL once instead of for each
# row, and the hub's other threads run meanwhile (docs/lab/performance-journal.md).
_MESSAGES = """(SELECT seq, at, room, CAST(body AS TEXT) AS event FROM log.events
 WHERE seq > :after AND seq <= :upto AND kind = 'message' AND json_valid(CAST(body AS TEXT)))"""
_INDEX_ENTRIES = f"""
INSERT INTO docs(seq, at, room, author) SELECT seq, at, room, event ->> 'user' FROM {_MESSAGES};
INSERT INTO words(rowid, text) SELECT seq, event ->> 'body' FROM {_MESSAGES};
UPDATE meta SET seq = :upto, chain = (SELECT chain FROM log.events WHERE seq = :upto);
"""  # noqa: S608 - built from the constant above
_SEARCH = """SELECT words.rowid FROM words JOIN docs ON docs.seq = words.rowid
 WHERE words MATCH :match AND words.rowid < :before AND docs.at >= :since
 AND docs.room IN (SELECT value FROM json_each(:rooms))
 AND (:author IS NULL OR docs.author = :author)
 ORDER BY words.rowid DESC LIMIT :limit"""
# Goes through the primary key from the newest and stops when the page is full. Filters that match almost
# nothing read all of docs, as would a frequent word beside them.
_FILTER = """SELECT seq FROM docs WHERE seq < :before AND at >= :since
 AND room IN (SELECT value FROM json_each(:rooms))
 AND (:author IS NULL OR author = :author)
 ORDER BY seq DESC LIMIT :limit"""


class SearchIndex:
    """The index of one home. For one thread at a time. The first use creates the file if it is missing."""

    def __init__(self, data: Path) -> None:
        """Open the log in ``data``. Raises E504, E610."""
        self._path = data / SEARCH_NAME
        self._log_uri = reading_uri(data)
        with storage_errors("open the event log"):
            self._log = connect_reader(data)
        self._index: apsw.Connection | None = None

    def catch_up(self, max_entries: int) -> int:
        """Index up to ``max_entries`` more entries of the log; return how many, 0 = nothing new.

        Discards a damaged index, or one of another log, and starts again. Raises E504, E610.
        """
        with storage_errors("update the search index"):
            try:
                seq = self._watermark(self._connection())
            except apsw.Error:
                seq = 0
                self._discard()
            with storage_errors("read the event log"):
                upto, count = query(self._log, _NEXT_ENTRIES, (seq, max_entries))[0]
            if not count:
                return 0
            try:
                index = self._connection()
                with index:
                    index.execute(_INDEX_ENTRIES, {"after": seq, "upto": upto})
            except (*_DAMAGE, apsw.SQLError):
                # Either database may be damaged. Reading all columns raises if it is the log.
                with storage_errors("read the event log"):
                    query(self._log, _ALL_COLUMNS, (seq, upto))
                self._discard()
            return int(count)

    def search(
        self, text: str, rooms: Sequence[str], *, limit: int, before: int | None, now: int
    ) -> list[int]:
        """Return the seqs of matching messages in ``rooms`` below seq ``before``, newest first.

        ``now`` (ms) is the reference for since:2h. Raises E411 for an empty query. A damaged index finds
        nothing until `catch_up` has rebuilt it.
        """
        wanted = parse(text, now)
        searched = [room for room in rooms if wanted.room in (None, room)]
        values = {
            "match": wanted.match,
            "before": 2**63 - 1 if before is None else before,
            "since": wanted.since,
            "rooms": json.dumps(searched),
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
        """Remove redacted messages from the index. Raises E504."""
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
        """The seq up to which the log is indexed. Discards an index that belongs to another log."""
        seq, chain_hash = query(index, "SELECT seq, chain FROM meta")[0]
        if not isinstance(seq, int) or seq == 0:
            return 0
        rows = query(self._log, "SELECT chain FROM events WHERE seq = ?", (seq,))
        if rows and rows[0][0] == chain_hash:
            return seq
        self._discard()
        return 0


def _open_index(path: Path, log: str) -> apsw.Connection:
    flags = apsw.SQLITE_OPEN_READWRITE | apsw.SQLITE_OPEN_CREATE | apsw.SQLITE_OPEN_URI
    index = apsw.Connection(str(path), flags=flags)
    try:
        path.chmod(0o600)
        index.set_busy_timeout(1_000)
        index.pragma("synchronous", "OFF")  # an index damaged by a power cut is rebuilt
        index.pragma("trusted_schema", False)
        index.pragma("secure_delete", True)  # redacted words must not stay in free pages
        if index.pragma("user_version") != _VERSION:
            with index:
                index.execute(_SCHEMA)
                index.pragma("user_version", _VERSION)
        index.execute("ATTACH ? AS log", (log,))
    except BaseException:
        index.close()
        raise
    return index
