"""Check that every redaction was ordered by a logged event, and that every such event was carried out.

The chain covers the hash of a body only, so it still fits after anybody has removed a body. The events
`redacted`, `expired`, `edited` and the decisions about held messages are in the chain: they prove which
bodies the hub itself has removed.
"""

from __future__ import annotations

import json
from functools import lru_cache
from typing import Any, NamedTuple

import apsw

from chatd.store.chain import BadChain
from chatd.store.database import query
from chatd.store.message_changes import CHANGES, NO_CHANGES, WRITTEN_KINDS

# The kinds of event that redact what people wrote.
DECISIONS = ("message_approved", "message_refused")
ORDERS = ("redacted", "expired", "edited", *DECISIONS)
_ROWS_PER_QUERY = 500
_REDACTED = """SELECT x.seq, e.kind, e.room, x.by_seq, o.kind, o.room, o.body FROM erased x
 LEFT JOIN events e ON e.seq = x.seq LEFT JOIN events o ON o.seq = x.by_seq
 WHERE x.seq > ? ORDER BY x.seq LIMIT ?"""
# The first condition lets SQLite use the index of all events that are not messages.
_ORDERS = """SELECT seq, kind, room, body FROM events WHERE kind <> 'message'
 AND kind IN ('redacted', 'expired', 'edited', 'message_approved', 'message_refused')
 AND seq > ? ORDER BY seq LIMIT ?"""
_IS_REDACTED = "SELECT 1 FROM erased WHERE seq = ?"
_NOT_REDACTED = tuple(
    f"SELECT seq FROM events WHERE room = ? AND seq > ? AND seq <= ? AND {which} AND body IS NOT NULL"  # noqa: S608
    " ORDER BY seq LIMIT 1"
    for which in (f"{NO_CHANGES} AND kind = 'message'", CHANGES)
)


class Covered(NamedTuple):
    """What an event redacts in its room: all that people wrote up to ``upto``, and the entries ``seqs``."""

    upto: int = 0
    seqs: frozenset[int] = frozenset()


def check_redactions(connection: apsw.Connection, after: int) -> None:
    """Check the redactions of entries after seq ``after``, of which the chain was verified.

    Raises BadChain for a body removed without an event that covers it, and for one that is still there
    although such an event exists; apsw.Error.
    """
    seq = after
    while rows := query(connection, _REDACTED, (seq, _ROWS_PER_QUERY)):
        for seq, kind, room, by_seq, order_kind, order_room, order_body in rows:
            # A damaged row may hold values of another type.
            later = isinstance(by_seq, int) and by_seq > seq
            covered = later and covers(order_kind, order_room, order_body, seq, room)
            if kind not in WRITTEN_KINDS or not covered:
                raise BadChain(seq, f"the body is missing, and event {by_seq} does not redact it")
    _check_orders(connection, after)


def covers(kind: object, order_room: object, body: object, seq: int, room: str | None) -> bool:
    """Whether an event with this kind, room and body redacts entry ``seq`` of ``room``."""
    if room is None or order_room != room or not isinstance(body, bytes | str):
        return False
    covered = _covered(kind, body)
    return covered is not None and (seq <= covered.upto or seq in covered.seqs)


@lru_cache(maxsize=8)
def _covered(kind: object, body: bytes | str) -> Covered | None:
    """Return what an event redacts; None for any other event, and for a malformed one."""
    fields = _fields(body)
    target, upto = fields.get("target"), fields.get("upto")
    if kind == "redacted" and type(target) is int:
        return Covered(seqs=_seqs([target, *_list(fields, "edits")]))
    if kind in DECISIONS and type(target) is int:
        return Covered(seqs=frozenset((target,)))
    if kind == "expired" and type(upto) is int:
        return Covered(upto=upto)
    if kind == "edited" and type(target) is int:
        return Covered(seqs=_seqs(_list(fields, "replaces")))
    return None


def _seqs(values: list[Any]) -> frozenset[int]:
    return frozenset(value for value in values if type(value) is int)


def _list(fields: dict[str, Any], name: str) -> list[Any]:
    value = fields.get(name)
    return value if isinstance(value, list) else []


def _fields(body: bytes | str) -> dict[str, Any]:
    try:
        fields = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    return fields if isinstance(fields, dict) else {}


def _check_orders(connection: apsw.Connection, after: int) -> None:
    """Check that what the events after ``after`` redact has no body, as far as it is after ``after``, too."""
    expired: dict[str, int] = {}
    order = after
    while rows := query(connection, _ORDERS, (order, _ROWS_PER_QUERY)):
        for order, kind, room, body in rows:
            if kind == "edited" and body is None:
                continue  # what redacted it covers the entries that it had redacted
            covered = _covered(kind, body)
            if covered is None or room is None:
                raise BadChain(order, "it redacts nothing")
            if covered.upto:
                expired[room] = max(expired.get(room, 0), covered.upto)
            for seq in sorted(covered.seqs):
                if not query(connection, _IS_REDACTED, (seq,)):
                    raise BadChain(seq, f"event {order} redacts it, but it is still there")
    for room, upto in expired.items():
        found = [row for sql in _NOT_REDACTED for row in query(connection, sql, (room, after, upto))]
        if found:
            raise BadChain(found[0][0], f"it has expired with all of {room} up to {upto}, but is still there")
