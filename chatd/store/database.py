"""Opening the log's database, and turning SQLite's errors into ours."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import apsw

from chatd.errors import ChatdError

DATABASE_NAME = "events.db"
SYNCHRONOUS = "FULL"  # NORMAL lost acknowledged rows in simulated power cuts, FULL none
_SYNCHRONOUS_FULL = 2
# Before 3.51.3 a commit could be lost when a checkpoint by another connection reset the WAL.
_OLDEST_SQLITE = 3_051_003
# There is one writer; only a backup or a recovering reader can ever hold it up, and briefly.
BUSY_MS = 2_000
_CACHE_KIB = 65_536  # the index of random msg_ids of about a million entries stays in memory
CHECKPOINT_PAGES = 4_000  # 16 MiB of WAL: rare enough not to show in the commits, quick to recover
_WAL_KEEP_BYTES = 64 * 1024 * 1024  # a WAL that a long read made larger is cut back to this

_DAMAGE = (apsw.CorruptError, apsw.NotADBError, UnicodeDecodeError)


class storage_errors:
    """Around work on the disk: damage becomes E610 (the caller exits 65), every other failure E504."""

    def __init__(self, doing: str) -> None:
        self._doing = doing

    def __enter__(self) -> None:
        pass

    def __exit__(self, _: object, error: BaseException | None, __: object) -> None:
        if isinstance(error, _DAMAGE):
            raise damaged(f"cannot {self._doing}: {error}") from error
        if isinstance(error, apsw.Error | OSError):
            raise ChatdError("E504", f"cannot {self._doing}: {error}") from error


def damaged(reason: str, fix: str = "") -> ChatdError:
    """E610 with its reason."""
    return ChatdError("E610", reason, fix)


def _settings(connection: apsw.Connection) -> None:
    connection.set_busy_timeout(BUSY_MS)
    connection.pragma("trusted_schema", False)
    connection.pragma("cell_size_check", True)
    connection.config(apsw.SQLITE_DBCONFIG_DEFENSIVE, 1)
    # Closing must not change a database that was just found to be damaged: we checkpoint ourselves.
    connection.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)


def connect_writer(data: Path, vfs: str | None = None) -> apsw.Connection:
    """The one read-write connection; the caller holds the lock. Raises apsw.Error, OSError, E504."""
    if apsw.SQLITE_VERSION_NUMBER < _OLDEST_SQLITE:
        raise ChatdError("E504", f"SQLite {apsw.sqlite_lib_version()} can lose commits", "update apsw")
    path = data / DATABASE_NAME
    # SQLite would create it readable for all; the WAL takes its permissions from it.
    os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
    connection = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READWRITE, vfs=vfs)
    try:
        _settings(connection)
        mode = connection.pragma("journal_mode", "wal")
        connection.pragma("synchronous", SYNCHRONOUS)
        if mode != "wal" or connection.pragma("synchronous") != _SYNCHRONOUS_FULL:
            raise ChatdError("E504", "SQLite does not accept WAL with synchronous=FULL")
        # The log does it itself, between two batches, when nobody reads an older state.
        connection.pragma("wal_autocheckpoint", 0)
        connection.pragma("journal_size_limit", _WAL_KEEP_BYTES)
        connection.pragma("cache_size", -_CACHE_KIB)
        # What is erased must not stay readable in the free pages of the file.
        connection.pragma("secure_delete", True)
    except BaseException:
        connection.close()
        raise
    return connection


def reading_uri(data: Path) -> str:
    """The database's address for who only reads it."""
    return (data / DATABASE_NAME).absolute().as_uri() + "?mode=ro"


def connect_reader(data: Path, vfs: str | None = None) -> apsw.Connection:
    """A read-only connection; sees what is committed. Raises apsw.Error."""
    connection = apsw.Connection(
        reading_uri(data), flags=apsw.SQLITE_OPEN_READONLY | apsw.SQLITE_OPEN_URI, vfs=vfs
    )
    try:
        _settings(connection)
    except BaseException:
        connection.close()
        raise
    return connection


def query(
    source: apsw.Connection | apsw.Cursor, sql: str, values: Sequence[apsw.SQLiteValue] = ()
) -> list[tuple[Any, ...]]:
    """All rows. Never fewer: a statement not run to its end would hold an old view of the database."""
    return source.execute(sql, values).fetchall()


def meta(connection: apsw.Connection, key: str) -> apsw.SQLiteValue:
    """One value of the meta table; None without it. Raises apsw.Error."""
    rows = query(connection, "SELECT value FROM meta WHERE key = ?", (key,))
    return rows[0][0] if rows else None


def meta_int(connection: apsw.Connection, key: str) -> int:
    """A number of the meta table. Raises E610 when it is not there."""
    value = meta(connection, key)
    if not isinstance(value, int):
        raise damaged(f"the log's own record of {key} is missing")
    return value


def meta_bytes(connection: apsw.Connection, key: str) -> bytes:
    """A byte string of the meta table. Raises E610 when it is not there."""
    value = meta(connection, key)
    if not isinstance(value, bytes):
        raise damaged(f"the log's own record of {key} is missing")
    return value


def set_meta(connection: apsw.Connection, key: str, value: apsw.SQLiteValue) -> None:
    """Set one value; inside a transaction of the caller."""
    connection.execute("INSERT OR REPLACE INTO meta(key, value) VALUES(?, ?)", (key, value))
