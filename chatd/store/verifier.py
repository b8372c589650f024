"""Is the log what it was? From the last verified point at each open, wholly on request."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import apsw

from chatd.errors import ChatdError
from chatd.store.chain import BadChain, genesis, walk
from chatd.store.database import (
    DATABASE_NAME,
    connect_reader,
    damaged,
    meta,
    meta_bytes,
    meta_int,
    query,
    set_meta,
    storage_errors,
)
from chatd.store.entry import Point
from chatd.store.mark import Mark, read_mark
from chatd.store.migrations import schema_version


class VerifyReport(NamedTuple):
    """What a verification found: ``bad_seq`` is the first bad entry, None when that cannot be said."""

    ok: bool
    head: int
    checked: int
    bad_seq: int | None
    reason: str


def verify(data: Path, *, full: bool, progress: Callable[[int], None] | None = None) -> VerifyReport:
    """Verify the log in ``data``, while a hub runs or not, and change nothing.

    ``full`` recomputes every link and checks SQLite's own structures and indexes; otherwise only what
    follows the last verified point. ``progress`` is given the seq reached every 10,000 entries.
    Damage is reported; raises E504 when the log cannot be read at all.
    """
    reached = [0]

    def step(seq: int) -> None:
        reached[0] = seq
        if progress is not None:
            progress(seq)

    try:
        with storage_errors("verify the event log"):
            # The mark first: a running hub only moves the database further ahead of it.
            mark = read_mark(data)
            if not (data / DATABASE_NAME).exists():
                raise damaged(f"{DATABASE_NAME} is missing")
            connection = connect_reader(data)
            try:
                if schema_version(connection) == 0:
                    raise damaged("the event log has lost its schema version")
                start = genesis(meta_bytes(connection, "instance")) if full else verified_point(connection)
                head = walk_to_mark(connection, mark, start, step)
                if full:
                    _structures(connection)
            finally:
                connection.close()
    except BadChain as error:
        return VerifyReport(False, reached[0], reached[0], error.seq, str(error))
    except ChatdError as error:
        if error.code != "E610":
            raise
        return VerifyReport(False, reached[0], reached[0], None, error.reason)
    return VerifyReport(True, head.seq, head.seq - start.seq, None, "")


def verify_tail(connection: apsw.Connection, mark: Mark | None) -> Point:
    """Verify what was appended since the last verified point; return the head. Raises E610."""
    try:
        return walk_to_mark(connection, mark, verified_point(connection))
    except BadChain as error:
        raise damaged(f"the event log is damaged at {error}") from error


def walk_to_mark(
    connection: apsw.Connection,
    mark: Mark | None,
    start: Point,
    progress: Callable[[int], None] | None = None,
) -> Point:
    """Walk from ``start`` to the head; the verified point and the mark must be met. Raises BadChain, E610."""
    verified = verified_point(connection)
    expected = {verified.seq: verified.chain_hash}
    if mark is not None:
        if meta_int(connection, "epoch") < mark.epoch:
            raise damaged(f"the database is an old copy: it does not know epoch {mark.epoch}")
        if mark.point.seq < start.seq and point_at(connection, mark.point.seq) != mark.point:
            raise BadChain(mark.point.seq, "not the entry that the high-water mark was set at")
        if expected.setdefault(*mark.point) != mark.point.chain_hash:
            raise BadChain(mark.point.seq, "not the entry that the high-water mark was set at")
    head = walk(connection, start, expected, progress)
    if mark is None and head.seq:
        raise damaged("the high-water mark is missing or unreadable")
    return head


def verified_point(connection: apsw.Connection) -> Point:
    """How far the log was verified before; whoever opens it goes on from there. Raises E610."""
    start = genesis(meta_bytes(connection, "instance"))
    if meta(connection, "verified_seq") is None:
        return start
    point = Point(meta_int(connection, "verified_seq"), meta_bytes(connection, "verified_chain"))
    if point_at(connection, point.seq) != point:
        raise damaged(f"entry {point.seq} is not the one that was verified before")
    return point


def set_verified(connection: apsw.Connection, point: Point) -> None:
    """Remember ``point``; inside a transaction of the caller."""
    set_meta(connection, "verified_seq", point.seq)
    set_meta(connection, "verified_chain", point.chain_hash)


def point_at(connection: apsw.Connection, seq: int) -> Point:
    """The point after entry ``seq`` as stored, not recomputed. Raises E610 when it is missing."""
    if seq == 0:
        return genesis(meta_bytes(connection, "instance"))
    rows = query(connection, "SELECT chain FROM events WHERE seq = ?", (seq,))
    if not rows or not isinstance(rows[0][0], bytes):
        raise damaged(f"entry {seq} is missing from the event log")
    return Point(seq, rows[0][0])


def _structures(connection: apsw.Connection) -> None:
    """The indexes: the chain covers the rows, but a lookup that misses one would be as bad."""
    found = query(connection, "PRAGMA integrity_check(1)")[0][0]
    if found != "ok":
        raise damaged(f"SQLite's structures are damaged: {found}")
