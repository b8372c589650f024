"""The event log without failures: append, find, replay, snapshot, lock, epoch."""

from __future__ import annotations

import stat
from collections.abc import Iterator
from pathlib import Path

import apsw
import pytest

from chatd.errors import ChatdError
from chatd.store.entry import AcceptedMessage, Point
from chatd.store.event_log import EventLog
from chatd.store.log_files import LOCK_NAME
from chatd.store.log_reader import LogReader
from chatd.store.mark import MARK_NAME, MarkFile, read_mark
from chatd.store.migrations import STEPS, migrate
from tests.support.storelog import NOW, entries, entry, filled, msg_id


@pytest.fixture
def log(tmp_path: Path) -> Iterator[EventLog]:
    opened = filled(tmp_path / "data", 120)
    yield opened
    opened.close()


@pytest.fixture
def reader(log: EventLog, tmp_path: Path) -> Iterator[LogReader]:
    opened = LogReader(tmp_path / "data")
    yield opened
    opened.close()


def test_a_new_log_is_empty_and_private(tmp_path: Path) -> None:
    log = EventLog.open(tmp_path / "data", now=NOW)
    assert (log.head, log.epoch, len(log.chain_hash)) == (0, 1, 32)
    log.append([])
    log.append(entries(1, 1))
    for path in (tmp_path / "data").iterdir():
        assert stat.S_IMODE(path.stat().st_mode) & 0o077 == 0, path.name
    assert stat.S_IMODE((tmp_path / "data").stat().st_mode) == 0o700
    log.close()
    log.close()


def test_a_reopened_log_continues(tmp_path: Path, log: EventLog) -> None:
    chain = log.chain_hash
    log.close()
    reopened = EventLog.open(tmp_path / "data", now=NOW)
    assert (reopened.head, reopened.epoch, reopened.chain_hash) == (120, 2, chain)
    reopened.append(entries(121, 1))
    assert reopened.head == 121
    reopened.close()


def test_a_closed_log_refuses_writes(log: EventLog) -> None:
    log.close()
    with pytest.raises(ChatdError, match="E504"):
        log.append(entries(121, 1))


@pytest.mark.parametrize("first", [0, 1, 120, 122])
def test_seqs_must_be_consecutive(log: EventLog, first: int) -> None:
    with pytest.raises(ValueError, match="instead of entry 121"):
        log.append(entries(first, 2))
    log.append(entries(121, 2))


def test_find_returns_an_accepted_message_by_device_and_msg_id(log: EventLog) -> None:
    expected = entry(7)
    assert log.find("alice/laptop", msg_id(7)) == AcceptedMessage(
        7, expected.at, expected.digest or b"", "message"
    )
    assert log.find("alice/phone", msg_id(7)) is None
    assert log.find("alice/laptop", msg_id(121)) is None
    log.append(entries(121, 1))
    assert log.find("alice/laptop", msg_id(121)) is not None


def test_find_sees_every_append_without_blocking_checkpoints(tmp_path: Path, log: EventLog) -> None:
    for first in range(121, 161, 2):
        assert log.find("alice/laptop", msg_id(first)) is None
        log.append(entries(first, 2))
        assert log.find("alice/laptop", msg_id(first + 1)) is not None
        assert log.find("alice/laptop", msg_id(7)) is not None
    log.checkpoint()
    assert (tmp_path / "data" / "events.db-wal").stat().st_size == 0
    assert log.find("alice/laptop", msg_id(160)) is not None


def test_a_transaction_that_was_begun_keeps_the_wal_and_can_be_left(tmp_path: Path, log: EventLog) -> None:
    log.append(entries(121, 1))
    assert log.try_begin()
    assert not log.checkpoint()
    log.leave()
    assert log.checkpoint()
    assert (tmp_path / "data" / "events.db-wal").stat().st_size == 0
    assert log.try_begin()
    log.insert(entries(122, 1))
    log.leave()  # not what was inserted
    log.commit()
    log.finish()
    assert log.head == 122
    assert log.try_begin()
    log.close()
    assert (tmp_path / "data" / "events.db-wal").stat().st_size == 0


def test_a_duplicate_msg_id_stops_the_log(tmp_path: Path, log: EventLog) -> None:
    twice = entry(121)._replace(msg_id=msg_id(7))
    with pytest.raises(ChatdError, match="E504"):
        log.append([twice])
    with pytest.raises(ChatdError, match="accepts no more"):
        log.append(entries(121, 1))
    log.close()
    reopened = EventLog.open(tmp_path / "data", now=NOW)
    assert reopened.head == 120
    reopened.close()


def test_entries_without_a_msg_id_are_stored(log: EventLog, reader: LogReader) -> None:
    plain = [entry(seq)._replace(device=None, msg_id=None, digest=None) for seq in (121, 122)]
    log.append(plain)
    assert [reader.entry(121), reader.entry(122)] == plain


