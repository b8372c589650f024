"""Export the log as JSON Lines that anybody can verify: a header, then the events with their hashes.

docs/export.md describes the format; it and SHA-256 are enough to verify an export, as
`chatd.store.export_verifier` does.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import apsw

from chatd.store.branches import read_lineage
from chatd.store.chain import fits, point_at
from chatd.store.database import connect_reader, damaged, head_seq, meta_bytes, query, storage_errors
from chatd.store.entry import Point
from chatd.store.export_format import SCHEMA, SIGNED_SCHEMA, ShownEvent, parse_event
from chatd.store.export_verifier import ExportProgress
from chatd.store.log_reader import damaged_body
from chatd.store.message_changes import WRITTEN_KINDS
from chatd.store.migrations import require_schema
from chatd.store.redactions import covers

_ROWS_PER_QUERY = 500
_ROWS = """SELECT e.seq, e.at, e.kind, e.room, e.device, e.msg_id, e.salt, e.digest, e.body_hash, e.body,
 e.chain, x.by_seq, o.kind, o.room, o.body FROM events e LEFT JOIN erased x ON x.seq = e.seq
 LEFT JOIN events o ON o.seq = x.by_seq
 WHERE e.seq > ? AND e.seq <= ? ORDER BY e.seq LIMIT ?"""
# All seqs from the first event in the time range to the last: clocks may jump, seqs do not.
_RANGE = "SELECT min(seq), max(seq) FROM events WHERE at >= ? AND at < ?"
_LATEST = 2**62


class Choice(NamedTuple):
    """The selection to export: bodies of one room (None: of all), events with since <= at < until, in ms."""

    room: str | None = None
    since: int | None = None
    until: int | None = None


def export(
    data: Path, server: str, choice: Choice, made: str, progress: ExportProgress, *, signed: bool = False
) -> Iterator[dict[str, Any]]:
    """Yield the header, then every event, each verified. A hub may write meanwhile.

    If it is to be ``signed``, the caller adds the signature of the first line as the last. Raises E610
    for damage, E504 if the log cannot be read.
    """
    with storage_errors("export the event log"):
        connection = connect_reader(data)
        try:
            # One view of the log: no event is redacted by one after the head.
            connection.execute("BEGIN")
            require_schema(connection)
            first, last = _seq_range(connection, choice)
            point, end = point_at(connection, first - 1), point_at(connection, last)
            yield {
                "schema": SIGNED_SCHEMA if signed else SCHEMA,
                "type": "export",
                "server": server,
                "made": made,
                "log": meta_bytes(connection, "instance").hex(),
                "lineage": [branch.model_dump() for branch in read_lineage(connection)],
                "choice": choice._asdict(),
                "start": _point_json(point),
                "head": _point_json(end),
            }
            while point.seq < end.seq:
                rows = query(connection, _ROWS, (point.seq, end.seq, _ROWS_PER_QUERY))
                if not rows:
                    raise damaged(f"entry {point.seq + 1} is missing from the event log")
                for row in rows:
                    line, point = _line(row, point, choice.room)
                    yield line
                progress(point.seq - first + 1, last - first + 1)
        finally:
            connection.close()


def _seq_range(connection: apsw.Connection, choice: Choice) -> tuple[int, int]:
    """The first and last seq of a choice; (head + 1, head) if it has no events."""
    since, until = choice.since or 0, _LATEST if choice.until is None else choice.until
    first, last = query(connection, _RANGE, (since, until))[0]
    if first is None:
        head = head_seq(connection)
        return head + 1, head
    return first, last


def _point_json(point: Point) -> dict[str, Any]:
    return {"seq": point.seq, "chain": point.chain_hash.hex()}


def _line(row: tuple[Any, ...], before: Point, only_room: str | None) -> tuple[dict[str, Any], Point]:
    seq, at, kind, room, device, msg_id, salt, digest, body_hash, body, chain_hash, by_seq = row[:12]
    order: tuple[object, object, object] = row[12:]
    line = {"seq": seq, "at": at, "kind": kind, "room": room, "device": device, "msg_id": _hex(msg_id)}
    line |= {"body_hash": body_hash.hex(), "chain": chain_hash.hex()}
    if body is None:
        line["erased_by"] = by_seq
        order_kind, order_room, order_body = order
        covered = (
            by_seq is not None and by_seq > seq and covers(order_kind, order_room, order_body, seq, room)
        )
        if kind not in WRITTEN_KINDS or not covered:
            raise damaged(f"the body of entry {seq} is missing, and no event redacts it")
    elif by_seq is not None or not fits(salt, digest, body, body_hash):
        raise damaged_body(seq)
    elif only_room in (None, room):
        line |= {"salt": salt.hex(), "digest": _hex(digest), "body": body.decode()}
    try:
        event = parse_event(line)
    except ValueError as error:
        raise damaged(f"entry {seq} is not an event of this server") from error
    if isinstance(event, ShownEvent) and not event.agrees():
        raise damaged_body(seq)
    if seq != before.seq + 1 or event.chain_hash(before.chain_hash) != chain_hash:
        raise damaged(f"entry {before.seq + 1} does not fit the chain")
    return line, Point(seq, chain_hash)


def _hex(value: bytes | None) -> str | None:
    return None if value is None else value.hex()
