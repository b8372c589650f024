"""Full-text search in a separate database, derived from the log and rebuilt if it is damaged.

Appending to the log does not wait for it: `SearchIndex.catch_up` reads committed entries later, in another
thread. The file may be deleted at any time. `chatd.store.searcher` reads it.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import apsw

from chatd.store.database import BUSY_MS, connect_reader, query, reading_uri, storage_errors

SEARCH_NAME = "search.db"
SEARCH_VERSION = 5
TOKENIZER = ("unicode61", "remove_diacritics", "2")
# Each message looks up its words in the vocabulary; pages that are not in memory double the time it takes.
_CACHE_KIB = 16_384
_DAMAGE = (apsw.CorruptError, apsw.NotADBError)
# hours: the first and last message of each hour, counted from 1970 and by the order of the log, for since:2h.
# docs.text: the words of a message in order, each between two spaces, so that a phrase is a part of the text
# and a message can be removed from the full-text index, which needs its words.
# words: the room's number is the beginning of every term, so that a query reads only terms of rooms that the
# asker may read, and its time tells nothing about others (docs/adr/0009). "12xhost" is a word in room 12,
# "12zalice" a message from alice, "12ksnippet" one of the kind snippet, "12y" any message. The terms are made
# here, not by a tokenizer: no text gives a term of another room.
# vocabulary: the terms of each room. It finds the words that begin with or contain some letters, and the
# rooms that have a term at all, without reading what FTS5 keeps for each term. It does not count how often
# they occur: every message would change as many pages as it has words.
_SCHEMA = """
BEGIN;
CREATE TABLE meta(id INTEGER PRIMARY KEY CHECK (id = 1), seq INTEGER NOT NULL, chain BLOB NOT NULL) STRICT;
CREATE TABLE rooms(id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE) STRICT;
CREATE TABLE hours(hour INTEGER PRIMARY KEY, first_seq INTEGER NOT NULL, last_seq INTEGER NOT NULL) STRICT;
CREATE TABLE docs(
    seq INTEGER PRIMARY KEY, at INTEGER NOT NULL, room INTEGER NOT NULL, author TEXT, kind TEXT,
    text TEXT NOT NULL, version INTEGER NOT NULL
) STRICT;
CREATE TABLE vocabulary(
    room INTEGER, term TEXT, PRIMARY KEY (room, term)
) STRICT, WITHOUT ROWID;
CREATE VIEW terms AS SELECT
    seq, room || 'y ' || room || 'z' || author || coalesce(' ' || room || 'k' || kind, '')
    || replace(rtrim(text), ' ', ' ' || room || 'x') AS text
    FROM docs;
CREATE VIEW occurrences AS
    SELECT seq, room, 'x' || word.value AS term
    FROM docs, json_each('["' || replace(trim(text), ' ', '","') || '"]') AS word WHERE text <> ' '
    UNION ALL SELECT seq, room, 'y' FROM docs
    UNION ALL SELECT seq, room, 'z' || author FROM docs
    UNION ALL SELECT seq, room, 'k' || kind FROM docs WHERE kind IS NOT NULL;
