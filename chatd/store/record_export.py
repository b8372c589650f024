"""Export the log as JSON Lines that anybody can verify: a header, then the events with their hashes.

docs/export.md describes the format; it and SHA-256 are enough to verify an export, as `check_export` does.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from struct import error as StructError
from typing import Any, NamedTuple

import apsw

from chatd.store.branches import read_lineage
from chatd.store.chain import compute_chain_hash, fits, genesis, hash_body, point_at
from chatd.store.database import connect_reader, damaged, head_seq, meta_bytes, query, storage_errors
from chatd.store.entry import Point
from chatd.store.log_reader import damaged_body
from chatd.store.migrations import require_schema

SCHEMA = 1
_ROWS_PER_QUERY = 500
_ROWS = """SELECT e.seq, e.at, e.kind, e.room, e.device, e.msg_id, e.salt, e.digest, e.body_hash, e.body,
 e.chain, x.by_seq FROM events e LEFT JOIN erased x ON x.seq = e.seq
 WHERE e.seq > ? AND e.seq <= ? ORDER BY e.seq LIMIT ?"""
# All seqs from the first event in the time range to the last: clocks may jump, seqs do not.
_RANGE = "SELECT min(seq), max(seq) FROM events WHERE at >= ? AND at < ?"
_LATEST = 2**62

ExportProgress = Callable[[int, int], None]  # number of events done, of how many


class Choice(NamedTuple):
    """The selection to export: bodies of one room (None: of all), events with since <= at < until, in ms."""

    room: str | None = None
    since: int | None = None
    until: int | None = None


def export(
    data: Path, server: str, choice: Choice, made: str, progress: ExportProgress
) -> Iterator[dict[str, Any]]:
    """Yield the header, then every event, each verified. A hub may write meanwhile.

    Raises E610 for damage, E504 if the log cannot be read.
    """
    with storage_errors("export the event log"):
        connection = connect_reader(data)
        try:
            require_schema(connection)
            first, last = _seq_range(connection, choice)
            point, end = point_at(connection, first - 1), point_at(connection, last)
            yield {
                "schema": SCHEMA,
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
    seq, at, kind, room, device, msg_id, salt, digest, body_hash, body, chain_hash, erased_by = row
    line = {"seq": seq, "at": at, "kind": kind, "room": room, "device": device, "msg_id": _hex(msg_id)}
    line |= {"body_hash": body_hash.hex(), "chain": chain_hash.hex()}
    if body is None:
        line["erased_by"] = erased_by
    elif not fits(salt, digest, body, body_hash):
        raise damaged_body(seq)
    elif only_room in (None, room):
        line |= {"salt": salt.hex(), "digest": _hex(digest), "body": body.decode()}
    if seq != before.seq + 1 or _chain_hash(before.chain_hash, line) != chain_hash:
        raise damaged(f"entry {before.seq + 1} does not fit the chain")
    return line, Point(seq, chain_hash)


def _hex(value: bytes | None) -> str | None:
    return None if value is None else value.hex()


# --- checking an export -------------------------------------------------------------------------


class ExportReport(NamedTuple):
    """``first`` and ``head`` are seqs; ``shown``, ``erased`` and ``withheld`` count events."""

    ok: bool
    first: int
    head: int
    shown: int
    erased: int
    withheld: int
    bad_line: int | None
    reason: str
    header: dict[str, Any]


class _BadExportError(Exception):
    pass


def check_export(lines: Iterable[bytes], progress: ExportProgress) -> ExportReport:
    """Verify an export using nothing but its lines. Never raises because of their content."""
    counts = Counter(shown=0, erased=0, withheld=0)
    header: dict[str, Any] = {}
    number, point, first, last = 0, Point(0, b""), 1, 0
    reason, bad_line = "", None
    try:
        for number, text in enumerate(lines, 1):
            line = _object(text)
            if number == 1:
                header = line
                point, last = _opening(line)
                first = point.seq + 1
                continue
            point = _follow(point, line)
            counts[_body_state(line)] += 1
            progress(point.seq - first + 1, last - first + 1)
        number += 1
        if not header or _point_json(point) != header["head"]:
            raise _BadExportError("the export ends before the head that its first line names")
    except _BadExportError as error:
        reason, bad_line = str(error), number
    except (ValueError, TypeError, KeyError, AttributeError, StructError, RecursionError):
        reason, bad_line = "this is not a line of an export", number
    return ExportReport(
        not reason, first, point.seq, bad_line=bad_line, reason=reason, header=header, **counts
    )


def _object(text: bytes) -> dict[str, Any]:
    value = json.loads(text)
    if not isinstance(value, dict):
        raise TypeError
    return value


def _opening(header: dict[str, Any]) -> tuple[Point, int]:
    if header["type"] != "export" or header["schema"] != SCHEMA:
        raise _BadExportError("this is not an export, or it is from a newer chatd")
    start = Point(header["start"]["seq"], bytes.fromhex(header["start"]["chain"]))
    if start.seq == 0 and start != genesis(bytes.fromhex(header["log"])):
        raise _BadExportError("the first event does not begin the chain of this log")
    return start, int(header["head"]["seq"])


def _follow(before: Point, line: dict[str, Any]) -> Point:
    seq = before.seq + 1
    if line["seq"] != seq:
        raise _BadExportError(f"event {seq} is missing")
    chain_hash = _chain_hash(before.chain_hash, line)
    if chain_hash.hex() != line["chain"]:
        raise _BadExportError(f"event {seq} does not fit the chain")
    if "body" in line:
        digest = None if line["digest"] is None else bytes.fromhex(line["digest"])
        computed = hash_body(bytes.fromhex(line["salt"]), digest, line["body"].encode())
        if computed.hex() != line["body_hash"]:
            raise _BadExportError(f"the body of event {seq} was changed")
    return Point(seq, chain_hash)


def _chain_hash(before: bytes, line: dict[str, Any]) -> bytes:
    room, device, msg_id = line["room"], line["device"], line["msg_id"]
    return compute_chain_hash(
        before,
        line["seq"],
        line["at"],
        line["kind"].encode(),
        None if room is None else room.encode(),
        None if device is None else device.encode(),
        None if msg_id is None else bytes.fromhex(msg_id),
        bytes.fromhex(line["body_hash"]),
    )


def _body_state(line: dict[str, Any]) -> str:
    if "body" in line:
        return "shown"
    return "erased" if "erased_by" in line else "withheld"
