"""The database schema as migration steps. Each runs in one transaction that also sets the new version."""

from __future__ import annotations

import os
from functools import lru_cache
from pathlib import Path

import apsw

from chatd.durable_files import sync_folder
from chatd.errors import ChatdError
from chatd.proto.text import visible
from chatd.store.database import damaged, query

# events: chain is the chain hash. body_hash is separate from body, so that the chain can be verified after
# the body is redacted; salt, removed with the body, prevents guessing a short body from its hash. The
# indexes of rooms end in seq implicitly, as seq is the rowid. events_shown has what pages of a room show,
# events_changes what was done to messages: however much that is, a page reads none of it.
# events_kind lists the events of some kinds, such as the audited ones, without reading the others.
# erased: the redacted entries, each with the seq of the entry that ordered it.
# edits, reactions: what was done to messages, `chatd.store.message_changes`.
STEPS: list[str] = [
    """
    CREATE TABLE meta(key TEXT PRIMARY KEY, value ANY NOT NULL) STRICT, WITHOUT ROWID;
    CREATE TABLE events(
        seq INTEGER PRIMARY KEY, at INTEGER NOT NULL, kind TEXT NOT NULL, room TEXT, device TEXT,
        msg_id BLOB, digest BLOB, salt BLOB, body_hash BLOB NOT NULL, body BLOB, chain BLOB NOT NULL
    ) STRICT;
    CREATE UNIQUE INDEX events_msg_id ON events(device, msg_id) WHERE msg_id IS NOT NULL;
    CREATE INDEX events_room ON events(room);
    CREATE INDEX events_state ON events(seq) WHERE kind <> 'message';
    CREATE TABLE erased(seq INTEGER PRIMARY KEY, by_seq INTEGER NOT NULL) STRICT;
    CREATE TABLE snapshot(
        id INTEGER PRIMARY KEY CHECK (id = 1), seq INTEGER NOT NULL, chain BLOB NOT NULL,
        state_hash BLOB NOT NULL, state BLOB NOT NULL
    ) STRICT;
    """,
    "CREATE INDEX events_kind ON events(kind) WHERE kind <> 'message'",
    # The state remembers more (when rooms became empty, who created them): replay the whole log once.
    "DELETE FROM snapshot",
    """
    CREATE TABLE edits(seq INTEGER PRIMARY KEY, target INTEGER NOT NULL) STRICT;
    CREATE INDEX edits_target ON edits(target);
    CREATE TABLE reactions(
        target INTEGER NOT NULL, text TEXT NOT NULL, user TEXT NOT NULL, seq INTEGER NOT NULL,
        PRIMARY KEY(target, text, user)
    ) STRICT, WITHOUT ROWID;
    """,
    """
    DROP INDEX events_room;
    CREATE INDEX events_shown ON events(room) WHERE kind NOT IN ('edited', 'reacted');
    CREATE INDEX events_changes ON events(room) WHERE kind IN ('edited', 'reacted');
    """,
    # The state remembers more of devices: when and by whom their certificates were issued.
    "DELETE FROM snapshot",
]
_SCHEMA = "SELECT type, name, tbl_name, sql FROM sqlite_schema ORDER BY rowid"
_Schema = dict[tuple[str, str], str]
# Characters of a foreign name in an error message.
NAME_SHOWN = 64


def migrate(connection: apsw.Connection, data: Path, *, now: int, steps: list[str] | None = None) -> None:
    """Bring the schema up to date, after copying an existing database aside.

    ``now`` (ms) names the copy. Raises E618 for a schema newer than this program, E610 for one that was
    changed, apsw.Error, OSError.
    """
    steps = STEPS if steps is None else steps
    version = schema_version(connection, len(steps))
    if version == 0 and query(connection, _SCHEMA):
        raise _version_lost()
    _check_unchanged(connection, tuple(steps[:version]))
    if 0 < version < len(steps):
        _copy_aside(connection, data / f"events-before-v{len(steps)}-{now}.db")
    for number, step in enumerate(steps[version:], version + 1):
        connection.execute("BEGIN IMMEDIATE")
        try:
            connection.execute(step)
            if number == 1:
                _first_values(connection, now)
            connection.pragma("user_version", number)
            connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise


def schema_version(connection: apsw.Connection, newest: int = len(STEPS)) -> int:
    """Return the schema's version, 0 in an empty database. Raises E618 if it is above ``newest``."""
    version = connection.pragma("user_version")
    if not isinstance(version, int) or version < 0:
        raise _version_lost()
    if version > newest:
        raise ChatdError("E618", f"the event log has schema {version}, this chatd supports {newest}")
    return version


def require_schema(connection: apsw.Connection) -> None:
    """Raise E610 or E618 unless the database has a schema of this program, and nothing else."""
    version = schema_version(connection)
    if version == 0:
        raise _version_lost()
    _check_unchanged(connection, tuple(STEPS[:version]))


def _check_unchanged(connection: apsw.Connection, steps: tuple[str, ...]) -> None:
    """Raise E610 unless the tables, indexes, views and triggers are exactly those of ``steps``.

    The chain covers the rows only. A trigger could change what is appended, or a view what is read.
    """
    expected, found = _made_by(steps), _schema_of(connection)
    # In the order of making: a table is missing together with its indexes, and explains them.
    for kind, name in [*expected, *found]:
        shown = f"the {kind} {visible(name[:NAME_SHOWN], newlines=False)}"
        if (kind, name) not in found:
            raise damaged(f"somebody has changed the event log: {shown} is missing")
        if (kind, name) not in expected:
            raise damaged(f"somebody has changed the event log: {shown} does not belong to it")
        if found[kind, name] != expected[kind, name]:
            raise damaged(f"somebody has changed the event log: {shown} is not as chatd made it")


@lru_cache(maxsize=8)
def _made_by(steps: tuple[str, ...]) -> _Schema:
    connection = apsw.Connection(":memory:")
    try:
        for step in steps:
            connection.execute(step)
        return _schema_of(connection)
    finally:
        connection.close()


def _schema_of(connection: apsw.Connection) -> _Schema:
    """The statement that made each object, by its kind and name, with single spaces."""
    return {
        (str(kind), str(name)): " ".join(str(sql).split()) + f" ON {table}"
        for kind, name, table, sql in query(connection, _SCHEMA)
    }


def _version_lost() -> ChatdError:
    return damaged("the event log has lost its schema version")


def _first_values(connection: apsw.Connection, now: int) -> None:
    values: dict[str, apsw.SQLiteValue] = {"instance": os.urandom(16), "epoch": 0, "created": now}
    connection.executemany("INSERT INTO meta(key, value) VALUES(?, ?)", values.items())


def _copy_aside(connection: apsw.Connection, path: Path) -> None:
    # VACUUM INTO accepts an existing empty file.
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        connection.execute("VACUUM INTO ?", (str(path),))
        os.fsync(fd)
    finally:
        os.close(fd)
    sync_folder(path.parent)