CREATE VIRTUAL TABLE words USING fts5(
    text, content='', detail=none, columnsize=0, tokenize="ascii tokenchars '-._'"
);
INSERT INTO words(words, rank) VALUES('secure-delete', 1);
INSERT INTO meta VALUES(1, 0, x'');
PRAGMA user_version = 5;
COMMIT;
"""
# In memory: the messages of one step, and an FTS5 table that splits them into words.
_SPLITTER = f"""
CREATE TEMP TABLE step(
    seq INTEGER PRIMARY KEY, at INTEGER, room TEXT, author TEXT, kind TEXT, text TEXT, version INTEGER
) STRICT;
CREATE VIRTUAL TABLE temp.raw USING fts5(text, content='', columnsize=0, tokenize='{" ".join(TOKENIZER)}');
CREATE VIRTUAL TABLE temp.split USING fts5vocab(temp, raw, instance);
"""
# A step this large takes up to some seconds if all its words are distinct, and redactions wait for it.
STEP_BYTES = 1024 * 1024
# Texts that were redacted unseen are removed so many at a time: each may take over half a second.
STALE_STEP = 10
# Removing a text takes so many times as long as indexing it (docs/lab/performance-journal.md).
REMOVAL_COST = 10
# Of the next entries as many as have so many bytes in all, and at least one. An edit removes a text, too.
_NEXT_ENTRIES = """SELECT max(seq), count(*) FROM (
 SELECT seq, sum(size) OVER (ORDER BY seq) - size AS before FROM (
 SELECT seq, coalesce(length(body), 0) + CASE kind WHEN 'edited' THEN coalesce((
 SELECT ?4 * length(docs.text) FROM log.edits CROSS JOIN docs ON docs.seq = edits.target
 WHERE edits.seq = events.seq), 0) ELSE 0 END AS size
 FROM log.events WHERE seq > ?1 ORDER BY seq LIMIT ?2))
 WHERE before < ?3"""
_ALL_COLUMNS = "SELECT * FROM events WHERE seq > ? AND seq <= ?"
# A few statements index all entries of a step, JSON included: SQLite releases the GIL once for each of them
# instead of for each row, and the hub's other threads run meanwhile (docs/lab/performance-journal.md).
_INDEX_ENTRIES = """
DELETE FROM step;
INSERT INTO raw(raw) VALUES('delete-all');
INSERT INTO step SELECT place, at, room, coalesce(event ->> 'user', ''),
 nullif(event ->> 'kind', 'text'), event ->> 'body', version FROM (
 SELECT seq AS place, at, room, CAST(body AS TEXT) AS event, seq AS version FROM log.events
 WHERE seq > :after AND seq <= :upto AND kind = 'message' AND room IS NOT NULL
 AND NOT EXISTS (SELECT 1 FROM log.edits WHERE edits.target = events.seq)
 UNION ALL
 SELECT edits.target, one.at, last.room, CAST(last.body AS TEXT), last.seq FROM log.edits
 CROSS JOIN log.events last ON last.seq = edits.seq CROSS JOIN log.events one ON one.seq = edits.target
 WHERE edits.seq > :after AND edits.seq <= :upto AND last.room IS NOT NULL
 AND NOT EXISTS (SELECT 1 FROM log.edits later WHERE later.target = edits.target AND later.seq > edits.seq)
) WHERE json_valid(event);
INSERT INTO raw(rowid, text) SELECT seq, text FROM step;
UPDATE step SET text = ' ';
INSERT INTO step(seq, text) SELECT doc, ' ' || group_concat(term, ' ' ORDER BY offset) || ' '
 FROM split GROUP BY doc ON CONFLICT DO UPDATE SET text = excluded.text;
INSERT INTO raw(raw) VALUES('delete-all');
INSERT OR IGNORE INTO rooms(name) SELECT DISTINCT room FROM step;
INSERT INTO hours SELECT at / 3600000, min(seq), max(seq) FROM step WHERE true GROUP BY 1
 ON CONFLICT DO UPDATE SET first_seq = min(first_seq, excluded.first_seq),
 last_seq = max(last_seq, excluded.last_seq);
INSERT INTO docs(seq, at, room, author, kind, text, version)
 SELECT seq, at, id, author, kind, text, version FROM step JOIN rooms ON name = room;
INSERT INTO words(rowid, text) SELECT terms.seq, terms.text FROM step JOIN terms ON terms.seq = step.seq;
INSERT OR IGNORE INTO vocabulary SELECT room, term FROM occurrences WHERE seq > :after AND seq <= :upto;
DELETE FROM step;
UPDATE meta SET seq = :upto, chain = (SELECT chain FROM log.events WHERE seq = :upto);
"""
# The row of a message has the text of its last edit, which is its version.
_EDITED = "SELECT DISTINCT target FROM log.edits WHERE seq > ? AND seq <= ?"
_ADD_TERMS = "INSERT OR IGNORE INTO vocabulary SELECT room, term FROM occurrences WHERE seq = ?"
# A text that was redacted while the index could not be written, or just before the hub died.
_STALE = """SELECT docs.seq FROM log.erased LEFT JOIN log.edits ON edits.seq = erased.seq
 CROSS JOIN docs ON docs.seq = coalesce(edits.target, erased.seq) AND docs.version = erased.seq LIMIT ?"""
_OF_VERSION = """SELECT seq FROM docs WHERE version = ?1
 AND seq = coalesce((SELECT target FROM log.edits WHERE edits.seq = ?1), ?1)"""
_REMOVE = """
INSERT INTO words(words, rowid, text) SELECT 'delete', seq, text FROM terms WHERE seq = :seq;
DELETE FROM vocabulary WHERE (room, term) IN (
 SELECT room, term FROM occurrences WHERE seq = :seq
 AND NOT EXISTS (SELECT 1 FROM words WHERE words MATCH '"' || room || term || '"'));
