"""The lineage of the event log, kept in its meta table.

The first branch is not stored: its id is derived from the random ``instance`` of the log. Logs and backups
older than lineages therefore have one, too.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path

import apsw

from chatd.proto.lineage import Branch, parse_lineage, trimmed
from chatd.store.database import (
    DATABASE_NAME,
    damaged,
    meta,
    meta_bytes,
    meta_values,
    set_meta,
    storage_errors,
)

_KEY = "lineage"
_ID_BYTES = 16


def first_branch_id(instance: bytes) -> str:
    """The id of the first branch of a log, in hexadecimal."""
    return sha256(b"chatd/lineage/1\0" + instance).digest()[:_ID_BYTES].hex()


def read_lineage(connection: apsw.Connection) -> tuple[Branch, ...]:
    """Read all branches, the log's own last. Raises E610, apsw.Error."""
    first = first_branch_id(meta_bytes(connection, "instance"))
    value = meta(connection, _KEY)
    try:
        later = parse_lineage(json.loads(value)) if isinstance(value, str) else ()
    except (ValueError, RecursionError):
        raise damaged("the lineage in the log's meta table cannot be read") from None
    return (Branch(id=first, began=0), *later)


def branched(lineage: Sequence[Branch], head: int) -> dict[str, str]:
    """Return what to set in the log's meta table for a branch that begins at ``head``."""
    branches = trimmed((*lineage, Branch(id=os.urandom(_ID_BYTES).hex(), began=head)))
    return {_KEY: json.dumps([branch.model_dump() for branch in branches[1:]])}


def begin_branch(data: Path, head: int) -> None:
    """Add a branch that begins at ``head`` to the closed log in ``data``. Raises E504, E610."""
    with storage_errors("begin a lineage"):
        connection = apsw.Connection(str(data / DATABASE_NAME), flags=apsw.SQLITE_OPEN_READWRITE)
        try:
            # No WAL: the database is moved into place as one file.
            connection.pragma("journal_mode", "delete")
            connection.pragma("synchronous", "FULL")
            branch = branched(read_lineage(connection), head)
            connection.execute("BEGIN IMMEDIATE")
            # The stream of a cluster continues the log that this one branches off from.
            former = (*meta_values(connection, "stream_"), *meta_values(connection, "tail_key"))
            for name, value in (dict.fromkeys(former) | branch).items():
                set_meta(connection, name, value)
            connection.execute("COMMIT")
        finally:
            connection.close()
