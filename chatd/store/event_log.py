"""The event log: everything that was acknowledged, once, in order.

One process writes (the lock), one transaction per batch (group commit), and ``append`` returns only
when the batch and the high-water mark are on the disk.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from hashlib import sha256
from itertools import takewhile
from pathlib import Path
from typing import Any

import apsw

from chatd.crashpoints import crash_point
from chatd.durable_files import sync_folder
from chatd.errors import ChatdError
from chatd.proto.lineage import Branch
from chatd.store.branches import read_lineage
from chatd.store.chain import hash_entry
from chatd.store.database import (
    BUSY_MS,
    CHECKPOINT_PAGES,
    DATABASE_NAME,
    connect_reader,
    connect_writer,
    damaged,
    meta,
    meta_int,
    query,
    set_meta,
    storage_errors,
)
from chatd.store.disk import rewrite
from chatd.store.entry import AcceptedMessage, Entry, Point
from chatd.store.log_reader import COLUMNS, to_entry
from chatd.store.mark import Mark, MarkFile, read_mark
from chatd.store.migrations import migrate
from chatd.store.verifier import point_at, set_verified, verify_tail

LOCK_NAME = "hub.lock"
_INSERT = """INSERT INTO events(seq, at, kind, room, device, msg_id, digest, salt, body_hash, body, chain)
 VALUES(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"""
_REDACTED = "INSERT OR IGNORE INTO erased(seq, by_seq) VALUES(?, ?)"
_REDACT = "UPDATE events SET body = NULL, salt = NULL, digest = NULL WHERE seq = ?"
_OLDEST = """SELECT seq, at FROM events WHERE room = ? AND seq > ? AND kind = 'message'
 AND body IS NOT NULL ORDER BY seq LIMIT ?"""
_SALT_BYTES = 16
_FIND = "SELECT seq, at, digest FROM events WHERE device = ? AND msg_id = ?"
_STATE = f"SELECT {COLUMNS} FROM events WHERE kind <> 'message' AND seq > ? ORDER BY seq LIMIT ?"  # noqa: S608
_STATE_ROWS = 1_000  # read at a time
_APPENDING = "append to the event log"
_READING = storage_errors("read the event log")

_SNAPSHOT = "INSERT OR REPLACE INTO snapshot(id, seq, chain, state_hash, state) VALUES(1, ?, ?, ?, ?)"


class EventLog:
    """The writer's end of the log; exists once per home.

    It belongs to one thread at a time. ``find``, ``state_entries`` and ``load_snapshot`` use a second
    connection: they still answer after a failed append.
    """

    head: int  # seq of the last committed entry, 0 in an empty log
    epoch: int  # grows with every open
    chain_hash: bytes  # the chain value after `head`
    lineage: tuple[Branch, ...]  # the logs this one descends from, itself last

    def __init__(
        self, data: Path, lock_fd: int, writer: apsw.Connection, reader: apsw.Connection, marks: MarkFile
    ) -> None:
        self._data = data
        self._lock_fd = lock_fd
        self._writer = writer
        self._reader = reader
        self._marks = marks
        self._failed = ""
        self._finder = reader.cursor()
        self._viewing = False
        self._inserted = Point(0, b"")
        self._wal_pages = 0
        writer.set_wal_hook(self._note_pages)
        self.head, self.epoch, self.chain_hash, self.lineage = 0, 0, b"", ()

    @classmethod
    def open(cls, data: Path, *, now: int, vfs: str | None = None) -> EventLog:
        """Lock, migrate, verify, fence off any earlier writer.

        ``now`` is milliseconds since the epoch. Raises E604 when another process has the log, E610
        when it is damaged or shorter than the high-water mark (nothing has been changed then, and
        the caller exits 65), E504 when it cannot be read or written.
        """
        with storage_errors("open the event log"):
            data.mkdir(mode=0o700, parents=True, exist_ok=True)
            lock_fd = _lock(data)
            opened: list[apsw.Connection | MarkFile] = []
            try:
                crash_point("store.open.locked")
                mark = _mark_before(data)
                # Recovery may show entries that an earlier failed fsync left off the disk; clients will be
                # told that these are stored.
                rewrite(data / f"{DATABASE_NAME}-wal")
                crash_point("store.open.rewritten")
                opened.append(writer := connect_writer(data, vfs))
                migrate(writer, data, now=now)
                point = verify_tail(writer, mark)
                crash_point("store.open.verified")
                opened.append(reader := connect_reader(data, vfs))
                opened.append(marks := MarkFile(data))
                log = cls(data, lock_fd, writer, reader, marks)
                log._begin_epoch(point)
            except BaseException:
                for item in reversed(opened):
                    item.close()
                os.close(lock_fd)
                raise
            return log

    def _begin_epoch(self, point: Point) -> None:
        self.head, self.chain_hash = point
        self.epoch = meta_int(self._writer, "epoch") + 1
        self.lineage = read_lineage(self._writer)
        self._writer.execute("BEGIN IMMEDIATE")
        set_meta(self._writer, "epoch", self.epoch)
        set_verified(self._writer, point)
        self._writer.execute("COMMIT")
        sync_folder(self._data)
        crash_point("store.open.epoch_committed")
        self._marks.write(Mark(self.epoch, point))

    def append(self, entries: Sequence[Entry], redact: Mapping[int, int] | None = None) -> None:
        """Commit ``entries`` in one transaction; they are on the disk when this returns.

        ``redact`` maps the seqs of entries whose bodies go to the seq of the entry that orders it.

        Raises E504 (or E610, if SQLite finds damage); the outcome is then unknown and the log takes
        no more: the hub exits, and whoever opens the log next finds out. A failed fsync is never
        tried again. ValueError for a seq that does not follow: a defect of the caller.
        """
        if entries:
            self.insert(entries, redact)
            self.commit()
            self.committed()

    def insert(self, entries: Sequence[Entry], redact: Mapping[int, int] | None = None) -> None:
        """The first part of `append`: everything but the waiting for the disk. Nothing is durable yet."""
        chain = self.chain_hash
        rows = []
        salts = os.urandom(_SALT_BYTES * len(entries))
        for want, entry in enumerate(entries, self.head + 1):
            if entry.seq != want:
                raise ValueError(f"entry {entry.seq} where {want} is next")
            salt = salts[:_SALT_BYTES]
            salts = salts[_SALT_BYTES:]
            body_hash, chain = hash_entry(chain, entry, salt)
            rows.append((*entry[:7], salt, body_hash, entry.body, chain))
        with self._writing(_APPENDING):
            crash_point("store.append.before_begin")
            self._end_view()
            self._begin()
            self._writer.executemany(_INSERT, rows)
            if redact:
                self._writer.executemany(_REDACTED, list(redact.items()))
                self._writer.executemany(_REDACT, [(seq,) for seq in redact])
            crash_point("store.append.inserted")
        self._inserted = Point(entries[-1].seq, chain)

    def commit(self) -> None:
        """The second part: the batch and the mark go to the disk.

        It alone may run on another thread, while the owner calls `find` and nothing else.
        """
        with self._writing(_APPENDING):
            self._writer.execute("COMMIT")
            crash_point("store.append.committed")
            self._marks.write(Mark(self.epoch, self._inserted))
            crash_point("store.append.marked")

    def committed(self) -> None:
        """The last part, after `commit` has returned: look-ups see the batch, and a long WAL is emptied."""
        self.head, self.chain_hash = self._inserted
        self._end_view()
        if self._wal_pages < CHECKPOINT_PAGES:
            return
        try:
            self._writer.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_PASSIVE)
        except apsw.Error:
            pass  # everything is still in the WAL; the next one tries again, as SQLite's own would

    def _note_pages(self, _: apsw.Connection, __: str, pages: int) -> int:
        self._wal_pages = pages
        return apsw.SQLITE_OK

    @contextmanager
    def _writing(self, doing: str) -> Iterator[None]:
        """Whatever goes wrong inside ends the log's writing for good."""
        if self._failed:
            raise ChatdError("E504", f"the log takes no more writes: {self._failed}")
        try:
            with storage_errors(doing):
                yield
        except BaseException as error:
            self._failed = str(error) or type(error).__name__
            self._roll_back()
            raise

    def _roll_back(self) -> None:
        """Let go of SQLite's write lock, which a successor needs."""
        try:
            if self._writer.in_transaction:
                self._writer.execute("ROLLBACK")
        except apsw.Error:
            pass  # closing does it too

    def _begin(self) -> None:
        """A hub that was stopped and replaced must not write when it resumes: ask inside the transaction."""
        self._writer.execute("BEGIN IMMEDIATE")
        if meta(self._writer, "epoch") != self.epoch:
            raise ChatdError("E504", "another hub has taken over the log", "stop this one")

    def find(self, device: str, msg_id: bytes) -> AcceptedMessage | None:
        """The committed entry with this id, if there is one. Raises E504, E610."""
        # Once a message: the context manager and `query` would be half of what it costs.
        try:
            if not self._viewing:
                # One read transaction for all look-ups between two appends: each of its own would take
                # and return a lock of the file and look at the WAL again, most of what it costs.
                self._finder.execute("BEGIN")
                self._viewing = True
            rows: list[Any] = self._finder.execute(_FIND, (device, msg_id)).fetchall()
        except Exception:
            with _READING:
                raise
        return AcceptedMessage(*rows[0]) if rows else None

    def _end_view(self) -> None:
        """Let `find` see what is committed next, and a checkpoint pass."""
        if self._viewing:
            self._viewing = False
            self._finder.execute("COMMIT")

    def kind_and_room(self, seq: int) -> tuple[str, str | None] | None:
        """What sort of entry a seq is and where; None if there is none or it is erased. Raises E504, E610."""
        with _READING:
            rows = query(
                self._finder, "SELECT kind, room FROM events WHERE seq = ? AND body IS NOT NULL", (seq,)
            )
        return (str(rows[0][0]), rows[0][1]) if rows else None

    def older_messages(self, room: str, after: int, before_ms: int, limit: int) -> list[int]:
        """Seqs of a room's oldest messages after ``after``, up to the first from ``before_ms`` or later.

        In the order of the log, so that a message with a clock that was ahead is not passed over.
        """
        with _READING:
            rows: list[tuple[int, int]] = query(self._finder, _OLDEST, (room, after, limit))
        return [seq for seq, _ in takewhile(lambda row: row[1] < before_ms, rows)]

    def state_entries(self, after: int) -> Iterator[Entry]:
        """Every entry after seq ``after`` that is not a message, in order: replayed, they give the state."""
        while True:
            # Whole pieces: a statement left open would keep `find` on an old view of the log.
            with _READING:
                rows = query(self._reader, _STATE, (after, _STATE_ROWS))
            yield from map(to_entry, rows)
            if len(rows) < _STATE_ROWS:
                return
            after = rows[-1][0]

    def save_snapshot(self, seq: int, state: bytes) -> None:
        """Keep ``state`` as what the entries up to ``seq`` (at most `head`) give; replaces the last one.

        The next open verifies from here on. Failures are as in `append`.
        """
        with self._writing("save a snapshot"):
            self._end_view()
            self._begin()
            point = point_at(self._writer, seq)
            self._writer.execute(_SNAPSHOT, (*point, sha256(state).digest(), state))
            set_verified(self._writer, point)
            crash_point("store.snapshot.written")
            self._writer.execute("COMMIT")
            crash_point("store.snapshot.committed")

    def load_snapshot(self) -> tuple[int, bytes] | None:
        """The last snapshot and its seq; None without one, or if it is damaged (replay gives the same)."""
        with storage_errors("read the snapshot"):
            rows = query(self._reader, "SELECT seq, chain, state_hash, state FROM snapshot")
            if not rows:
                return None
            seq, chain, state_hash, state = rows[0]
            whole = isinstance(state, bytes) and sha256(state).digest() == state_hash
            if not whole or seq > self.head or point_at(self._reader, seq).chain_hash != chain:
                return None
            return seq, state

    def checkpoint(self) -> None:
        """Copy the WAL into the database and empty it, as far as no reader needs it. Raises E504."""
        with storage_errors("checkpoint the event log"):
            self._end_view()
            self._writer.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_PASSIVE)
            crash_point("store.close.half_checkpointed")
            self._writer.set_busy_timeout(0)
            try:
                self._writer.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)
            except apsw.BusyError:
                pass  # somebody reads; the file stays long until the next time
            finally:
                self._writer.set_busy_timeout(BUSY_MS)

    def _last_checkpoint(self) -> None:
        try:
            self.checkpoint()
        except ChatdError as error:
            # On a full disk everything stays in the write-ahead log, where it is just as safe.
            if not isinstance(error.__cause__, apsw.FullError):
                raise

    def close(self) -> None:
        """Checkpoint unless something has failed, and let go of the lock. Safe to call twice."""
        if self._lock_fd < 0:
            return
        try:
            self._viewing = False
            self._reader.close()
            if not self._failed:
                self._last_checkpoint()
        finally:
            self._failed = "closed"
            self._writer.close()
            self._marks.close()
            os.close(self._lock_fd)
            self._lock_fd = -1


def _lock(data: Path) -> int:
    """Take the lock file for the life of the process; it is never deleted."""
    fd = os.open(data / LOCK_NAME, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        os.close(fd)
        raise ChatdError("E604", f"another process has the event log in {data} open") from error
    return fd


def _mark_before(data: Path) -> Mark | None:
    mark = read_mark(data)
    if mark is not None and mark.point.seq and not (data / DATABASE_NAME).exists():
        raise damaged(f"{DATABASE_NAME} is missing; it held {mark.point.seq} entries")
    return mark
