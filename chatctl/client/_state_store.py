"""A client's state between runs: the outbox of unanswered messages, and the cursor.

One SQLite file per identity, which several of its clients may have open at once. Each outbox row
belongs to the client that wrote it; a starting client takes over the rows of dead ones. If two clients
ever send the same row, the server recognizes the msg_id and stores the message once. A row of the kind
"edit" changes the message whose seq is in ``reply_to``; clients that know no edits refuse it.
"""

from __future__ import annotations

import json
import os
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from chatctl.client._cursor_note import CursorNote
from chatctl.client._notices import SavedState, Sent
from chatd.console.pasting import pasteable
from chatd.errors import ChatdError
from chatd.proto.frames import INTEGER_LIMIT, STRING_LIMIT
from chatd.proto.lineage import Branch, parse_lineage

FILE_NAME = "client.db"
NOTE_NAME = "client.cursor"
# More than anybody types during an outage; a script that exceeds it gets an error.
ROWS_LIMIT = 100_000
_BUSY_TIMEOUT = 5.0
_SCHEMA = """
CREATE TABLE IF NOT EXISTS outbox (
    n INTEGER PRIMARY KEY AUTOINCREMENT, owner TEXT NOT NULL, msg_id TEXT NOT NULL UNIQUE,
    target TEXT NOT NULL, body TEXT NOT NULL, kind TEXT NOT NULL, reply_to INTEGER
) STRICT;
CREATE TABLE IF NOT EXISTS cursor (one INTEGER PRIMARY KEY CHECK (one = 1), seq INTEGER NOT NULL) STRICT;
"""
# Adds the column to files written before lineages existed.
_ADD_LINEAGE = "ALTER TABLE cursor ADD COLUMN lineage TEXT"
_SAVE_CURSOR = """INSERT INTO cursor(one, seq, lineage) VALUES (1, ?1, ?2)
 ON CONFLICT DO UPDATE SET seq = excluded.seq, lineage = excluded.lineage
 WHERE ?3 OR excluded.lineage IS NOT cursor.lineage OR excluded.seq > cursor.seq"""

# Of a damaged row no more is read than shows that it cannot be sent.
_LOAD = """SELECT msg_id, target, substr(body, 1, ?1), kind, reply_to FROM outbox
 WHERE owner = ?2 ORDER BY n"""
# The primary result code of SQLite (sqlite.org/rescode.html) -> what to do.
_SPACE = "free disk space; without the file unsent messages are forgotten"
_DAMAGED = "move it away: the messages in it that were not sent are lost"
_LOCKED = "end the other program that uses it (fuser FILE shows its pid), then try again"
_FIXES = {
    sqlite3.SQLITE_BUSY: _LOCKED,
    sqlite3.SQLITE_LOCKED: _LOCKED,
    sqlite3.SQLITE_FULL: _SPACE,
    sqlite3.SQLITE_CORRUPT: _DAMAGED,
    sqlite3.SQLITE_NOTADB: _DAMAGED,
    sqlite3.SQLITE_ERROR: _DAMAGED,  # its tables have other columns
}
_CHECK = "check the disk, and the permissions of the file and its folder"


