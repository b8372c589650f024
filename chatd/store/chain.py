"""The hash chain over the event log, and the walk that recomputes it.

SQLite does not notice a flipped bit inside a row, and drops what follows a flipped bit in the WAL
without a word; ``integrity_check`` calls both healthy. Hence a link per row:

    link = SHA-256(previous | seq | at | lengths | kind | room | device | msg_id | body_hash)
    body_hash = SHA-256(salt | length | digest | body)

The link covers the hash of the body and not the body, so that a body can be erased, with its salt and
digest, and the chain still be verified.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from hashlib import sha256
from struct import Struct
from struct import error as StructError

import apsw

from chatd.store.database import query
from chatd.store.entry import Entry, Point

# seq, at, then the lengths of kind, room, device, msg_id: with every length in front no two different
# rows can give the same bytes.
_HEAD = Struct(">QqIIII")
_LENGTH = Struct(">I")
_NONE = 0xFFFFFFFF  # the length of NULL, which is not the same as empty

# Text is read as bytes: a damaged row may hold text that does not decode.
_ROWS = """SELECT e.seq, e.at, CAST(e.kind AS BLOB), CAST(e.room AS BLOB), CAST(e.device AS BLOB),
 e.msg_id, e.salt, e.digest, e.body_hash, e.body, e.chain, x.seq
 FROM events e LEFT JOIN erased x ON x.seq = e.seq WHERE e.seq > ? ORDER BY e.seq LIMIT ?"""
_ROWS_AT_ONCE = 500
_PROGRESS_EVERY = 10_000


class BadChain(Exception):
    """``seq`` is the first entry that is missing or not what was appended."""

    def __init__(self, seq: int, reason: str) -> None:
        super().__init__(f"entry {seq}: {reason}")
        self.seq = seq
        self.reason = reason


def genesis(instance: bytes) -> Point:
    """The point before the first entry; ``instance`` makes it differ between installations."""
    return Point(0, sha256(b"chatd/log/1\0" + instance).digest())


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
    """The chain value after this entry."""
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
    """The salted hash of the body and the chain value after ``entry``."""
    body_hash = hash_body(salt, entry.digest, entry.body)
    chain = compute_chain_hash(
        previous,
        entry.seq,
        entry.at,
        entry.kind.encode(),
        None if entry.room is None else entry.room.encode(),
        None if entry.device is None else entry.device.encode(),
        entry.msg_id,
        body_hash,
    )
    return body_hash, chain


def hash_body(salt: bytes, digest: bytes | None, body: bytes) -> bytes:
    """What the chain keeps of a body and its request's digest. The 16 random bytes of ``salt`` go with
    them when they are erased, so that a short message cannot be guessed from its hash."""
    length = _LENGTH.pack(_NONE if digest is None else len(digest))
    return sha256(b"".join((salt, length, digest or b"", body))).digest()


def fits(salt: object, digest: object, body: object, body_hash: object) -> bool:
    """Whether a body and a digest are the ones that were appended."""
    if not isinstance(body, bytes) or not isinstance(salt, bytes):
        return False
    return (digest is None or isinstance(digest, bytes)) and hash_body(salt, digest, body) == body_hash


def walk(
    connection: apsw.Connection,
    start: Point,
    expected: Mapping[int, bytes],
    progress: Callable[[int], None] | None = None,
) -> Point:
    """Recompute every link after ``start``; return the point at the head.

    ``expected`` are chain values that must be met (those before ``start`` are not looked at).
    Raises BadChain at the first entry that does not fit, apsw.Error when SQLite cannot read at all.
    """
    point = start
    try:
        _meet(point, expected)
        # Piece by piece: a statement left open for long would hold up the writer's checkpoints.
        while rows := query(connection, _ROWS, (point.seq, _ROWS_AT_ONCE)):
            for row in rows:
                point = _step(point, row)
                _meet(point, expected)
                if progress is not None and point.seq % _PROGRESS_EVERY == 0:
                    progress(point.seq)
    except apsw.CorruptError as error:
        raise BadChain(point.seq + 1, str(error)) from error
    if max(expected, default=0) > point.seq:
        raise BadChain(point.seq + 1, f"missing; the log did reach {max(expected)} before")
    return point


def _meet(point: Point, expected: Mapping[int, bytes]) -> None:
    if expected.get(point.seq, point.chain_hash) != point.chain_hash:
        raise BadChain(point.seq, "not the entry that was there before")


def _step(point: Point, row: tuple[apsw.SQLiteValue, ...]) -> Point:
    seq, at, kind, room, device, msg_id, salt, digest, body_hash, body, chain, erased = row
    want = point.seq + 1
    if seq != want:
        raise BadChain(want, "missing")
    try:
        computed = compute_chain_hash(point.chain_hash, seq, at, kind, room, device, msg_id, body_hash)  # type: ignore[arg-type]
    except (StructError, TypeError) as error:  # a damaged row may hold values of another type
        raise BadChain(want, "a column has the wrong type") from error
    if computed != chain:
        raise BadChain(want, "does not fit the chain")
    if body is None:
        if erased is None:
            raise BadChain(want, "the body is gone but was never erased")
    elif not fits(salt, digest, body, body_hash):
        raise BadChain(want, "the body is not the one that was appended")
    return Point(want, computed)
