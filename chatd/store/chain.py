"""The hash chain over the event log, and the walk that recomputes it.

SQLite does not detect a flipped bit inside a row, and silently drops everything after a flipped bit in the
WAL; ``integrity_check`` passes both. Hence a hash in each row:

    chain_hash = SHA-256(previous | seq | at | lengths | kind | room | device | msg_id | body_hash)
    body_hash  = SHA-256(salt | length | digest | body)

The chain covers the hash of the body instead of the body, so it can still be verified after the body has been
redacted together with its salt and digest.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from hashlib import sha256
from struct import Struct
from struct import error as StructError

import apsw

from chatd.store.database import damaged, meta_bytes, query
from chatd.store.entry import Entry, Point

# seq, at, then the lengths of kind, room, device, msg_id. With the lengths first, no two different rows give
# the same bytes.
_HEAD = Struct(">QqIIII")
SALT_BYTES = 16
DIGEST_BYTES = 16
_LENGTH = Struct(">I")
_NONE = 0xFFFFFFFF  # the length of NULL, to tell it from an empty string

# Text is read as bytes: the text of a damaged row may not decode.
_ROWS = """SELECT e.seq, e.at, CAST(e.kind AS BLOB), CAST(e.room AS BLOB), CAST(e.device AS BLOB),
 e.msg_id, e.salt, e.digest, e.body_hash, e.body, e.chain, x.seq
 FROM events e LEFT JOIN erased x ON x.seq = e.seq WHERE e.seq > ? ORDER BY e.seq LIMIT ?"""
_ROWS_PER_QUERY = 500
_PROGRESS_EVERY = 10_000


class BadChain(Exception):
    """Entry ``seq`` is the first that is missing or changed."""

    def __init__(self, seq: int, reason: str) -> None:
        super().__init__(f"entry {seq}: {reason}")
        self.seq = seq
        self.reason = reason


def genesis(instance: bytes) -> Point:
    """The point before the first entry. It differs between logs, as ``instance`` is random."""
    return Point(0, sha256(b"chatd/log/1\0" + instance).digest())


def point_at(connection: apsw.Connection, seq: int) -> Point:
    """Read the stored point of entry ``seq``, without recomputing it. Raises E610 if it is missing."""
    if seq == 0:
        return genesis(meta_bytes(connection, "instance"))
    rows = query(connection, "SELECT chain FROM events WHERE seq = ?", (seq,))
    if not rows or not isinstance(rows[0][0], bytes):
        raise damaged(f"entry {seq} is missing from the event log")
    return Point(seq, rows[0][0])


def compute_chain_hash(
    previous: bytes,
    seq: int,
    at: int,
    kind: bytes,
    room: bytes | None,
    device: bytes | None,
    msg_id: bytes | None,
    body_hash: bytes,
) -> bytes:
    head = _HEAD.pack(
        seq,
        at,
        len(kind),
        _NONE if room is None else len(room),
        _NONE if device is None else len(device),
        _NONE if msg_id is None else len(msg_id),
    )
    parts = (previous, head, kind, room or b"", device or b"", msg_id or b"", body_hash)
    return sha256(b"".join(parts)).digest()


def hash_entry(previous: bytes, entry: Entry, salt: bytes) -> tuple[bytes, bytes]:
    """Return the salted hash of the body, and the chain hash after ``entry``."""
    body_hash = hash_body(salt, entry.digest, entry.body)
    chain_hash = compute_chain_hash(
        previous,
        entry.seq,
        entry.at,
        entry.kind.encode(),
        None if entry.room is None else entry.room.encode(),
        None if entry.device is None else entry.device.encode(),
        entry.msg_id,
        body_hash,
    )
    return body_hash, chain_hash


def hash_body(salt: bytes, digest: bytes | None, body: bytes) -> bytes:
    """Hash a body and its request's digest for the chain. Redaction removes the 16 random bytes of ``salt``
    as well, so that nobody can guess a short message from its hash."""
    length = _LENGTH.pack(_NONE if digest is None else len(digest))
    return sha256(b"".join((salt, length, digest or b"", body))).digest()


def draw_salts(entries: int) -> bytes:
    """Return random salts for this number of entries, one after the other."""
    return os.urandom(SALT_BYTES * entries)


def fits(salt: object, digest: object, body: object, body_hash: object) -> bool:
    """Whether a body and a digest are unchanged since they were appended."""
    if not isinstance(body, bytes) or not isinstance(salt, bytes):
        return False
    if not (digest is None or isinstance(digest, bytes)):
        return False
    # With other lengths, bytes could move between salt, digest and body under the same hash.
    if len(salt) != SALT_BYTES or (digest is not None and len(digest) != DIGEST_BYTES):
        return False
    return hash_body(salt, digest, body) == body_hash


def walk(
    connection: apsw.Connection,
    start: Point,
    expected: Mapping[int, bytes],
    progress: Callable[[int], None] | None = None,
) -> Point:
    """Recompute the chain after ``start``; return the point at the head.

    ``expected`` maps seqs to chain hashes that must match; those before ``start`` are ignored. ``progress``
    is called every 10,000 entries. Raises BadChain at the first bad entry, apsw.Error if SQLite cannot read.
    """
    point = start
    try:
        _meet(point, expected)
        # Page by page: a statement left open for long would block the writer's checkpoints.
        while rows := query(connection, _ROWS, (point.seq, _ROWS_PER_QUERY)):
            for row in rows:
                point = _step(point, row)
                _meet(point, expected)
                if progress is not None and point.seq % _PROGRESS_EVERY == 0:
                    progress(point.seq)
    except apsw.CorruptError as error:
        raise BadChain(point.seq + 1, str(error)) from error
    if max(expected, default=0) > point.seq:
        raise BadChain(point.seq + 1, f"missing; the log once reached entry {max(expected)}")
    return point


def _meet(point: Point, expected: Mapping[int, bytes]) -> None:
    if expected.get(point.seq, point.chain_hash) != point.chain_hash:
        raise BadChain(point.seq, "not the entry that was there before")


def _step(point: Point, row: tuple[apsw.SQLiteValue, ...]) -> Point:
    seq, at, kind, room, device, msg_id, salt, digest, body_hash, body, chain_hash, redacted = row
    expected_seq = point.seq + 1
    if seq != expected_seq:
        raise BadChain(expected_seq, "missing")
    try:
        computed = compute_chain_hash(point.chain_hash, seq, at, kind, room, device, msg_id, body_hash)  # type: ignore[arg-type]
    except (StructError, TypeError) as error:  # a damaged row may hold values of another type
        raise BadChain(expected_seq, "a column has the wrong type") from error
    if computed != chain_hash:
        raise BadChain(expected_seq, "does not fit the chain")
    if body is None:
        if redacted is None:
            raise BadChain(expected_seq, "the body is missing but was never redacted")
        if salt is not None or digest is not None:
            raise BadChain(expected_seq, "it was redacted, but not its salt and digest")
    elif redacted is not None:
        raise BadChain(expected_seq, "it counts as redacted but has a body")
    elif not fits(salt, digest, body, body_hash):
        raise BadChain(expected_seq, "the body was changed")
    return Point(expected_seq, computed)