class FileStore:
    """The file in ``folder``. Thread-safe. Every method raises E606 if the file cannot be used."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / FILE_NAME
        # Held for one transaction: callers add messages, the I/O thread removes them.
        self._lock = threading.Lock()
        self._owner = f"{os.getpid()}:{_started(os.getpid())}:{os.urandom(8).hex()}"
        self._database = self._open(folder)

    def _open(self, folder: Path) -> sqlite3.Connection:
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            # SQLite would create it with the umask's mode.
            os.close(os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600))
            self._note = CursorNote(folder / NOTE_NAME)
        except OSError as error:
            raise ChatdError("E606", f"cannot use {self._path}: {error.strerror}") from None
        with self._explained():
            database = sqlite3.connect(
                self._path, timeout=_BUSY_TIMEOUT, isolation_level=None, check_same_thread=False
            )
            # Bytes that are not UTF-8 become surrogates, which are refused when the message is sent.
            database.text_factory = _text
            try:
                # Not WAL, which is not safe on the network file systems that home directories may be on.
                database.execute("PRAGMA journal_mode = DELETE")
                database.execute("PRAGMA synchronous = FULL")
                database.executescript(_SCHEMA)
                _add_lineage(database)
            except BaseException:
                database.close()
                raise
        return database

    def load(self) -> SavedState:
        """The cursor, and the unanswered messages of dead clients, oldest first, now owned by this one."""
        with self._lock, self._explained(), self._transaction():
            owners = self._database.execute("SELECT DISTINCT owner FROM outbox").fetchall()
            for (owner,) in owners:
                if not _alive(owner):
                    self._database.execute(
                        "UPDATE outbox SET owner = ? WHERE owner = CAST(? AS TEXT)",
                        (self._owner, _bytes(owner)),
                    )
            rows = self._database.execute(
                _LOAD,
                (STRING_LIMIT + 1, self._owner),
            ).fetchall()
            cursor, lineage = self._database.execute("SELECT seq, lineage FROM cursor").fetchone() or (
                None,
                None,
            )
        if cursor is not None and not 0 <= cursor <= INTEGER_LIMIT:
            cursor = None  # damaged: no server accepts it
        if cursor is not None:
            cursor = max(cursor, self._noted(lineage or ""))
        return SavedState([Sent(*row) for row in rows], cursor, _lineage(lineage))

    def add(self, sent: Sent) -> None:
        """Store a message until `remove`; on return it survives a crash. Raises E409 when full."""
        with self._lock, self._explained(), self._transaction():
            (count,) = self._database.execute("SELECT count(*) FROM outbox").fetchone()
            if count >= ROWS_LIMIT:
                raise ChatdError("E409", f"{count} messages wait to be sent", "wait until the server is back")
            self._database.execute(
                "INSERT INTO outbox (owner, msg_id, target, body, kind, reply_to) VALUES (?, ?, ?, ?, ?, ?)",
                (self._owner, sent.msg_id, sent.to, sent.body, sent.kind, sent.reply_to),
            )

    def remove(self, sent: Sent) -> None:
        """Delete a message that was answered."""
        with self._lock, self._explained():
            self._database.execute(
                "DELETE FROM outbox WHERE msg_id = CAST(? AS TEXT)", (_bytes(sent.msg_id),)
            )

    def save_cursor(self, seq: int, lineage: tuple[Branch, ...], *, back: bool = False) -> None:
        """Store the cursor ``seq`` with the lineage of its log; within one log only ``back`` lowers it.

        One write for both: a cursor with another log's lineage would skip messages.
        """
        text = _stored(lineage)
        with self._lock, self._explained():
            self._database.execute(_SAVE_CURSOR, (seq, text, back))
            if back:
                self._write_note(seq, text)

    def note_cursor(self, seq: int, lineage: tuple[Branch, ...]) -> None:
        """Store a higher cursor in the log of the one saved last, without waiting for the disk.

        It survives the end of the process, but perhaps not a power cut.
        """
        text = _stored(lineage)
        with self._lock:
            if seq > self._noted(text):
                self._write_note(seq, text)

    def _noted(self, lineage: str) -> int:
        try:
            seq = self._note.read(lineage)
        except OSError:
            return 0
        return seq if seq is not None and seq <= INTEGER_LIMIT else 0

    def _write_note(self, seq: int, lineage: str) -> None:
        try:
            self._note.write(seq, lineage)
        except OSError:
            pass  # at worst the next client delivers these events again

    def close(self) -> None:
        """Release the unanswered messages to the next client."""
        with self._lock, self._explained():
            self._database.execute("UPDATE outbox SET owner = '' WHERE owner = ?", (self._owner,))
            self._database.close()
            self._note.close()

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        self._database.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self._database.execute("ROLLBACK")
            raise
        self._database.execute("COMMIT")

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            # Errors of the sqlite3 module itself have no code of SQLite.
            fix = _FIXES.get(getattr(error, "sqlite_errorcode", sqlite3.SQLITE_IOERR) & 0xFF, _CHECK)
            fix = fix.replace("FILE", pasteable(self._path))
            raise ChatdError("E606", f"cannot use {self._path}: {error}", fix) from None


def _text(stored: bytes) -> str:
    return stored.decode("utf-8", "surrogateescape")


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


def _add_lineage(database: sqlite3.Connection) -> None:
    database.execute("BEGIN IMMEDIATE")
    try:
        columns = {name for _, name, *_ in database.execute("PRAGMA table_info(cursor)")}
        if "lineage" not in columns:
            database.execute(_ADD_LINEAGE)
    finally:
        database.execute("COMMIT")


def _stored(lineage: tuple[Branch, ...]) -> str:
    return json.dumps([branch.model_dump() for branch in lineage])


def _lineage(text: str | None) -> tuple[Branch, ...]:
    """The stored lineage; none if it cannot be read, which at worst delivers some messages again."""
    try:
        return parse_lineage(json.loads(text)) if text else ()
    except (ValueError, RecursionError):
        return ()


def _started(pid: int) -> str:
    """A process's start time in clock ticks, which tells it from a later one with the same pid."""
    try:
        # Field 22 of proc(5); the name in field 2 may itself contain brackets.
        return Path(f"/proc/{pid}/stat").read_text("utf-8", "replace").rpartition(")")[2].split()[19]
    except (OSError, IndexError):
        return ""


def _alive(owner: str) -> bool:
    pid, _, start = owner.partition(":")
    if not pid.isdigit():
        return False
    try:
        os.kill(int(pid), 0)
    except PermissionError:
        return True
    except (OSError, OverflowError):
        return False
    started = start.partition(":")[0]
    return not started or _started(int(pid)) == started
