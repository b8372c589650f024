"""Verify the log: at each open from the last proven snapshot on, on request completely."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

import apsw

from chatd.errors import ChatdError
from chatd.proto.signatures import SignedHead
from chatd.store.branches import read_lineage
from chatd.store.chain import BadChain, genesis, point_at, walk
from chatd.store.database import (
    DATABASE_NAME,
    connect_reader,
    damaged,
    meta_bytes,
    meta_int,
    query,
    storage_errors,
)
from chatd.store.entry import Point
from chatd.store.kept_heads import expected_by
from chatd.store.mark import Mark, read_mark
from chatd.store.message_changes import check_changes
from chatd.store.migrations import STEPS, require_schema, schema_version
from chatd.store.redactions import check_redactions
from chatd.store.snapshots import SnapshotCheck, check_snapshot, proven_snapshot


class VerifyReport(NamedTuple):
    """Result of a verification. ``bad_seq`` is the first bad entry, None if it is unknown."""

    ok: bool
    head: int
    checked: int
    bad_seq: int | None
    reason: str


def verify(
    data: Path,
    *,
    full: bool,
    agrees: SnapshotCheck | None = None,
    progress: Callable[[int], None] | None = None,
    heads: Sequence[SignedHead] = (),
) -> VerifyReport:
    """Verify the log in ``data`` without changing it; a hub may run meanwhile.

    ``full`` recomputes the whole chain and checks SQLite's structures and indexes. Otherwise only the entries
    after the last proven snapshot are checked. A snapshot that this does not prove is compared with the
    entries by ``agrees`` (`chatd.hub.recovery.snapshot_agrees`; None: not at all). ``progress`` gets the seq
    reached, every 10,000 entries. With ``full``, the log must contain ``heads``, whose signatures the caller
    has verified. Returns damage in the report; raises E504 if the log cannot be read.
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
                start = _genesis(connection) if full else _proven_start(connection, data)
                kept = expected_by(heads, meta_bytes(connection, "instance"), read_lineage(connection))
                head = _walk_to_mark(connection, mark, start, step, kept)
                if full:
                    _check_structures(connection)
                check_redactions(connection, start.seq)
                if full and schema_version(connection) == len(STEPS):
                    check_changes(connection)
                # The next open drops a snapshot of an older schema.
                if start.seq == 0 and agrees is not None and schema_version(connection) == len(STEPS):
                    check_snapshot(connection, agrees)
                # What these checks relied on may have been appended since.
                head = walk(connection, head, {}, step)
            finally:
                connection.close()
    except BadChain as error:
        return VerifyReport(False, reached[0], reached[0], error.seq, str(error))
    except ChatdError as error:
        if error.code != "E610":
            raise
        return VerifyReport(False, reached[0], reached[0], None, error.reason)
    return VerifyReport(True, head.seq, head.seq - start.seq, None, "")


def verify_tail(connection: apsw.Connection, data: Path, mark: Mark | None) -> Point:
    """Verify the entries after the last proven snapshot; return the head. Raises E610."""
    try:
        start = _proven_start(connection, data)
        head = _walk_to_mark(connection, mark, start)
        check_redactions(connection, start.seq)
    except BadChain as error:
        raise damaged(f"the event log is damaged at {error}") from error
    return head


def _walk_to_mark(
    connection: apsw.Connection,
    mark: Mark | None,
    start: Point,
    progress: Callable[[int], None] | None = None,
    kept: Mapping[int, bytes] = MappingProxyType({}),
) -> Point:
    """Walk from ``start`` to the head, past the mark and ``kept`` heads. Raises BadChain, E610."""
    expected = dict(kept)
    if mark is not None:
        if meta_int(connection, "epoch") < mark.epoch:
            raise damaged(f"the database is an old copy: it does not know epoch {mark.epoch}")
        if mark.point.seq < start.seq and point_at(connection, mark.point.seq) != mark.point:
            raise BadChain(mark.point.seq, "not the entry that the mark was set at")
        if expected.setdefault(mark.point.seq, mark.point.chain_hash) != mark.point.chain_hash:
            raise BadChain(mark.point.seq, "not the entry that a kept head names, as the mark already says")
    head = walk(connection, start, expected, progress)
    if mark is None and head.seq:
        raise damaged("the mark is missing or unreadable")
    return head


def _genesis(connection: apsw.Connection) -> Point:
    return genesis(meta_bytes(connection, "instance"))


def _proven_start(connection: apsw.Connection, data: Path) -> Point:
    """The point of the proven snapshot, otherwise before the first entry. Raises BadChain, E610, OSError.

    What the database itself says about an earlier verification proves nothing: whoever can change its entries
    can change that, too. The mark is outside.
    """
    snapshot = proven_snapshot(connection, data)
    if snapshot is None:
        return _genesis(connection)
    if point_at(connection, snapshot.point.seq) != snapshot.point:
        raise BadChain(snapshot.point.seq, "not the entry that the snapshot was made at")
    return snapshot.point


def _check_structures(connection: apsw.Connection) -> None:
    """Check the indexes. The chain covers the rows only, and a lookup that misses a row would be as bad."""
    found = query(connection, "PRAGMA integrity_check(1)")[0][0]
    if found != "ok":
        raise damaged(f"the database's structures are damaged: {found}")
