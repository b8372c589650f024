"""Entries for tests of the event log; every field is derived from the seq."""

from __future__ import annotations

import json
from hashlib import sha256
from pathlib import Path

import apsw

from chatd.store.entry import Entry
from chatd.store.event_log import EventLog
from chatd.store.log_reader import LogReader

NOW = 1_700_000_000_000
ROOMS = ("#lobby", "#war", "@alice @bob", None)


def msg_id(seq: int) -> bytes:
    return sha256(b"id%d" % seq).digest()[:16]


def entry(seq: int, *, kind: str = "", room: str | None = "", text: str = "") -> Entry:
    """Make an entry. Every fifth one changes state; the rooms alternate."""
    kind = kind or ("message" if seq % 5 else "join")
    where = ROOMS[seq % len(ROOMS)] if room == "" else room
    event = {"user": "alice" if seq % 2 else "bob", "body": text or f"client-{seq} " + "x" * (seq * 7 % 90)}
    body = json.dumps(event).encode()
    return Entry(seq, NOW + seq, kind, where, "alice/laptop", msg_id(seq), sha256(body).digest()[:16], body)


def entries(first: int, count: int) -> list[Entry]:
    return [entry(seq) for seq in range(first, first + count)]


def order(seq: int, kind: str, room: str, **fields: object) -> Entry:
    """Make the entry of an event that redacts messages: `redacted` with target, `expired` with upto."""
    event = {"type": kind, "seq": seq, "at": NOW + seq, "room": room, **fields}
    return Entry(seq, NOW + seq, kind, room, "server/box", None, None, json.dumps(event).encode())


def make_older(connection: apsw.Connection, version: int) -> None:
    """Take out of a log's schema what came after ``version``."""
    if version < 5:
        connection.execute("DROP INDEX events_shown; DROP INDEX events_changes")
        connection.execute("CREATE INDEX events_room ON events(room)")
    if version < 4:
        connection.execute("DROP TABLE edits; DROP TABLE reactions")
    if version < 2:
        connection.execute("DROP INDEX events_kind")
    connection.pragma("user_version", version)


def filled(data: Path, count: int, *, batch: int = 50) -> EventLog:
    """Open a log and fill it up to ``count`` entries."""
    log = EventLog.open(data, now=NOW)
    for first in range(log.head + 1, count + 1, batch):
        log.append(entries(first, min(batch, count + 1 - first)))
    return log


def assert_holds(data: Path, at_least: int) -> int:
    """Check that the log holds exactly the entries 1..head, and that head >= ``at_least``; return head."""
    log = EventLog.open(data, now=NOW)
    reader = LogReader(data)
    try:
        assert log.head >= at_least
        for seq in range(1, log.head + 1):
            assert reader.entry(seq) == entry(seq)
            known = log.find("alice/laptop", msg_id(seq))
            assert known is not None
            assert known.seq == seq
        return log.head
    finally:
        reader.close()
        log.close()
