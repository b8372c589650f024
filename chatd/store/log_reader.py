"""Read the log without delaying the hub: pages for resume and history, single entries."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import apsw

from chatd.errors import ChatdError
from chatd.store.chain import fits
from chatd.store.database import connect_reader, damaged, head_seq, query, storage_errors
from chatd.store.entry import Entry

MAX_ROOMS = 200  # terms of the UNION below; a user may be in 100 rooms by default
MAX_KINDS = 100

COLUMNS = """seq, at, kind, room, device, msg_id, digest, salt, body, body_hash,
 EXISTS (SELECT 1 FROM erased WHERE erased.seq = events.seq)"""
_SELECT = "SELECT seq, salt, digest, body, body_hash FROM events"
_NOT_REDACTED = "NOT EXISTS (SELECT 1 FROM erased WHERE erased.seq = events.seq)"

_COUNT = f"""SELECT count(*), count(*) FILTER (WHERE kind = 'message' AND substr(device, 1, ?5) <> ?6)
 FROM (SELECT kind, device FROM events WHERE room = ?1 AND seq > ?2 AND seq <= ?3 AND {_NOT_REDACTED}
 ORDER BY seq LIMIT ?4)"""  # noqa: S608 - constants

EncodedEvent = tuple[int, bytes]  # seq, body


class EventCount(NamedTuple):
    """The events that were looked at, and the messages among them that count."""

    looked_at: int
    messages: int


def to_entry(row: Sequence[Any]) -> Entry:
    """Make an Entry from a row of `COLUMNS`. Raises E610 if the body was changed."""
    seq, at, kind, room, device, msg_id, digest, salt, body, body_hash, redacted = row
    if not redacted and not fits(salt, digest, body, body_hash):
        raise damaged_body(seq)
    return Entry(seq, at, kind, room, device, msg_id, digest, b"" if redacted else body)


def damaged_body(seq: int) -> ChatdError:
    return damaged(f"the body of entry {seq} is damaged")


class LogReader:
    """A read-only connection to the log. For one thread at a time; any thread may close it.

    Pages omit redacted entries. Every method raises E504, and E610 for damage.
    """

    def __init__(self, data: Path, *, vfs: str | None = None) -> None:
        with storage_errors("open the event log"):
            self._connection = connect_reader(data, vfs)

    def head(self) -> int:
        """The seq of the last committed entry, 0 in an empty log."""
        with storage_errors("read the event log"):
            return head_seq(self._connection)

    def page(
        self,
        rooms: Sequence[str | None],
        after: int,
        limit: int,
        size: int | None = None,
        begins: Mapping[str, int] | None = None,
    ) -> list[EncodedEvent]:
        """Return up to ``limit`` events after seq ``after``, ascending, of at most MAX_ROOMS ``rooms``.

        ``begins``: room -> the seq after which its events begin; those before are of a former room.
        The room None stands for events without a room. Fewer than ``limit`` events mean that there are no
        more, or that ``size`` was reached (see `_rows`).
        """
        if not rooms or limit <= 0:
            return []
        names = list(dict.fromkeys(rooms))
        if len(names) > MAX_ROOMS:
            raise ValueError(f"{len(names)} rooms, at most {MAX_ROOMS}")
        # The index yields each term in order and SQLite merges them lazily: this reads about `limit` rows,
        # however large the log and the rooms are.
        begun = [(begins or {}).get(name or "", 0) for name in names]
        terms = [
            # The text stays the same, so that SQLite need not parse it again, while no room begins later.
            f"{_SELECT} WHERE room IS ?{number} AND seq > {'?1' if begin <= after else int(begin)}"
            f" AND {_NOT_REDACTED}"
            for number, begin in enumerate(begun, 3)
        ]
        sql = " UNION ALL ".join(terms) + " ORDER BY seq LIMIT ?2"
        return self._rows(sql, (after, limit, *names), size)

    def history(
        self,
        room: str,
        *,
        before: int | None = None,
        after: int | None = None,
        limit: int,
        size: int | None = None,
        begin: int = 0,
    ) -> list[EncodedEvent]:
        """Return up to ``limit`` events of a room, ascending; fewer if ``size`` is reached (see `_rows`).

        All are after seq ``begin``.

        With ``after``: the oldest after that seq. Otherwise the newest, below ``before`` if that is given.
        """
        if limit <= 0:
            return []
        order = "DESC" if after is None else "ASC"
        where = f"room = ? AND seq > ? AND seq < ? AND {_NOT_REDACTED}"
        sql = f"{_SELECT} WHERE {where} ORDER BY seq {order} LIMIT ?"
        top = 2**63 - 1 if before is None else before
        page = self._rows(sql, (room, max(after or 0, begin), top, limit), size)
        return page if after is not None else page[::-1]

    def messages(self, room: str, seqs: Sequence[int]) -> list[bytes]:
        """Return the messages of a room with these seqs, in this order, without those that are not there."""
        sql = f"{_SELECT} WHERE seq = ? AND room = ? AND kind = 'message' AND {_NOT_REDACTED}"
        return [body for seq in seqs for _, body in self._rows(sql, (seq, room), None)]

    def count_others(self, room: str, user: str, *, after: int, upto: int, limit: int) -> EventCount:
        """Count messages by others than ``user`` in the first ``limit`` events of a room after a seq."""
        prefix = f"{user}/"
        with storage_errors("read the event log"):
            (row,) = query(self._connection, _COUNT, (room, after, upto, limit, len(prefix), prefix))
        return EventCount(*row)

    def latest(self, kinds: Sequence[str], before: int, limit: int) -> list[EncodedEvent]:
        """Return up to ``limit`` events of ``kinds`` (no messages) below seq ``before``, newest first."""
        if len(kinds) > MAX_KINDS:
            raise ValueError(f"{len(kinds)} kinds, at most {MAX_KINDS}")
        # As in `page`; the condition on messages lets SQLite use the partial index.
        terms = [
            f"{_SELECT} WHERE kind = ?{number} AND kind <> 'message' AND seq < ?1"
            for number in range(3, 3 + len(kinds))
        ]
        sql = " UNION ALL ".join(terms) + " ORDER BY seq DESC LIMIT ?2"
        return self._rows(sql, (before, limit, *kinds), None)

    def _rows(self, sql: str, values: Sequence[apsw.SQLiteValue], size: int | None) -> list[EncodedEvent]:
        """Read and check rows. Stops once two or more bodies, plus one byte each, exceed ``size`` bytes.

        Reading more than a page can hold would be most of the cost.
        """
        limit = float("inf") if size is None else size
        events: list[EncodedEvent] = []
        total = 0
        cursor = self._connection.cursor()
        with storage_errors("read the event log"):
            try:
                for seq, salt, digest, body, body_hash in cursor.execute(sql, values):
                    if not fits(salt, digest, body, body_hash):
                        raise damaged_body(seq)
                    events.append((seq, body))
                    total += len(body) + 1
                    if total > limit and len(events) > 1:
                        break
            finally:
                # A statement not run to its end would keep an old view of the database open.
                cursor.close(True)
        return events

    def entry(self, seq: int) -> Entry | None:
        """Return one entry, with an empty body if it was redacted; None if it does not exist."""
        with storage_errors("read the event log"):
            sql = f"SELECT {COLUMNS} FROM events WHERE seq = ?"  # noqa: S608 - a constant
            rows = query(self._connection, sql, (seq,))
        return to_entry(rows[0]) if rows else None

    def close(self) -> None:
        self._connection.close()
