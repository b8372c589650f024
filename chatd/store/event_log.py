"""The writer of the event log, which holds every acknowledged event once and in order.

A lock allows one writing process. Each batch is one transaction (group commit), and `EventLog.append` returns
only when the batch and the mark are durable.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import apsw

from chatd.crashpoints import crash_point
from chatd.durable_files import sync_folder
from chatd.errors import ChatdError
from chatd.proto.lineage import Branch
from chatd.store.branches import read_lineage
from chatd.store.chain import SALT_BYTES, draw_salts, hash_entry, point_at
from chatd.store.database import (
    BUSY_MS,
    CHECKPOINT_PAGES,
    DATABASE_NAME,
    LONG_WAL_PAGES,
    NO_SPACE_VFS,
    connect_reader,
    connect_writer,
    damaged,
    meta,
    meta_int,
    meta_values,
    query,
    reporting,
    set_meta,
    storage_errors,
)
from chatd.store.disk import rewrite
from chatd.store.entry import AcceptedMessage, Entry, Given, Point, StoredMessage
from chatd.store.log_files import FILES_GONE, existing_mark, inodes, lock_log, log_paths, require_log
from chatd.store.mark import Mark, MarkFile
from chatd.store.message_changes import (
    given_reaction,
    note_entries,
    remove_bodies,
    stored_message,
)
from chatd.store.migrations import migrate
from chatd.store.snapshots import Snapshot, proven_snapshot, state_entries, write_snapshot
from chatd.store.verifier import verify_tail
from chatd.store.written_entries import Written, bytes_written_after, oldest_written

_APPEND = """INSERT INTO events(seq, at, kind, room, device, msg_id, digest, salt, body_hash, body, chain)
 VALUES(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"""
_FIND = "SELECT seq, at, digest, kind FROM events WHERE device = ? AND msg_id = ?"
_APPENDING = "append to the event log"
_READING = storage_errors("read the event log")


class EventLog:
    """The log of one home, open for writing. For one thread at a time.

    ``find``, ``state_entries`` and ``load_snapshot`` use a second connection and still work after a failed
    append.
    """

    head: int  # seq of the last committed entry, 0 in an empty log
    epoch: int  # incremented by every open
    chain_hash: bytes  # after `head`
    lineage: tuple[Branch, ...]  # oldest first, this log last

    def __init__(
        self, data: Path, lock_fd: int, writer: apsw.Connection, reader: apsw.Connection, marks: MarkFile
    ) -> None:
        self._data = data
        self._lock_fd = lock_fd
        self._writer = writer
        self._reader = reader
        self._marks = marks
        self._failure = ""
        self._finder = reader.cursor()
        self._in_view = False
        self._inserted = Point(0, b"")
        self._wal_pages = 0
        # Whether the WAL may hold what was removed: bodies, and values such as keys.
        self._wal_has_removed = False
        writer.set_wal_hook(self._note_pages)
        self.head, self.epoch, self.chain_hash, self.lineage = 0, 0, b"", ()
        self._paths = log_paths(data)
        self._inodes: tuple[int, ...] = ()
        self.read_only = False

    @classmethod
    def open(
        cls,
        data: Path,
        *,
        now: int,
        vfs: str | None = None,
        must_exist: bool = False,
        read_only: bool = False,
        progress: Callable[[], None] | None = None,
    ) -> EventLog:
        """Lock, migrate and verify the log, and fence off any earlier writer.

        ``now`` is in ms since 1970 UTC. An empty folder gets an empty log, unless it ``must_exist``: the
        disk with the log may not be mounted. Raises E604 if another process has the log open; E610 if it
        is missing, damaged or does not reach the mark, and E618 if it is too new, in which cases nothing was
        changed; E504 if it cannot be read or written.

        ``read_only`` needs no space on the disk: every write is refused, and other processes are locked out.
        ``progress`` is called while it migrates and verifies, which take minutes for millions of entries.
        """
        with storage_errors("open the event log"):
            if must_exist:
                require_log(data)
            data.mkdir(mode=0o700, parents=True, exist_ok=True)
            lock_fd = lock_log(data)
            opened: list[apsw.Connection | MarkFile] = []
            try:
                crash_point("store.open.locked")
                mark = existing_mark(data)
                # Recovery may show entries that an earlier failed fsync left off the disk; clients will be
                # told that these are stored.
                rewrite(wal := data / f"{DATABASE_NAME}-wal")
                # The process before may have been killed between a removal and the checkpoint after it.
                left_over = wal.exists() and wal.stat().st_size > 0
                crash_point("store.open.rewritten")
                opened.append(writer := connect_writer(data, NO_SPACE_VFS if read_only else vfs))
                with reporting(writer, progress):
                    if not read_only:
                        migrate(writer, data, now=now)
                    point = verify_tail(writer, data, mark)
                crash_point("store.open.verified")
                opened.append(reader := connect_reader(data, vfs))
                opened.append(marks := MarkFile(data))
                log = cls(data, lock_fd, writer, reader, marks)
                log._start(point, read_only)
                log._wal_has_removed = left_over and not read_only
            except BaseException:
                for item in reversed(opened):
                    item.close()
                os.close(lock_fd)
                raise
            return log

    def _start(self, point: Point, read_only: bool) -> None:
        self.head, self.chain_hash = point
        self.epoch = meta_int(self._writer, "epoch")
        self.lineage = read_lineage(self._writer)
        self.read_only = read_only
        if read_only:
            self._failure = "it was opened on a full disk"
        else:
            self._begin_epoch(point)
        self._inodes = inodes(self._paths)

    def _begin_epoch(self, point: Point) -> None:
        self.epoch += 1
        self._writer.execute("BEGIN IMMEDIATE")
        set_meta(self._writer, "epoch", self.epoch)
        self._writer.execute("COMMIT")
        sync_folder(self._data)
        crash_point("store.open.epoch_committed")
        self._marks.write(Mark(self.epoch, point))

    @property
    def folder(self) -> Path:
        """The folder of the database's files."""
        return self._data

    def check_files(self) -> None:
        """Raise E610 if a file was removed or replaced: what is written then is lost with the process."""
        if self._inodes != inodes(self._paths):
            raise damaged(f"the files in {self._data} were removed or replaced while chatd ran", FILES_GONE)

    def append(self, entries: Sequence[Entry], redact: Mapping[int, int] | None = None) -> None:
        """Commit ``entries`` in one transaction; they are durable when this returns.

        ``redact`` maps each seq whose body is removed to the seq of the entry that orders the removal.

        Raises E504, or E610 if SQLite finds damage. Whether the entries are durable is then unknown, and the
        log accepts no more writes: the hub exits, and the next open finds out. A failed fsync is never
        retried. Raises ValueError for a seq that is not the next one: a defect of the caller.
        """
        if entries:
            self.insert(entries, redact)
            self.commit()
            self.finish()

    def insert(
        self, entries: Sequence[Entry], redact: Mapping[int, int] | None = None, salts: bytes = b""
    ) -> None:
        """First step of `append`: everything but waiting for the disk. Nothing is durable yet.

        ``salts``: `SALT_BYTES` random bytes for each entry, drawn here if empty. Copies of a log share them.
        """
        chain_hash = self.chain_hash
        rows = []
        salts = salts or draw_salts(len(entries))
        if len(salts) != SALT_BYTES * len(entries):
            raise ValueError(f"{len(salts)} bytes of salts for {len(entries)} entries")
        for index, entry in enumerate(entries):
            if entry.seq != self.head + 1 + index:
                raise ValueError(f"entry {entry.seq} instead of entry {self.head + 1 + index}")
            salt = salts[index * SALT_BYTES : (index + 1) * SALT_BYTES]
            body_hash, chain_hash = hash_entry(chain_hash, entry, salt)
            rows.append((*entry[:7], salt, body_hash, entry.body, chain_hash))
        with self._writing(_APPENDING):
            crash_point("store.append.before_begin")
            self._end_view()
            if not self._writer.in_transaction:
                self._begin()
            self._writer.executemany(_APPEND, rows)
            note_entries(self._writer, entries)
            if redact:
                remove_bodies(self._writer, redact)
            crash_point("store.append.inserted")
        self._inserted = Point(entries[-1].seq, chain_hash)

    def try_begin(self) -> bool:
        """Begin the transaction of the next `insert`; return False while another program has locked the log.

        Does not wait. Raises E504, E610.
        """
        with self._writing(_APPENDING):
            if self._writer.in_transaction:
                return True
            self._end_view()
            self._writer.set_busy_timeout(0)
            try:
                self._begin()
            except apsw.BusyError:
                return False
            finally:
                self._writer.set_busy_timeout(BUSY_MS)
        return True

    def leave(self) -> None:
        """End the transaction that `try_begin` has begun, if there is nothing for it; else do nothing."""
        if self._inserted.seq <= self.head:
            self._roll_back()

    def commit(self) -> None:
        """Second step: write the batch and the mark to the disk.

        May run on another thread, while the owner calls nothing but `find`.
        """
        with self._writing(_APPENDING):
            self._writer.execute("COMMIT")
            crash_point("store.append.committed")
            self._marks.write(Mark(self.epoch, self._inserted))
            crash_point("store.append.marked")
            self.check_files()

    def note_values(self, values: Mapping[str, apsw.SQLiteValue]) -> None:
        """Set values of the meta table together with the batch, between `insert` and `commit`."""
        with self._writing(_APPENDING):
            for name, value in values.items():
                set_meta(self._writer, name, value)

    def set_values(self, values: Mapping[str, apsw.SQLiteValue]) -> bool:
        """Set values of the meta table, durably; None removes one. Not between `insert` and `finish`.

        Returns False, with nothing changed, while another program has locked the log.
        """
        if not self.try_begin():
            return False
        with self._writing("set values of the log"):
            for name, value in values.items():
                set_meta(self._writer, name, value)
            self._writer.execute("COMMIT")
        self._wal_has_removed |= None in values.values()
        return True

    def values(self, prefix: str) -> dict[str, Any]:
        """Return the values of the meta table whose names begin with ``prefix``."""
        with _READING:
            return meta_values(self._writer, prefix)

    def finish(self) -> None:
        """Last step, after `commit`: let `find` see the batch, and checkpoint a long WAL."""
        self.head, self.chain_hash = self._inserted
        self._end_view()
        if self._wal_pages < CHECKPOINT_PAGES:
            return
        try:
            self._writer.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_PASSIVE)
        except apsw.Error:
            pass  # everything is still in the WAL; the next checkpoint tries again, as SQLite's own would

    def _note_pages(self, _: apsw.Connection, __: str, pages: int) -> int:
        self._wal_pages = pages
        return apsw.SQLITE_OK

    def _writing(self, doing: str) -> storage_errors:
        """Refuse all later writes after any failure inside."""
        if self._failure:
            raise ChatdError("E504", f"the log accepts no more writes: {self._failure}")
        return storage_errors(doing, self._note_failure)

    def _note_failure(self, error: BaseException) -> None:
        self._failure = str(error) or type(error).__name__
        self._roll_back()

    def _roll_back(self) -> None:
        """Release SQLite's write lock, which the next hub needs."""
        try:
            if self._writer.in_transaction:
                self._writer.execute("ROLLBACK")
        except apsw.Error:
            pass  # closing the connection releases it too

    def _begin(self) -> None:
        """Begin a transaction and check the epoch inside it: a hub that was replaced must not write."""
        self._writer.execute("BEGIN IMMEDIATE")
        if meta(self._writer, "epoch") != self.epoch:
            raise ChatdError("E504", "another hub has taken over the log", "stop this one")

    def find(self, device: str, msg_id: bytes) -> AcceptedMessage | None:
        """Find the committed message with this id. Raises E504, E610."""
        # Runs for each message: the context manager and `query` would double its cost.
        try:
            if not self._in_view:
                # One read transaction for all look-ups between two appends. Separate ones would each lock the
                # file and read the WAL index again, which is most of their cost.
                self._finder.execute("BEGIN")
                self._in_view = True
            rows: list[Any] = self._finder.execute(_FIND, (device, msg_id)).fetchall()
        except Exception:
            with _READING:
                raise
        return AcceptedMessage(*rows[0]) if rows else None

    def _end_view(self) -> None:
        """End the read transaction of `find`: it then sees the next commit and blocks no checkpoint."""
        if self._in_view:
            self._in_view = False
            self._finder.execute("COMMIT")

    def message(self, room: str, seq: int) -> StoredMessage | None:
        """Return an entry that a request names; None if it is missing. Raises E504, E610."""
        with _READING:
            return stored_message(self._finder, room, seq)

    def given(self, seq: int, text: str, user: str) -> Given:
        """Return how a message stands with one reaction. Raises E504, E610."""
        with _READING:
            return given_reaction(self._finder, seq, text, user)

    def point(self, seq: int) -> Point:
        """Return the stored point of a committed entry. Raises E504, E610 if it is missing."""
        with _READING:
            return point_at(self._reader, seq)

    def oldest_written(self, room: str, after: int, limit: int) -> Written:
        """Return the oldest entries with something that people wrote in a room, after ``after``."""
        with _READING:
            return oldest_written(self._reader, room, after, limit)

    def state_entries(self, after: int) -> Iterator[Entry]:
        """Yield every entry after seq ``after`` that is not a message, in order; replay gives the state."""
        with _READING:
            yield from state_entries(self._reader, after, self.head)

    def written_after(self, after: int) -> list[tuple[str, int, int]]:
        """See `bytes_written_after`."""
        with _READING:
            return bytes_written_after(self._reader, after)

    def save_snapshot(self, seq: int, state: bytes) -> bool:
        """Save ``state``, the result of all entries up to ``seq`` (at most `head`), as the only snapshot.

        Returns False, with nothing changed, while another program has locked the log. The next open verifies
        the log from there on. Failures are as in `append`.
        """
        if not self.try_begin():
            return False
        with self._writing("save a snapshot"):
            snapshot = Snapshot(point_at(self._writer, seq), state)
            write_snapshot(self._writer, snapshot)
            crash_point("store.snapshot.written")
            self._marks.write_snapshot_digest(self.epoch, seq, snapshot.digest)
            self._writer.execute("COMMIT")
            crash_point("store.snapshot.committed")
        return True

    def load_snapshot(self) -> tuple[int, bytes] | None:
        """Return the snapshot and its seq; None if it is missing, or if the mark does not prove it."""
        with storage_errors("read the snapshot"):
            snapshot = proven_snapshot(self._reader, self._data)
            return None if snapshot is None else (snapshot.point.seq, snapshot.state)

    def has_snapshot(self) -> bool:
        """Whether there is a snapshot, proven or not."""
        with _READING:
            return bool(query(self._reader, "SELECT 1 FROM snapshot"))

    def checkpoint(self) -> bool:
        """Copy the WAL into the database and truncate it; return False if that must wait. Raises E504.

        It waits for readers, for another program's lock, for a transaction of its own, and for space on a
        full disk. The entries are as safe in the WAL.
        """
        if self._writer.in_transaction:
            return False
        with storage_errors("checkpoint the event log"):
            self._end_view()
            self._writer.set_busy_timeout(0)
            try:
                self._writer.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_PASSIVE)
                crash_point("store.close.half_checkpointed")
                self._writer.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)
            except (apsw.BusyError, apsw.FullError):
                return False
            finally:
                self._writer.set_busy_timeout(BUSY_MS)
        self._wal_pages = 0
        self._wal_has_removed = False
        return True

    @property
    def wal_is_due(self) -> bool:
        """Whether `checkpoint` should empty the WAL: it may hold what was removed, or is long.

        It becomes so long by a long read only.
        """
        return self._wal_has_removed or self._wal_pages >= LONG_WAL_PAGES

    def close(self) -> None:
        """Checkpoint unless a write has failed, and release the lock. Safe to call twice."""
        if self._lock_fd < 0:
            return
        try:
            self._in_view = False
            self._reader.close()
            self._roll_back()
            if not self._failure:
                self.checkpoint()
        finally:
            self._failure = "closed"
            self._writer.close()
            self._marks.close()
            os.close(self._lock_fd)
            self._lock_fd = -1