DELETE FROM docs WHERE seq = :seq;
"""


class SearchIndex:
    """The writer of one home's index. For one thread at a time. The first use creates the file."""

    def __init__(self, data: Path) -> None:
        """Open the log in ``data``. Raises E504, E610."""
        self.path = data / SEARCH_NAME
        self._log_uri = reading_uri(data)
        with storage_errors("open the event log"):
            self._log = connect_reader(data)
        self._index: apsw.Connection | None = None
        # Messages in the index may have been redacted.
        self._stale = True
        self._discarded = False
        # The seq up to which the log is indexed.
        self.position = 0

    def catch_up(self, max_entries: int) -> int:
        """Index up to ``max_entries`` and `STEP_BYTES` more of the log; return the entries, 0 = nothing left.

        Discards a damaged index, or one of another log, and starts again. Raises E504, E610.
        """
        with storage_errors("update the search index"):
            try:
                self._remove_stale()
                self.position = self._watermark(self._connection())
            except (apsw.FullError, apsw.BusyError):
                raise
            except apsw.Error:
                self.position = 0
                self._discard()
            count = 1  # after damage there is something left to do
            try:
                index = self._connection()
                bounds = (self.position, max_entries, STEP_BYTES, REMOVAL_COST)
                upto, count = query(index, _NEXT_ENTRIES, bounds)[0]
                if not count:
                    return int(self._stale)
                with index:
                    edited = query(index, _EDITED, (self.position, upto))
                    index.executemany(_REMOVE, [{"seq": seq} for (seq,) in edited])
                    index.execute(_INDEX_ENTRIES, {"after": self.position, "upto": upto})
                    index.executemany(_ADD_TERMS, edited)
                self.position = upto
                self._discarded = False
            except (*_DAMAGE, apsw.SQLError):
                if self._discarded:
                    raise  # a new index failed, too
                # Either database may be damaged. Reading all columns raises if it is the log.
                with storage_errors("read the event log"):
                    query(self._log, _ALL_COLUMNS, (self.position, self.position + max_entries))
                self._discard()
                self._discarded = True
            return int(count)

    def redact(self, seqs: Sequence[int]) -> None:
        """Remove redacted messages from the index and its write-ahead log. Raises E504."""
        # Until this has succeeded, the next `catch_up` looks for them in the log.
        others, self._stale = self._stale, True
        with storage_errors("update the search index"):
            try:
                index = self._connection()
                self._remove([row[0] for seq in seqs for row in query(index, _OF_VERSION, (seq,))])
            except (*_DAMAGE, apsw.SQLError):
                self._discard()
        self._stale = others

    def close(self) -> None:
        self._log.close()
        if self._index is not None:
            self._index.close()
            self._index = None

    def _remove_stale(self) -> None:
        if self._stale:
            found = [row[0] for row in query(self._connection(), _STALE, (STALE_STEP,))]
            self._remove(found)
            self._stale = len(found) == STALE_STEP

    def _remove(self, seqs: Sequence[int]) -> None:
        index = self._connection()
        with index:
            index.executemany(_REMOVE, [{"seq": seq} for seq in seqs])
        # The write-ahead log holds the removed words until it is emptied, which waits for a search to end.
        index.wal_checkpoint("main", apsw.SQLITE_CHECKPOINT_TRUNCATE)

    def _connection(self) -> apsw.Connection:
        if self._index is None:
            try:
                self._index = _open_index(self.path, self._log_uri)
            except (*_DAMAGE, apsw.SQLError):
                self._discard()
                self._index = _open_index(self.path, self._log_uri)
        return self._index

    def _discard(self) -> None:
        if self._index is not None:
            with suppress(apsw.Error):
                self._index.close(True)
            self._index = None
        for suffix in ("", "-journal", "-wal", "-shm"):
            with suppress(OSError):
                Path(f"{self.path}{suffix}").unlink(missing_ok=True)

    def _watermark(self, index: apsw.Connection) -> int:
        """Return the seq up to which the log is indexed. Discard an index that belongs to another log."""
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
        index.set_busy_timeout(BUSY_MS)
        index.pragma("cache_size", -_CACHE_KIB)
        index.pragma("synchronous", "OFF")  # an index damaged by a power cut is rebuilt
        index.pragma("trusted_schema", False)
        index.pragma("secure_delete", True)  # redacted words must not stay in free pages
        if index.pragma("user_version") != SEARCH_VERSION:
            index.pragma("journal_mode", "wal")
            index.execute(_SCHEMA)
        index.execute("ATTACH ? AS log", (log,))
        index.pragma("temp_store", 2)  # memory
        index.execute(_SPLITTER)
    except BaseException:
        index.close(True)
        raise
    return index
