"""The oldest entries of a room that hold something people wrote; those that are gone are passed over."""

from __future__ import annotations

from typing import NamedTuple

import apsw

from chatd.store.database import query
from chatd.store.entry import WrittenEntry
from chatd.store.message_changes import CHANGES, NO_CHANGES

# Entries that one look-up reads of each kind, those that are gone included: some 5 ms of the hub's loop.
LOOKED_ENTRIES = 5_000

_OLDEST = tuple(
    f"""SELECT seq, at, kind, body IS NOT NULL FROM events WHERE room = ? AND seq > ? AND {which}
 ORDER BY seq LIMIT ?"""  # noqa: S608 - constants
    for which in (f"{NO_CHANGES} AND kind = 'message'", CHANGES)
)
_WRITTEN = """SELECT device, at / 86400000 AS day, sum(coalesce(length(body), 0)) FROM events WHERE seq > ?
 AND at >= (SELECT at / 86400000 * 86400000 FROM events ORDER BY seq DESC LIMIT 1)
 GROUP BY device, day ORDER BY day"""


class Written(NamedTuple):
    """Entries in order. All others up to ``upto`` are gone; None if there are no more at all."""

    entries: list[WrittenEntry]
    upto: int | None


def oldest_written(reader: apsw.Connection, room: str, after: int, limit: int) -> Written:
    """Return up to ``limit`` of the oldest entries after ``after``.

    Looks at `LOOKED_ENTRIES` messages, and at as many changes of messages.
    """
    found: list[WrittenEntry] = []
    edges: list[int] = []
    for sql in _OLDEST:
        looked = there = 0
        cursor = reader.cursor()
        try:
            for seq, at, kind, present in cursor.execute(sql, (room, after, LOOKED_ENTRIES)):
                looked += 1
                if present:
                    there += 1
                    found.append(WrittenEntry(seq, at, kind))
                if there == limit or looked == LOOKED_ENTRIES:
                    edges.append(seq)
                    break
        finally:
            # A statement not run to its end would keep an old view of the database open.
            cursor.close(True)
    upto = min(edges, default=None)
    entries = sorted(entry for entry in found if upto is None or entry.seq <= upto)[:limit]
    return Written(entries, upto)


def bytes_written_after(reader: apsw.Connection, after: int) -> list[tuple[str, int, int]]:
    """Return (device, UTC day since 1970, bytes of the entries) of the last day, in order of the days.

    Counts entries after seq ``after``, and those of later days, which a wrong clock may have made.
    """
    return query(reader, _WRITTEN, (after,))
