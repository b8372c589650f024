"""Read the log without delaying the hub: pages for resume and history, single entries."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import apsw
import orjson

from chatd.errors import ChatdError
from chatd.proto.frames import JsonObject, compact
from chatd.store.chain import fits
from chatd.store.database import connect_reader, damaged, head_seq, query, storage_errors
from chatd.store.entry import Entry
from chatd.store.message_changes import CHANGES, GONE, NO_CHANGES, OUTDATED, reactions_of, reactors

MAX_ROOMS = 200  # terms of the UNION below; a user may be in 100 rooms by default
MAX_KINDS = 100

COLUMNS = """seq, at, kind, room, device, msg_id, digest, salt, body, body_hash,
 EXISTS (SELECT 1 FROM erased WHERE erased.seq = events.seq)"""
# Whether the row of `events` is a message that was edited. Its former text is not read: pages show the
# edit's.
_IS_EDITED = "(events.kind = 'message' AND EXISTS (SELECT 1 FROM edits WHERE edits.target = events.seq))"
_COLUMNS_NOW = f"""events.seq, kind, salt, digest, CASE WHEN {_IS_EDITED} THEN NULL ELSE body END, body_hash,
 EXISTS (SELECT 1 FROM reactions WHERE reactions.target = events.seq)"""  # noqa: S608 - constants
_SELECT = f"SELECT {_COLUMNS_NOW} FROM events"  # noqa: S608 - constants
# Each has its index.
_SHOWN = f"{NO_CHANGES} AND NOT {GONE}"
_SHOWN_CHANGES = f"{CHANGES} AND NOT {GONE} AND NOT {OUTDATED}"
# What is done to a message is for those who may read the message.
_OF_READ = " AND (?{0} = 0 OR CAST(body AS TEXT) ->> 'target' > ?{0})"

_COUNTED = f"""SELECT {GONE}, kind = 'message' AND substr(device, 1, ?5) <> ?6 FROM events
 WHERE room = ?1 AND seq > ?2 AND seq <= ?3 AND {NO_CHANGES} ORDER BY seq LIMIT ?4"""  # noqa: S608 - constants
_NTH = f"""SELECT seq FROM events WHERE room = ? AND seq > ? AND seq < ? AND {NO_CHANGES}
 ORDER BY seq {{}} LIMIT 1 OFFSET ?"""  # noqa: S608 - constants

EncodedEvent = tuple[int, bytes]  # seq, body


class EventCount(NamedTuple):
    """The events that were looked at, the messages among them that count, whether more may follow."""

    looked_at: int
    messages: int
    more: bool


def to_entry(row: Sequence[Any]) -> Entry:
    """Make an Entry from a row of `COLUMNS`. Raises E610 if the body was changed."""
    seq, at, kind, room, device, msg_id, digest, salt, body, body_hash, redacted = row
    if not redacted and not fits(salt, digest, body, body_hash):
        raise damaged_body(seq)
    return Entry(seq, at, kind, room, device, msg_id, digest, b"" if redacted else body)


def damaged_body(seq: int) -> ChatdError:
    return damaged(f"the body of entry {seq} is damaged")


_MESSAGES = f"""SELECT {_COLUMNS_NOW}, room FROM json_each(?) AS wanted
 CROSS JOIN events ON events.seq = wanted.value
 WHERE kind = 'message' AND NOT {GONE} AND room = coalesce(?, room)"""  # noqa: S608
_IS_MESSAGE = f"SELECT 1 FROM events WHERE seq = ? AND room = ? AND kind = 'message' AND NOT {GONE}"  # noqa: S608
_EDITED = """SELECT one.seq, one.at, one.device, one.msg_id, last.seq, last.kind, last.salt, last.digest,
 last.body, last.body_hash FROM events one
 CROSS JOIN events last ON last.seq = (SELECT max(edits.seq) FROM edits WHERE edits.target = one.seq)
 WHERE one.seq = ?"""


def _checked(seq: int, kind: str, salt: Any, digest: Any, body: Any, body_hash: Any) -> EncodedEvent:
    """Return a row of `_SELECT`. The body of an edited message is empty if the log does not keep it."""
    if body is None and kind in ("message", "edited"):
        return seq, b""
    if not fits(salt, digest, body, body_hash):
        raise damaged_body(seq)
    return seq, body


def _edited(seq: int, at: int, device: str, msg_id: bytes, edit: int, kind: str, *rest: Any) -> bytes:
    """Return the message ``seq`` with the text of its last edit; empty if that was redacted meanwhile.

    Raises E610 for an edit of another message: the chain does not cover the table of edits.
    """
    _, body = _checked(edit, kind, *rest)
    if not body:
        return b""
    event = orjson.loads(body)
    if kind != "edited" or event["target"] != seq:
        raise damaged(f"entry {edit} is not an edit of entry {seq}")
    return present_message(seq, at, device, msg_id.hex(), event)


def present_message(seq: int, at: int, device: str, msg_id: str, edit: JsonObject) -> bytes:
    """Return an edited message as pages show it, from its columns and its last edit."""
    user, _, name = device.partition("/")
    message = {"type": "message", "seq": seq, "at": at, "room": edit["room"], "user": user, "device": name}
    message |= {"role": edit["role"], "msg_id": msg_id, "kind": edit["kind"], "body": edit["body"]}
    if "reply_to" in edit:
        message["reply_to"] = edit["reply_to"]
    return compact(message | {"edited": edit["seq"], "edited_at": edit["at"]})


def _with_reactions(body: bytes, reactions: list[JsonObject]) -> bytes:
    return b'%b,"reactions":%b}' % (body[:-1], orjson.dumps(reactions))


class LogReader:
    """A read-only connection to the log. For one thread at a time; any thread may close it.

    Pages omit redacted entries, and show messages as they are now, with their reactions; ``viewer`` is the
    user for whom "mine" is told. Every method raises E504, and E610 for damage.
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
        *,
        viewer: str = "",
        upto: int | None = None,
    ) -> list[EncodedEvent]:
        """Return up to ``limit`` events after seq ``after``, ascending, of at most MAX_ROOMS ``rooms``.

        ``upto``: the last seq that is looked at.

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
        end = "" if upto is None else f" AND seq <= {int(upto)}"
        terms = [
            # The text stays the same, so that SQLite need not parse it again, while no room begins later.
            f"{_SELECT} WHERE room IS ?{number} AND seq > {'?1' if begin <= after else int(begin)}"
            f"{end} AND {shown}"
            for number, begin in enumerate(begun, 3)
            for shown in (_SHOWN, _SHOWN_CHANGES + _OF_READ.format(number + len(names)))
        ]
        sql = " UNION ALL ".join(terms) + " ORDER BY seq LIMIT ?2"
        return self._rows(sql, (after, limit, *names, *begun), size, viewer)

    def history(
        self,
        room: str,
        *,
        before: int | None = None,
        after: int | None = None,
        limit: int,
        size: int | None = None,
        begin: int = 0,
        viewer: str = "",
    ) -> list[EncodedEvent]:
        """Return up to ``limit`` events of a room, ascending; fewer if ``size`` is reached (see `_rows`).

        All are after seq ``begin``.

        With ``after``: the oldest after that seq. Otherwise the newest, below ``before`` if that is given.
        """
        if limit <= 0:
            return []
        order = "DESC" if after is None else "ASC"
        # Edits and reactions are in the messages that they concern.
        where = f"room = ? AND seq > ? AND seq < ? AND {_SHOWN}"
        sql = f"{_SELECT} WHERE {where} ORDER BY seq {order} LIMIT ?"
        top = 2**63 - 1 if before is None else before
        page = self._rows(sql, (room, max(after or 0, begin), top, limit), size, viewer)
        return page if after is not None else page[::-1]

    def nth(self, room: str, count: int, *, after: int, before: int, newest: bool) -> int | None:
        """Return the seq of an event of a room between two seqs that ``count`` others precede; None if none.

        ``newest``: begin with the newest. Counts what is gone, too. Takes 0.1 us for each.
        """
        sql = _NTH.format("DESC" if newest else "ASC")
        with storage_errors("read the event log"):
            rows = query(self._connection, sql, (room, after, before, count))
        return int(rows[0][0]) if rows else None

    def messages(
        self, room: str, seqs: Sequence[int], viewer: str = "", size: int | None = None
    ) -> list[bytes]:
        """Return the messages of a room with these seqs, in this order, without those that are not there.

        Fewer if ``size`` is reached (see `_rows`).
        """
        return [body for _, _, body in self.found(seqs, viewer, size, room)]

    def reactors(self, room: str, seq: int) -> list[JsonObject] | None:
        """Return the reactions to a message and who gave them; None if the room has no such message."""
        with storage_errors("read the event log"):
            found = query(self._connection, _IS_MESSAGE, (seq, room))
            return reactors(self._connection, seq) if found else None

    def count_others(
        self, room: str, user: str, *, after: int, upto: int, limit: int, look: int
    ) -> EventCount:
        """Count messages by others than ``user`` in the first ``limit`` events of a room after a seq.

        At most ``look`` are looked at, those that are gone included.
        """
        prefix = f"{user}/"
        looked = present = messages = 0
        cursor = self._connection.cursor()
        with storage_errors("read the event log"):
            try:
                for gone, counts in cursor.execute(_COUNTED, (room, after, upto, look, len(prefix), prefix)):
                    looked += 1
                    present += not gone
                    messages += counts and not gone
                    if present == limit:
                        break
            finally:
                cursor.close(True)
        return EventCount(looked, messages, present == limit or looked == look)

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

    def found(
        self, seqs: Sequence[int], viewer: str = "", size: int | None = None, room: str | None = None
    ) -> list[tuple[int, str, bytes]]:
        """Return seq, room and body of the messages with these seqs that are not redacted, in that order.

        Only those of ``room``, if it is given; fewer if ``size`` is reached (see `_rows`).
        """
        values = (json.dumps(list(seqs)), room)
        return [(seq, str(of), body) for seq, body, of in self._present(_MESSAGES, values, size, viewer)]

    def _rows(
        self, sql: str, values: Sequence[apsw.SQLiteValue], size: int | None, viewer: str = ""
    ) -> list[EncodedEvent]:
        """Read events as they are now. Stops once two or more, plus one byte each, exceed ``size`` bytes.

        Reading more than a page can hold would be most of the cost.
        """
        return [(seq, body) for seq, body, *_ in self._present(sql, values, size, viewer)]

    def _present(
        self, sql: str, values: Sequence[apsw.SQLiteValue], size: int | None, viewer: str
    ) -> list[tuple[Any, ...]]:
        """Read rows of `_COLUMNS_NOW` and more: return seq, present body and the further columns of each."""
        limit = float("inf") if size is None else size
        events: list[tuple[Any, ...]] = []
        total = 0
        cursor = self._connection.cursor()
        with storage_errors("read the event log"):
            try:
                for seq, kind, salt, digest, stored, body_hash, reacted, *more in cursor.execute(sql, values):
                    _, body = _checked(seq, kind, salt, digest, stored, body_hash)
                    body = self._as_now(seq, kind, body, viewer if reacted else None)
                    if not body:
                        continue
                    events.append((seq, body, *more))
                    total += len(body) + 1
                    if total > limit and len(events) > 1:
                        break
            finally:
                # A statement not run to its end would keep an old view of the database open.
                cursor.close(True)
        return events

    def _as_now(self, seq: int, kind: str, body: bytes, viewer: str | None) -> bytes:
        """Return the present text of a message, with its reactions for a ``viewer``; empty if it is gone."""
        if not body and kind == "message":
            body = next((_edited(*row) for row in query(self._connection, _EDITED, (seq,))), b"")
        if body and viewer is not None:
            body = _with_reactions(body, reactions_of(self._connection, seq, viewer))
        return body

    def entry(self, seq: int) -> Entry | None:
        """Return one entry, with an empty body if it was redacted; None if it does not exist."""
        with storage_errors("read the event log"):
            sql = f"SELECT {COLUMNS} FROM events WHERE seq = ?"  # noqa: S608 - a constant
            rows = query(self._connection, sql, (seq,))
        return to_entry(rows[0]) if rows else None

    def close(self) -> None:
        self._connection.close()
