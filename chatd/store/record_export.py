"""The log as JSON Lines for somebody who has nothing else: a header, then the events with their hashes.

docs/export.md is the description. A stranger verifies with that and a SHA-256; `check_export` does the same.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from struct import error as StructError
from typing import Any, NamedTuple

import apsw

from chatd.store.branches import read_lineage
from chatd.store.chain import compute_chain_hash, fits, genesis, hash_body
from chatd.store.database import connect_reader, damaged, meta_bytes, query, storage_errors
from chatd.store.entry import Point
from chatd.store.migrations import schema_version
from chatd.store.verifier import point_at

SCHEMA = 1
_ROWS_AT_ONCE = 500
_ROWS = """SELECT e.seq, e.at, e.kind, e.room, e.device, e.msg_id, e.salt, e.digest, e.body_hash, e.body,
 e.chain, x.by_seq FROM events e LEFT JOIN erased x ON x.seq = e.seq
 WHERE e.seq > ? AND e.seq <= ? ORDER BY e.seq LIMIT ?"""
# The whole stretch from the first event of the time to the last: clocks are set, the numbers are not.
_RANGE = "SELECT min(seq), max(seq) FROM events WHERE at >= ? AND at < ?"
_LATEST = 2**62

ExportProgress = Callable[[int, int], None]  # the seq reached, of which


class Choice(NamedTuple):
    """What to export: bodies of one room (None: of all), events from ``since`` to before ``until``, in ms."""

    room: str | None = None
    since: int | None = None
    until: int | None = None


def export(
    data: Path, server: str, choice: Choice, made: str, progress: ExportProgress
) -> Iterator[dict[str, Any]]:
    """The header, then every event; a hub may write meanwhile. Each is verified before it is given.

    Raises E610 for what is not as it was appended, E504 when the log cannot be read.
    """
    with storage_errors("export the event log"):
        connection = connect_reader(data)
        try:
            if schema_version(connection) == 0:
                raise damaged("the event log has lost its schema version")
            first, last = _stretch(connection, choice)
            point, end = point_at(connection, first - 1), point_at(connection, last)
            yield {
                "schema": SCHEMA,
                "type": "export",
                "server": server,
                "made": made,
                "log": meta_bytes(connection, "instance").hex(),
                "lineage": [branch.model_dump() for branch in read_lineage(connection)],
                "choice": choice._asdict(),
                "start": _place(point),
                "head": _place(end),
            }
            while point.seq < end.seq:
                rows = query(connection, _ROWS, (point.seq, end.seq, _ROWS_AT_ONCE))
                if not rows:
                    raise damaged(f"entry {point.seq + 1} is missing from the event log")
                for row in rows:
                    line, point = _line(row, point, choice.room)
                    yield line
                progress(point.seq - first + 1, last - first + 1)
        finally:
            connection.close()


def _stretch(connection: apsw.Connection, choice: Choice) -> tuple[int, int]:
    """The first and the last seq; (n + 1, n) when there is none."""
    since, until = choice.since or 0, _LATEST if choice.until is None else choice.until
    first, last = query(connection, _RANGE, (since, until))[0]
    if first is None:
        head = query(connection, "SELECT coalesce(max(seq), 0) FROM events")[0][0]
        return head + 1, head
    return first, last


def _place(point: Point) -> dict[str, Any]:
    return {"seq": point.seq, "chain": point.chain_hash.hex()}


def _line(row: tuple[Any, ...], before: Point, room_wanted: str | None) -> tuple[dict[str, Any], Point]:
    seq, at, kind, room, device, msg_id, salt, digest, body_hash, body, chain, erased_by = row
    line = {"seq": seq, "at": at, "kind": kind, "room": room, "device": device, "msg_id": _hex(msg_id)}
    line |= {"body_hash": body_hash.hex(), "chain": chain.hex()}
    if body is None:
        line["erased_by"] = erased_by
    elif not fits(salt, digest, body, body_hash):
        raise damaged(f"the body of entry {seq} is damaged")
    elif room_wanted in (None, room):
        line |= {"salt": salt.hex(), "digest": _hex(digest), "body": body.decode()}
    if seq != before.seq + 1 or _link(before.chain_hash, line) != chain:
        raise damaged(f"entry {before.seq + 1} does not fit the chain")
    return line, Point(seq, chain)


def _hex(value: bytes | None) -> str | None:
    return None if value is None else value.hex()


# --- the other side -----------------------------------------------------------------------------


class ExportReport(NamedTuple):
    """What `check_export` found: ``first`` and ``head`` are seqs, the others count events."""

    ok: bool
    first: int
    head: int
    shown: int
    erased: int
    withheld: int
    bad_line: int | None
    reason: str
    header: dict[str, Any]


class _Bad(Exception):
    pass


def check_export(lines: Iterable[bytes], progress: ExportProgress) -> ExportReport:
    """Verify an export from nothing but its own lines; never raises for what is in them."""
    counts = {"shown": 0, "erased": 0, "withheld": 0}
    header: dict[str, Any] = {}
    number, point, first, last = 0, Point(0, b""), 1, 0
    reason, bad = "", None
    try:
        for number, text in enumerate(lines, 1):
            line = _object(text)
            if number == 1:
                header = line
                point, last = _opening(line)
                first = point.seq + 1
                continue
            point = _follow(point, line)
            counts[_kind_of(line)] += 1
            progress(point.seq - first + 1, last - first + 1)
        number += 1
        if not header or _place(point) != header["head"]:
            raise _Bad("the export ends before the head that its first line tells")
    except _Bad as error:
        reason, bad = str(error), number
    except (ValueError, TypeError, KeyError, AttributeError, StructError, RecursionError):
        reason, bad = "this line is not one of an export", number
    return ExportReport(not reason, first, point.seq, bad_line=bad, reason=reason, header=header, **counts)


def _object(text: bytes) -> dict[str, Any]:
    value = json.loads(text)
    if not isinstance(value, dict):
        raise TypeError
    return value


def _opening(header: dict[str, Any]) -> tuple[Point, int]:
    if header["type"] != "export" or header["schema"] != SCHEMA:
        raise _Bad("this is not an export, or one of a newer chatd")
    start = Point(header["start"]["seq"], bytes.fromhex(header["start"]["chain"]))
    if start.seq == 0 and start != genesis(bytes.fromhex(header["log"])):
        raise _Bad("the export does not begin where its log does")
    return start, int(header["head"]["seq"])


def _follow(before: Point, line: dict[str, Any]) -> Point:
    seq = before.seq + 1
    if line["seq"] != seq:
        raise _Bad(f"event {seq} is missing")
    chain = _link(before.chain_hash, line)
    if chain.hex() != line["chain"]:
        raise _Bad(f"event {seq} does not fit the chain")
    if "body" in line:
        digest = None if line["digest"] is None else bytes.fromhex(line["digest"])
        told = hash_body(bytes.fromhex(line["salt"]), digest, line["body"].encode())
        if told.hex() != line["body_hash"]:
            raise _Bad(f"the body of event {seq} is not the one that was logged")
    return Point(seq, chain)


def _link(before: bytes, line: dict[str, Any]) -> bytes:
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


def _kind_of(line: dict[str, Any]) -> str:
    if "body" in line:
        return "shown"
    return "erased" if "erased_by" in line else "withheld"
