"""The tables that say what was done to a message: its edits, and the reactions that it has now.

They follow from the events `edited` and `reacted`, and are written in the same transaction; `check_changes`
compares them. An edit carries the whole new text; pages show it in the place of the message.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import apsw
import orjson

from chatd.store.chain import BadChain
from chatd.store.database import query
from chatd.store.entry import Entry, Given, StoredMessage

# Kinds of events with what people wrote. Only their bodies are ever redacted, and the state follows from the
# others: what a held message changes is undone by the event that redacts it.
WRITTEN_KINDS = ("message", "edited", "reacted", "message_held")
# What is done to messages has an index of its own: however much that is, a page of a room reads none of it.
CHANGE_KINDS = ("edited", "reacted")
CHANGES = "kind IN ('edited', 'reacted')"
NO_CHANGES = "kind NOT IN ('edited', 'reacted')"
# Names of users in the answer about one reaction; its count says how many there are.
REACTORS_LISTED = 50
# Whether the row of `events` is gone: redacted by something else than an edit of it.
GONE = """EXISTS (SELECT 1 FROM erased WHERE erased.seq = events.seq
 AND NOT (events.kind = 'message' AND EXISTS (SELECT 1 FROM edits WHERE edits.seq = erased.by_seq)))"""
# Whether a later edit of the same message follows the edit in this row.
OUTDATED = """(kind = 'edited' AND EXISTS (SELECT 1 FROM edits one JOIN edits later
 ON later.target = one.target AND later.seq > one.seq WHERE one.seq = events.seq))"""

_ADD_EDIT = "INSERT INTO edits(seq, target) VALUES(?, ?)"
_ADD_REACTION = "INSERT OR REPLACE INTO reactions(target, text, user, seq) VALUES(?, ?, ?, ?)"
_REMOVE_REACTION = "DELETE FROM reactions WHERE target = ? AND text = ? AND user = ?"
_NOTE_REDACTION = """INSERT INTO erased(seq, by_seq) VALUES(:seq, :by)
 ON CONFLICT(seq) DO UPDATE SET by_seq = excluded.by_seq"""
# An edit that is redacted proves nothing any more: what redacts it takes over what it had redacted.
_TAKE_OVER = """UPDATE erased SET by_seq = :by WHERE by_seq = :seq AND seq IN (
 SELECT target FROM edits WHERE seq = :seq UNION ALL SELECT former.seq FROM edits
 JOIN edits former ON former.target = edits.target WHERE edits.seq = :seq)"""
_FORGET_REACTIONS = """DELETE FROM reactions WHERE target IN (
 SELECT :seq UNION ALL SELECT target FROM edits WHERE seq = :seq)
 AND (SELECT kind FROM events WHERE seq = :by) <> 'edited'"""
_FORGET_REACTION = """DELETE FROM reactions WHERE seq = :seq AND target = (
 SELECT CAST(body AS TEXT) ->> 'target' FROM events WHERE seq = :seq AND kind = 'reacted')"""
_REMOVE_BODY = "UPDATE events SET body = NULL, salt = NULL, digest = NULL WHERE seq = :seq"

_TARGET = f"""SELECT kind, room, device, at, body, {GONE} FROM events
 WHERE seq = ? AND room = ?"""  # noqa: S608
_EDITS = "SELECT seq FROM edits WHERE target = ? ORDER BY seq"
# Visits each text once, however many users gave it.
_TEXTS = """WITH RECURSIVE texts(text) AS (
 SELECT min(text) FROM reactions WHERE target = :seq UNION ALL
 SELECT (SELECT min(text) FROM reactions WHERE target = :seq AND text > texts.text) FROM texts
 WHERE texts.text IS NOT NULL) SELECT text FROM texts WHERE text IS NOT NULL"""
_COUNT = "SELECT count(*), coalesce(max(user = ?), 0) FROM reactions WHERE target = ? AND text = ?"
_GIVEN = """SELECT text, count(*), min(seq), max(user = :user) FROM reactions WHERE target = :seq
 GROUP BY text ORDER BY min(seq)"""
_REACTORS = "SELECT user FROM reactions WHERE target = ? AND text = ? ORDER BY user LIMIT ?"

_BAD_EDIT = """SELECT edits.seq FROM edits LEFT JOIN events ON events.seq = edits.seq
 WHERE kind IS NOT 'edited' OR edits.target >= edits.seq
 OR (body IS NOT NULL AND CAST(body AS TEXT) ->> 'target' IS NOT edits.target) LIMIT 1"""
_LOST_EDIT = """SELECT seq FROM events WHERE kind <> 'message' AND kind = 'edited'
 AND NOT EXISTS (SELECT 1 FROM edits WHERE edits.seq = events.seq) LIMIT 1"""
_PRESENT = f"""SELECT target, text, user, seq FROM (
 SELECT body ->> 'target' AS target, body ->> 'text' AS text, body ->> 'user' AS user, body ->> 'on' AS given,
 max(seq) AS seq FROM (SELECT CAST(body AS TEXT) AS body, seq FROM events
 WHERE kind <> 'message' AND kind = 'reacted' AND body IS NOT NULL) GROUP BY 1, 2, 3)
 WHERE given AND NOT (SELECT {GONE} FROM events WHERE events.seq = target)"""  # noqa: S608
_STORED = "SELECT target, text, user, seq FROM reactions"


def note_entries(writer: apsw.Connection, entries: Iterable[Entry]) -> None:
    """Note the edits and reactions among entries that were just appended."""
    for entry in entries:
        if entry.kind == "edited":
            writer.execute(_ADD_EDIT, (entry.seq, orjson.loads(entry.body)["target"]))
        elif entry.kind == "reacted":
            event = orjson.loads(entry.body)
            key = (event["target"], event["text"], event["user"])
            if event["on"]:
                writer.execute(_ADD_REACTION, (*key, entry.seq))
            else:
                writer.execute(_REMOVE_REACTION, key)


def remove_bodies(writer: apsw.Connection, redact: Mapping[int, int]) -> None:
    """Redact entries: seq -> the seq of the entry that orders it."""
    values = [{"seq": seq, "by": by} for seq, by in redact.items()]
    for sql in (_NOTE_REDACTION, _TAKE_OVER, _FORGET_REACTIONS):
        writer.executemany(sql, values)
    for sql in (_FORGET_REACTION, _REMOVE_BODY):
        writer.executemany(sql, [{"seq": seq} for seq in redact])


def stored_message(reader: apsw.Cursor, room: str, seq: int) -> StoredMessage | None:
    """Return an entry of a room that can be named in a request; None if it is missing."""
    rows = query(reader, _TARGET, (seq, room))
    if not rows:
        return None
    kind, room, device, at, body, gone = rows[0]
    if gone:
        return StoredMessage(kind, room, device, at, b"", (), gone=True)
    edits = tuple(row[0] for row in query(reader, _EDITS, (seq,)))
    if edits:
        body = query(reader, "SELECT body FROM events WHERE seq = ?", edits[-1:])[0][0]
    return None if body is None else StoredMessage(kind, room, device, at, body, edits)


def given_reaction(reader: apsw.Cursor, seq: int, text: str, user: str) -> Given:
    """Return how a message stands with one reaction."""
    count, mine = query(reader, _COUNT, (user, seq, text))[0]
    return Given(count, bool(mine), frozenset(row[0] for row in query(reader, _TEXTS, {"seq": seq})))


def reactors(reader: apsw.Connection, seq: int) -> list[dict[str, Any]]:
    """Return the reactions to a message and the first `REACTORS_LISTED` users of each, by name."""
    return [
        {
            "text": text,
            "count": count,
            "users": [row[0] for row in query(reader, _REACTORS, (seq, text, REACTORS_LISTED))],
        }
        for text, count, _, _ in query(reader, _GIVEN, {"seq": seq, "user": ""})
    ]


def reactions_of(reader: apsw.Connection, seq: int, user: str) -> list[dict[str, Any]]:
    """Return the reactions to a message as pages show them to ``user``, the first one given first."""
    return [
        {"text": text, "count": count, "mine": bool(mine)}
        for text, count, _, mine in query(reader, _GIVEN, {"seq": seq, "user": user})
    ]


def check_changes(connection: apsw.Connection) -> None:
    """Compare the tables with the events, of which the chain was verified. Raises BadChain, apsw.Error."""
    for sql, reason in (
        (_BAD_EDIT, "it counts as an edit of another message"),
        (_LOST_EDIT, "this edit is not in the table of edits"),
        (f"SELECT seq FROM ({_PRESENT} EXCEPT {_STORED})", "this reaction is missing"),  # noqa: S608
        (f"SELECT seq FROM ({_STORED} EXCEPT {_PRESENT})", "nobody gave this reaction"),  # noqa: S608
    ):
        if rows := query(connection, f"{sql} LIMIT 1" if "EXCEPT" in sql else sql):
            raise BadChain(int(rows[0][0]), reason)
