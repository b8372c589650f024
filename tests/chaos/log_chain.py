"""A second reader and verifier of the log, written from chatd/store/chain.py with the stdlib only.

    link = SHA-256(previous | seq | at | lengths | kind | room | device | msg_id | body_hash)
    body_hash = SHA-256(salt | length | digest | body)

seq is u64, at is i64, each length is u32, all big-endian; the length of NULL is 2^32 - 1. The first
entry follows SHA-256("chatd/log/1" 00 instance).
"""

from __future__ import annotations

import json
import shutil
import sqlite3
from collections.abc import Iterator, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any, NamedTuple

_ROWS = """SELECT seq, at, kind, room, device, msg_id, salt, digest, body_hash, body, chain
 FROM events ORDER BY seq"""
_NULL = 2**32 - 1


class Event(NamedTuple):
    """One entry as the checker needs it; ``body`` is the decoded JSON."""

    seq: int
    kind: str
    room: str | None
    device: str | None
    msg_id: str
    body: dict[str, Any]


class Log(NamedTuple):
    """All entries in order; ``fault`` says what is wrong with the chain, "" if nothing is."""

    events: list[Event]
    fault: str


def read_log(data: Path, scratch: Path) -> Log:
    """Copy a log that no process has open to ``scratch``, and read the copy."""
    scratch.mkdir(parents=True, exist_ok=True)
    for name in ("events.db", "events.db-wal"):
        (scratch / name).unlink(missing_ok=True)
        if (data / name).exists():
            shutil.copyfile(data / name, scratch / name)
    with sqlite3.connect(scratch / "events.db") as database:
        (instance,) = database.execute("SELECT value FROM meta WHERE key = 'instance'").fetchone()
        events, fault = [], ""
        previous = sha256(b"chatd/log/1\0" + instance).digest()
        for expected, row in enumerate(database.execute(_ROWS), 1):
            seq, _, kind, room, device, msg_id, _, _, _, body, chain = row
            if not fault:
                fault = _fault(previous, expected, row)
            previous = chain
            decoded = json.loads(body) if body is not None else {}
            events.append(Event(seq, kind, room, device, msg_id.hex() if msg_id else "", decoded))
    database.close()
    return Log(events, fault)


def _fault(previous: bytes, expected: int, row: tuple[Any, ...]) -> str:
    seq, at, kind, room, device, msg_id, salt, digest, body_hash, body, chain = row
    if seq != expected:
        return f"entry {expected} is missing, {seq} follows"
    texts = [kind.encode(), room and room.encode(), device and device.encode(), msg_id]
    if link(previous, seq, at, texts, body_hash) != chain:
        return f"entry {seq} does not fit the chain"
    if body is not None and hash_body(salt, digest, body) != body_hash:
        return f"entry {seq} has another body"
    return ""


def link(previous: bytes, seq: int, at: int, texts: Sequence[bytes | None], body_hash: bytes) -> bytes:
    """The chain hash after an entry; ``texts`` are kind, room, device and msg_id."""
    head = seq.to_bytes(8, "big") + at.to_bytes(8, "big", signed=True)
    head += b"".join(map(_length, texts))
    return sha256(previous + head + b"".join(part or b"" for part in texts) + body_hash).digest()


def hash_body(salt: bytes, digest: bytes | None, body: bytes) -> bytes:
    """The hash of a body in the chain."""
    return sha256(salt + _length(digest) + (digest or b"") + body).digest()


def _length(part: bytes | None) -> bytes:
    return (_NULL if part is None else len(part)).to_bytes(4, "big")


def messages(events: list[Event]) -> Iterator[Event]:
    """The entries that are messages, but for those that were redacted."""
    return (event for event in events if event.kind == "message" and event.body)
