"""Reading the log without holding up the hub: resume, history, single entries."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import apsw

from chatd.errors import ChatdError
from chatd.store.chain import fits
from chatd.store.database import connect_reader, damaged, query, storage_errors
from chatd.store.entry import Entry

MAX_ROOMS = 200  # terms of the merge below; a user may be in 100 rooms

COLUMNS = """seq, at, kind, room, device, msg_id, digest, salt, body, body_hash,
 EXISTS (SELECT 1 FROM erased WHERE erased.seq = events.seq)"""
_SELECT = "SELECT seq, salt, digest, body, body_hash FROM events"
_NOT_REDACTED = "NOT EXISTS (SELECT 1 FROM erased WHERE erased.seq = events.seq)"


EncodedEvent = tuple[int, bytes]  # seq, body


def to_entry(row: Sequence[Any]) -> Entry:
    """An Entry from `COLUMNS`. Raises E610 when the body is not the one that was appended."""
    seq, at, kind, room, device, msg_id, digest, salt, body, body_hash, erased = row
    if not erased and not fits(salt, digest, body, body_hash):
        raise damaged_body(seq)
    return Entry(seq, at, kind, room, device, msg_id, digest, b"" if erased else body)


def damaged_body(seq: int) -> ChatdError:
    """E610: what is damaged is never served."""
    return damaged(f"the body of entry {seq} is damaged")


class LogReader:
    """A read-only connection of its own. For one thread at a time; any thread may close it.

    Erased bodies are left out of pages. Every method raises E504 or E610.
    """

    def __init__(self, data: Path, *, vfs: str | None = None) -> None:
        with storage_errors("open the event log"):
            self._connection = connect_reader(data, vfs)

    def head(self) -> int:
        """The seq of the last committed entry, 0 in an empty log."""
        with storage_errors("read the event log"):
            return int(query(self._connection, "SELECT coalesce(max(seq), 0) FROM events")[0][0])

    def page(
        self, rooms: Sequence[str | None], after: int, limit: int, size: int | None = None
    ) -> list[EncodedEvent]:
        """Up to ``limit`` events of ``rooms`` (at most MAX_ROOMS; None = events of no room) after a seq.

        Ascending, as (seq, body); fewer than ``limit`` means that there are no more, or that
        ``size`` was reached (see `_rows`).
        """
        if not rooms or limit <= 0:
            return []
        names = list(dict.fromkeys(rooms))
        if len(names) > MAX_ROOMS:
            raise ValueError(f"{len(names)} rooms, at most {MAX_ROOMS}")
        # Each term is already in order by the index; SQLite merges them lazily, so this touches
        # about `limit` rows whatever the size of the log and of the rooms.
        terms = [
            f"{_SELECT} WHERE room IS ?{number} AND seq > ?1 AND {_NOT_REDACTED}"
            for number in range(3, 3 + len(names))
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
    ) -> list[EncodedEvent]:
        """Up to ``limit`` events of a room, ascending, as (seq, body).

        With ``after`` the oldest ones after that seq, otherwise the newest ones, below ``before`` if
        that is given; no more of them than it takes for ``size`` (see `_rows`).
        """
        if limit <= 0:
            return []
        order = "DESC" if after is None else "ASC"
        where = f"room = ? AND seq > ? AND seq < ? AND {_NOT_REDACTED}"
        sql = f"{_SELECT} WHERE {where} ORDER BY seq {order} LIMIT ?"
        top = 2**63 - 1 if before is None else before
        page = self._rows(sql, (room, after or 0, top, limit), size)
        return page if after is not None else page[::-1]

    def _rows(self, sql: str, values: Sequence[apsw.SQLiteValue], size: int | None) -> list[EncodedEvent]:
        """What is asked for, checked. Not read further than the first event, the second at the earliest,
        with which the bodies and a separator for each are over ``size`` bytes: most of the cost is here."""
        most = float("inf") if size is None else size
        found: list[EncodedEvent] = []
        total = 0
        cursor = self._connection.cursor()
        with storage_errors("read the event log"):
            try:
                for seq, salt, digest, body, body_hash in cursor.execute(sql, values):
                    if not fits(salt, digest, body, body_hash):
                        raise damaged_body(seq)
                    found.append((seq, body))
                    total += len(body) + 1
                    if total > most and len(found) > 1:
                        break
            finally:
                # A statement not run to its end would hold an old view of the database.
                cursor.close(True)
        return found

    def entry(self, seq: int) -> Entry | None:
        """One entry; its body is empty if it was erased."""
        with storage_errors("read the event log"):
            sql = f"SELECT {COLUMNS} FROM events WHERE seq = ?"  # noqa: S608 - a constant
            rows = query(self._connection, sql, (seq,))
        return to_entry(rows[0]) if rows else None

    def close(self) -> None:
        self._connection.close()