def test_state_entries_returns_the_entries_that_change_the_state(
    log: EventLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("chatd.store.snapshots._STATE_ROWS", 4)
    assert list(log.state_entries(0)) == [entry(seq) for seq in range(5, 121, 5)]
    assert [e.seq for e in log.state_entries(95)] == [100, 105, 110, 115, 120]
    assert list(log.state_entries(120)) == []


def test_the_last_snapshot_is_loaded_and_one_beyond_the_head_refused(tmp_path: Path, log: EventLog) -> None:
    assert log.load_snapshot() is None
    log.save_snapshot(50, b"fifty")
    log.save_snapshot(100, b"a hundred")
    assert log.load_snapshot() == (100, b"a hundred")
    with pytest.raises(ChatdError, match="E610"):
        log.save_snapshot(121, b"the future")
    log.close()
    reopened = EventLog.open(tmp_path / "data", now=NOW)
    assert reopened.load_snapshot() == (100, b"a hundred")
    reopened.close()


def test_a_snapshot_that_was_never_committed_leaves_the_previous_one(tmp_path: Path, log: EventLog) -> None:
    log.save_snapshot(50, b"fifty")
    log.close()
    marks = MarkFile(tmp_path / "data")
    marks.write_snapshot_digest(1, 100, bytes(32))
    marks.close()
    reopened = EventLog.open(tmp_path / "data", now=NOW)
    assert reopened.load_snapshot() == (50, b"fifty")
    reopened.close()


def test_the_snapshot_of_an_older_version_is_ignored(tmp_path: Path, log: EventLog) -> None:
    """Its mark has no place for a digest; the log opens, and the next snapshot counts reopened."""
    log.save_snapshot(100, b"state")
    log.close()
    path = tmp_path / "data" / MARK_NAME
    path.write_bytes(path.read_bytes()[:8192])
    reopened = EventLog.open(tmp_path / "data", now=NOW)
    assert reopened.load_snapshot() is None
    assert reopened.has_snapshot()
    reopened.save_snapshot(120, b"state")
    assert reopened.load_snapshot() == (120, b"state")
    reopened.close()


@pytest.mark.parametrize("damage", ["state = x'00'", "chain = zeroblob(32)", "seq = 99"])
def test_a_damaged_snapshot_is_ignored(tmp_path: Path, log: EventLog, damage: str) -> None:
    log.save_snapshot(100, b"state")
    log.close()
    connection = apsw.Connection(str(tmp_path / "data" / "events.db"))
    connection.execute(f"UPDATE snapshot SET {damage}")  # noqa: S608
    connection.close()
    reopened = EventLog.open(tmp_path / "data", now=NOW)
    assert reopened.load_snapshot() is None
    reopened.close()


def test_a_second_writer_is_refused(tmp_path: Path, log: EventLog) -> None:
    with pytest.raises(ChatdError, match="E604"):
        EventLog.open(tmp_path / "data", now=NOW)


def test_a_replaced_writer_cannot_write(tmp_path: Path, log: EventLog) -> None:
    """The epoch protects the log even if somebody deletes the lock file."""
    (tmp_path / "data" / LOCK_NAME).unlink()
    successor = EventLog.open(tmp_path / "data", now=NOW)
    with pytest.raises(ChatdError, match="another hub has taken over"):
        log.append(entries(121, 1))
    successor.append(entries(121, 1))
    successor.close()


def test_a_reader_in_a_transaction_does_not_block_the_log(tmp_path: Path, log: EventLog) -> None:
    other = apsw.Connection(str(tmp_path / "data" / "events.db"), flags=apsw.SQLITE_OPEN_READONLY)
    other.execute("BEGIN")
    other.execute("SELECT max(seq) FROM events").fetchall()
    log.checkpoint()
    log.append(entries(121, 1))
    other.close()


class TestMark:
    def test_the_mark_follows_the_head(self, tmp_path: Path, log: EventLog) -> None:
        mark = read_mark(tmp_path / "data")
        assert mark is not None
        assert (mark.epoch, mark.point) == (1, Point(120, log.chain_hash))

    def test_a_torn_write_leaves_the_previous_mark(self, tmp_path: Path, log: EventLog) -> None:
        before = read_mark(tmp_path / "data")
        log.append(entries(121, 1))
        path = tmp_path / "data" / MARK_NAME
        raw = bytearray(path.read_bytes())
        newest = 0 if raw[12:20] > raw[4096 + 12 : 4096 + 20] else 4096
        raw[newest + 30 : newest + 64] = bytes(34)
        path.write_bytes(raw)
        assert read_mark(tmp_path / "data") == before
        log.close()
        reopened = EventLog.open(tmp_path / "data", now=NOW)
        assert reopened.head == 121
        reopened.close()

    def test_a_missing_mark_reads_as_none(self, tmp_path: Path) -> None:
        assert read_mark(tmp_path) is None
        marks = MarkFile(tmp_path)
        assert read_mark(tmp_path) is None
        marks.close()
        marks.close()


class TestMigrations:
    def test_a_migration_copies_the_database_first(self, tmp_path: Path, log: EventLog) -> None:
        data = tmp_path / "data"
        log.close()
        connection = apsw.Connection(str(data / "events.db"))
        migrate(connection, data, now=NOW, steps=[*STEPS, "CREATE TABLE more(x ANY) STRICT"])
        assert connection.pragma("user_version") == len(STEPS) + 1
        connection.close()
        (copy,) = data.glob("events-before-v*.db")
        assert stat.S_IMODE(copy.stat().st_mode) == 0o600
        old = apsw.Connection(str(copy))
        assert old.pragma("user_version") == len(STEPS)
        assert old.execute("SELECT count(*) FROM events").fetchall() == [(120,)]
        old.close()
        with pytest.raises(ChatdError, match="E618"):
            EventLog.open(data, now=NOW)

    def test_a_failing_migration_changes_nothing(self, tmp_path: Path, log: EventLog) -> None:
        log.close()
        connection = apsw.Connection(str(tmp_path / "data" / "events.db"))
        steps = [*STEPS, "CREATE TABLE more(x ANY) STRICT; DROP TABLE nothing"]
        with pytest.raises(apsw.SQLError):
            migrate(connection, tmp_path, now=NOW, steps=steps)
        assert connection.pragma("user_version") == len(STEPS)
        assert connection.execute("SELECT 1 FROM sqlite_schema WHERE name = 'more'").fetchall() == []
        connection.close()
