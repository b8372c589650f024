"""Connections to the log's database, and translation of SQLite's errors."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import apsw

from chatd.errors import ChatdError

DATABASE_NAME = "events.db"
SYNCHRONOUS = "FULL"  # NORMAL lost acknowledged rows in simulated power cuts, FULL none
_SYNCHRONOUS_FULL = 2
# Before 3.51.3 a commit could be lost when a checkpoint by another connection reset the WAL.
_OLDEST_SQLITE = 3_051_003
# There is one writer; only a backup or a recovering reader can delay it, and only briefly.
BUSY_MS = 2_000
_CACHE_KIB = 65_536  # holds the index of about a million random msg_ids
# Steps of SQLite's machine between two reports of progress: some 10 ms.
PROGRESS_STEPS = 1_000_000
CHECKPOINT_PAGES = 4_000  # 16 MiB of WAL: checkpoints are rare, and recovery is quick
NO_SPACE = (errno.ENOSPC, errno.EDQUOT)
PAGE_BYTES = 4096
LONG_WAL_PAGES = 2 * CHECKPOINT_PAGES  # a WAL that only a long read can cause
_WAL_KEEP_BYTES = 64 * 1024 * 1024  # a WAL that grew beyond this during a long read is cut back

LOCKED_FIX = "end the program that locks it; chatd backup and chatd export copy the log without a lock"
# Keeps the index of the WAL in memory instead of a file; works for all connections of one process.
NO_SPACE_VFS = "unix-excl"

# The schema with the tables `edits` and `reactions`. A log of an older chatd, which is migrated when there is
# space for that, is read as one without edits.
CHANGES_VERSION = 4
_NO_CHANGES = """CREATE TEMP TABLE edits(seq, target);
 CREATE TEMP TABLE reactions(target, text, user, seq)"""

_DAMAGE = (apsw.CorruptError, apsw.NotADBError, UnicodeDecodeError)


class storage_errors:
    """Context manager: raises E610 for damage, E504 for any other SQLite or OS error.

    The words for a lock (see `is_locked`) differ from those for a full disk. ``failed`` gets any error first.
    """

    def __init__(self, doing: str, failed: Callable[[BaseException], None] = lambda _: None) -> None:
        self._doing = doing
        self._failed = failed

    def __enter__(self) -> None:
        pass

    def __exit__(self, _: object, error: BaseException | None, __: object) -> None:
        if error is None:
            return
        told = self._told(error)
        self._failed(told)
        if told is not error:
            raise told from error

    def _told(self, error: BaseException) -> BaseException:
        if isinstance(error, _DAMAGE):
            return damaged(f"cannot {self._doing}: {error}")
        if isinstance(error, apsw.BusyError):
            reason = f"cannot {self._doing}: another program has locked the database"
            return ChatdError("E504", reason, LOCKED_FIX)
        if isinstance(error, apsw.Error | OSError):
            return ChatdError("E504", f"cannot {self._doing}: {error}")
        return error


def is_locked(error: ChatdError) -> bool:
    """Whether an error of `storage_errors` means that another program has locked the database."""
    return isinstance(error.__cause__, apsw.BusyError)


def is_full(error: ChatdError) -> bool:
    """Whether an error of `storage_errors` means that the disk is full."""
    cause = error.__cause__
    if isinstance(cause, OSError):
        return cause.errno in NO_SPACE
    # Without space for a new index of the WAL, SQLite reports an I/O error.
    return isinstance(cause, apsw.FullError) or (
        isinstance(cause, apsw.IOError) and getattr(cause, "extendedresult", 0) == apsw.SQLITE_IOERR_SHMSIZE
    )


def damaged(reason: str, fix: str = "") -> ChatdError:
    return ChatdError("E610", reason, fix)


def _settings(connection: apsw.Connection) -> None:
    connection.set_busy_timeout(BUSY_MS)
    connection.pragma("trusted_schema", False)
    connection.pragma("cell_size_check", True)
    connection.config(apsw.SQLITE_DBCONFIG_DEFENSIVE, 1)
    # Closing must not modify a database that was found damaged; the log checkpoints explicitly.
    connection.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)


def connect_writer(data: Path, vfs: str | None = None) -> apsw.Connection:
    """Open the only read-write connection; the caller holds the lock. Raises apsw.Error, OSError, E504."""
    if apsw.SQLITE_VERSION_NUMBER < _OLDEST_SQLITE:
        raise ChatdError("E504", f"SQLite {apsw.sqlite_lib_version()} can lose commits", "update apsw")
    path = data / DATABASE_NAME
    # SQLite would create it readable by others; the WAL inherits its permissions.
    os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
    connection = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READWRITE, vfs=vfs)
    try:
        _settings(connection)
        mode = connection.pragma("journal_mode", "wal")
        connection.pragma("synchronous", SYNCHRONOUS)
        if mode != "wal" or connection.pragma("synchronous") != _SYNCHRONOUS_FULL:
            raise ChatdError("E504", "SQLite does not accept WAL with synchronous=FULL")
        # The log checkpoints itself between two batches.
        connection.pragma("wal_autocheckpoint", 0)
        connection.pragma("journal_size_limit", _WAL_KEEP_BYTES)
        connection.pragma("cache_size", -_CACHE_KIB)
        # Redacted bodies must not stay readable in free pages.
        connection.pragma("secure_delete", True)
    except BaseException:
        connection.close()
        raise
    return connection


def reading_uri(data: Path) -> str:
    """The URI that opens the database read-only."""
    return (data / DATABASE_NAME).absolute().as_uri() + "?mode=ro"


def connect_reader(data: Path, vfs: str | None = None) -> apsw.Connection:
    """Open a read-only connection. Raises apsw.Error."""
    connection = apsw.Connection(
        reading_uri(data), flags=apsw.SQLITE_OPEN_READONLY | apsw.SQLITE_OPEN_URI, vfs=vfs
    )
    try:
        _settings(connection)
        if 0 < connection.pragma("user_version") < CHANGES_VERSION:
            connection.execute(_NO_CHANGES)
    except BaseException:
        connection.close()
        raise
    return connection


@contextmanager
def reporting(connection: apsw.Connection, progress: Callable[[], None] | None) -> Iterator[None]:
    """Call ``progress`` as often as SQLite has done `PROGRESS_STEPS`, also inside one long statement."""
    if progress is None:
        yield
        return

    def step() -> bool:
        progress()
        return False  # go on

    connection.set_progress_handler(step, PROGRESS_STEPS)
    try:
        yield
    finally:
        connection.set_progress_handler(None)


def query(
    source: apsw.Connection | apsw.Cursor,
    sql: str,
    values: Sequence[apsw.SQLiteValue] | Mapping[str, apsw.SQLiteValue] = (),
) -> list[tuple[Any, ...]]:
    """Return all rows. A statement not run to its end would keep an old view of the database open."""
    return source.execute(sql, values).fetchall()


def head_seq(connection: apsw.Connection) -> int:
    """The seq of the last committed entry, 0 in an empty log. Raises apsw.Error."""
    return int(query(connection, "SELECT coalesce(max(seq), 0) FROM events")[0][0])


def meta(connection: apsw.Connection, key: str) -> apsw.SQLiteValue:
    """Read a value of the meta table; None if it is missing. Raises apsw.Error."""
    rows = query(connection, "SELECT value FROM meta WHERE key = ?", (key,))
    return rows[0][0] if rows else None


def meta_values(connection: apsw.Connection, prefix: str) -> dict[str, Any]:
    """Read the values of the meta table whose names begin with ``prefix``. Raises apsw.Error."""
    return dict(
        query(connection, "SELECT key, value FROM meta WHERE substr(key, 1, ?) = ?", (len(prefix), prefix))
    )


def meta_int(connection: apsw.Connection, key: str) -> int:
    """Read an integer of the meta table. Raises E610 if it is missing."""
    value = meta(connection, key)
    if not isinstance(value, int):
        raise damaged(f"{key} is missing from the log's meta table")
    return value


def meta_bytes(connection: apsw.Connection, key: str) -> bytes:
    """Read a byte string of the meta table. Raises E610 if it is missing."""
    value = meta(connection, key)
    if not isinstance(value, bytes):
        raise damaged(f"{key} is missing from the log's meta table")
    return value


def set_meta(connection: apsw.Connection, key: str, value: apsw.SQLiteValue) -> None:
    """Set a value of the meta table, in the caller's transaction; None removes it."""
    if value is None:
        connection.execute("DELETE FROM meta WHERE key = ?", (key,))
        return
    connection.execute("INSERT OR REPLACE INTO meta(key, value) VALUES(?, ?)", (key, value))
