"""Verify the log: at each open from the last verified point on, on request completely."""

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
from chatd.store.migrations import require_schema


class VerifyReport(NamedTuple):
    """Result of a verification. ``bad_seq`` is the first bad entry, None if it is unknown."""

    ok: bool
    head: int
    checked: int
    bad_seq: int | None
    reason: str


def verify(data: Path, *, full: bool, progress: Callable[[int], None] | None = None) -> VerifyReport:
    """Verify the log in ``data`` without changing it; a hub may run meanwhile.

    ``full`` recomputes the whole chain and checks SQLite's structures and indexes; otherwise only entries
    after the last verified point are checked. ``progress`` gets the seq reached, every 10,000 entries.
    Returns damage in the report; raises E504 if the log cannot be read.
    """
    reached = [0]

    def step(seq: int) -> None:
        reached[0] = seq
        if progress is not None:
            progress(seq)

    try:
        with storage_errors("verify the event log"):
            # Read the mark first: a running hub only moves the database further ahead of it.
            mark = read_mark(data)
            if not (data / DATABASE_NAME).exists():
                raise damaged(f"{DATABASE_NAME} is missing")
            connection = connect_reader(data)
            try:
                require_schema(connection)
                start = genesis(meta_bytes(connection, "instance")) if full else verified_point(connection)
                head = walk_to_mark(connection, mark, start, step)
                if full:
                    _check_structures(connection)
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
    """Verify the entries after the last verified point; return the head. Raises E610."""
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
    """Walk from ``start`` to the head, past the verified point and the mark. Raises BadChain, E610."""
    verified = verified_point(connection)
    expected = {verified.seq: verified.chain_hash}
    if mark is not None:
        if meta_int(connection, "epoch") < mark.epoch:
            raise damaged(f"the database is an old copy: it does not know epoch {mark.epoch}")
        before_start = mark.point.seq < start.seq
        if (before_start and point_at(connection, mark.point.seq) != mark.point) or (
            expected.setdefault(*mark.point) != mark.point.chain_hash
        ):
            raise BadChain(mark.point.seq, "not the entry that the mark was set at")
    head = walk(connection, start, expected, progress)
    if mark is None and head.seq:
        raise damaged("the mark is missing or unreadable")
    return head


def verified_point(connection: apsw.Connection) -> Point:
    """The point up to which an earlier open verified the log. Raises E610."""
    start = genesis(meta_bytes(connection, "instance"))
    if meta(connection, "verified_seq") is None:
        return start
    point = Point(meta_int(connection, "verified_seq"), meta_bytes(connection, "verified_chain"))
    if point_at(connection, point.seq) != point:
        raise damaged(f"entry {point.seq} is not the one that was verified before")
    return point


def set_verified(connection: apsw.Connection, point: Point) -> None:
    """Store ``point`` as verified, in the caller's transaction."""
    set_meta(connection, "verified_seq", point.seq)
    set_meta(connection, "verified_chain", point.chain_hash)


def point_at(connection: apsw.Connection, seq: int) -> Point:
    """Read the stored point of entry ``seq``, without recomputing it. Raises E610 if it is missing."""
    if seq == 0:
        return genesis(meta_bytes(connection, "instance"))
    rows = query(connection, "SELECT chain FROM events WHERE seq = ?", (seq,))
    if not rows or not isinstance(rows[0][0], bytes):
        raise damaged(f"entry {seq} is missing from the event log")
    return Point(seq, rows[0][0])


def _check_structures(connection: apsw.Connection) -> None:
    """Check the indexes. The chain covers the rows only, and a lookup that misses a row would be as bad."""
    found = query(connection, "PRAGMA integrity_check(1)")[0][0]
    if found != "ok":
        raise damaged(f"the database's structures are damaged: {found}")
