"""The snapshot of the state: it counts only with its digest in the mark, as the chain does not cover it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple

import apsw

from chatd.store.chain import BadChain, point_at
from chatd.store.database import query
from chatd.store.entry import Entry, Point
from chatd.store.log_reader import COLUMNS, to_entry
from chatd.store.mark import read_snapshot_digests
from chatd.store.message_changes import NO_CHANGES

_READ = "SELECT seq, chain, state_hash, state FROM snapshot"
_WRITE = "INSERT OR REPLACE INTO snapshot(id, seq, chain, state_hash, state) VALUES(1, ?, ?, ?, ?)"
# The first condition lets SQLite use the index of all events that are not messages.
_STATE = f"""SELECT {COLUMNS} FROM events WHERE kind <> 'message' AND {NO_CHANGES}
 AND (body IS NOT NULL OR kind <> 'message_held') AND seq > ? ORDER BY seq LIMIT ?"""  # noqa: S608
_STATE_ROWS = 1_000  # rows of one query

# Whether a snapshot (its seq and bytes) is the result of the entries up to it. The store cannot tell: only
# the hub knows what its entries mean.
SnapshotCheck = Callable[[Iterator[Entry], int, bytes], bool]


class Snapshot(NamedTuple):
    """``state`` is the result of all entries up to ``point``."""

    point: Point
    state: bytes

    @property
    def digest(self) -> bytes:
        """The 32 bytes that the mark keeps of it."""
        return sha256(self.point.chain_hash + sha256(self.state).digest()).digest()


def read_snapshot(connection: apsw.Connection) -> Snapshot | None:
    """Return the stored snapshot, unproven; None if there is none. Raises BadChain for a damaged one."""
    rows = query(connection, _READ)
    if not rows:
        return None
    seq, chain_hash, state_hash, state = rows[0]
    # A damaged row may hold values of another type.
    if not isinstance(seq, int) or not all(isinstance(value, bytes) for value in (chain_hash, state)):
        raise BadChain(0, "the snapshot is damaged")
    if sha256(state).digest() != state_hash:
        raise BadChain(seq, "the snapshot made there is damaged")
    return Snapshot(Point(seq, chain_hash), state)


def write_snapshot(connection: apsw.Connection, snapshot: Snapshot) -> None:
    """Store a snapshot in place of the previous one, in the caller's transaction."""
    state_hash = sha256(snapshot.state).digest()
    connection.execute(_WRITE, (*snapshot.point, state_hash, snapshot.state))


def proven_snapshot(connection: apsw.Connection, data: Path) -> Snapshot | None:
    """Return the stored snapshot if the mark has its digest, otherwise None. Raises OSError."""
    try:
        snapshot = read_snapshot(connection)
    except BadChain:
        return None
    if snapshot is None or (snapshot.point.seq, snapshot.digest) not in read_snapshot_digests(data):
        return None
    return snapshot


def state_entries(connection: apsw.Connection, after: int, upto: int) -> Iterator[Entry]:
    """Yield every entry with after < seq <= ``upto`` that changes the state, in order. Raises E610.

    A held message whose text is gone has been decided.
    """
    while True:
        # Fetch whole pages: a statement left open would keep an old view of the log open.
        rows = query(connection, _STATE, (after, _STATE_ROWS))
        for entry in map(to_entry, rows):
            if entry.seq > upto:
                return
            yield entry
        if len(rows) < _STATE_ROWS:
            return
        after = rows[-1][0]


def check_snapshot(connection: apsw.Connection, agrees: SnapshotCheck) -> None:
    """Compare the stored snapshot with the verified entries. Raises BadChain, E610."""
    snapshot = read_snapshot(connection)
    if snapshot is None:
        return
    seq = snapshot.point.seq
    if point_at(connection, seq) != snapshot.point:
        raise BadChain(seq, "not the entry that the snapshot was made at")
    if not agrees(state_entries(connection, 0, seq), seq, snapshot.state):
        raise BadChain(
            seq, "the snapshot made there differs from the entries; the next start makes a new one"
        )
