"""Damaged, truncated, swapped and outdated files of the event log are detected or harmless."""

from __future__ import annotations

import os
import random
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import apsw
import pytest

from chatd.errors import ChatdError
from chatd.store.event_log import EventLog
from chatd.store.log_reader import LogReader
from chatd.store.verifier import verify
from tests.support.storelog import NOW, assert_holds, entries, entry, filled, msg_id

ROUNDS = int(os.environ.get("CHATD_TEST_CORRUPTIONS", "150"))
SEED = int(os.environ.get("CHATD_TEST_SEED", "1"))
HEAD = 240
FILES = ("events.db", "events.db-wal", "mark")


@pytest.fixture(scope="module")
def crashed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The data folder of a killed hub, with half of the log in the database and half in the WAL."""
    folder = tmp_path_factory.mktemp("crashed")
    log = filled(folder / "live", HEAD // 2)
    log.save_snapshot(HEAD // 2, b"state")
    log.checkpoint()
    for first in range(HEAD // 2 + 1, HEAD + 1, 10):
        log.append(entries(first, 10))
    _copy(folder / "live", folder / "data")
    log.close()
    return folder / "data"


def _copy(source: Path, target: Path) -> None:
    target.mkdir()
    for name in FILES:
        shutil.copyfile(source / name, target / name)


def _flip(raw: bytearray, rng: random.Random) -> None:
    raw[rng.randrange(len(raw))] ^= 1 << rng.randrange(8)


def _zero(raw: bytearray, rng: random.Random) -> None:
    start = rng.randrange(len(raw)) // 512 * 512
    raw[start : start + 512] = bytes(len(raw[start : start + 512]))


def _truncate(raw: bytearray, rng: random.Random) -> None:
    del raw[rng.randrange(len(raw)) :]


def _is_harmless(data: Path) -> bool:
    """Return whether all entries are intact and resent messages are recognised."""
    if not verify(data, full=True).ok:
        return False
    return assert_holds(data, HEAD) == HEAD


def test_damage_is_detected_or_harmless(tmp_path: Path, crashed: Path) -> None:
    rng = random.Random(SEED)
    detected = 0
    for number in range(ROUNDS):
        data = tmp_path / str(number)
        _copy(crashed, data)
        path = data / rng.choice(FILES)
        raw = bytearray(path.read_bytes())
        rng.choice((_flip, _flip, _zero, _truncate))(raw, rng)
        path.write_bytes(raw)
        detected += not _is_harmless(data)
        _assert_reads_are_original_or_raise(data)
        shutil.rmtree(data)
    assert detected > ROUNDS // 3


def _assert_reads_are_original_or_raise(data: Path) -> None:
    """Assert that reads return the original data or raise, even without a full verification."""
    try:
        log = EventLog.open(data, now=NOW)
    except ChatdError as error:
        assert error.code == "E610"
        return
    reader = LogReader(data)
    assert log.head == HEAD
    for seq in range(1, HEAD + 1):
        try:
            stored = reader.entry(seq)
        except ChatdError as error:
            assert error.code == "E610"
        else:
            assert stored is None or stored.body == entry(seq).body
    reader.close()
    log.close()


def _sql(statement: str) -> Callable[[Path], None]:
    def damage(data: Path) -> None:
        connection = apsw.Connection(str(data / "events.db"))
        connection.execute(statement)
        connection.close()

    return damage


def _remove(*names: str) -> Callable[[Path], None]:
    def damage(data: Path) -> None:
        for name in names:
            (data / name).unlink()

    return damage


def _wal_of_another(data: Path) -> None:
    other = filled(data.parent / "other", HEAD)
    shutil.copyfile(data.parent / "other" / "events.db-wal", data / "events.db-wal")
    other.close()


def _log_of_another_server(data: Path) -> None:
    """Replace the log with another of the same length; only the chain hashes differ."""
    other = filled(data.parent / "other", HEAD)
    other.close()
    for name in ("events.db", "events.db-wal"):
        shutil.copyfile(data.parent / "other" / name, data / name)


@pytest.mark.parametrize(
    "damage",
    [
        _sql("DELETE FROM events WHERE seq > 230"),
        _sql("DELETE FROM events WHERE seq = 200"),
        _sql("UPDATE events SET room = '#other' WHERE seq = 200"),
        _sql("UPDATE events SET at = at + 1 WHERE seq = 200"),
        _sql("UPDATE events SET device = NULL WHERE seq = 200"),
        _sql("UPDATE events SET body = x'7b7d' WHERE seq = 200"),
        _sql("UPDATE events SET body = NULL WHERE seq = 200"),
        _sql("UPDATE events SET body = NULL, salt = NULL, digest = NULL WHERE seq = 200"),
        _sql("INSERT INTO erased VALUES(201, 202)"),
        _sql("UPDATE meta SET value = 0 WHERE key = 'epoch'"),
        _sql("DELETE FROM meta"),
        _sql("PRAGMA user_version = -1"),
        _sql("PRAGMA user_version = 0"),
        _remove("mark"),
        _remove("events.db"),
        _remove("events.db-wal"),
        _remove("events.db", "events.db-wal"),
        _wal_of_another,
        _log_of_another_server,
    ],
)
def test_a_damaged_log_is_not_opened(tmp_path: Path, crashed: Path, damage: Callable[[Path], None]) -> None:
    data = tmp_path / "data"
    _copy(crashed, data)
    damage(data)
    before = {path.name: path.read_bytes() for path in data.iterdir() if path.name in FILES}
    with pytest.raises(ChatdError) as refusal:
        EventLog.open(data, now=NOW)
    assert refusal.value.code == "E610"
    for name, raw in before.items():
        assert (data / name).read_bytes() == raw, "refusing must not touch the evidence"
    assert not verify(data, full=False).ok
    assert not verify(data, full=True).ok


def test_an_outdated_copy_of_the_database_is_detected(tmp_path: Path) -> None:
    log = filled(tmp_path / "data", 20)
    log.close()
    shutil.copyfile(tmp_path / "data" / "events.db", tmp_path / "old.db")
    log = filled(tmp_path / "data", 25)
    log.close()
    shutil.copyfile(tmp_path / "old.db", tmp_path / "data" / "events.db")
    with pytest.raises(ChatdError, match="E610"):
        EventLog.open(tmp_path / "data", now=NOW)


@pytest.mark.parametrize(
    ("statement", "bad"),
    [
        ("UPDATE events SET body = x'7b7d' WHERE seq = 7", 7),
        ("UPDATE events SET kind = 'message' WHERE seq = 5", 5),
        ("DELETE FROM events WHERE seq BETWEEN 9 AND 11", 9),
        ("UPDATE events SET chain = zeroblob(32) WHERE seq = 100", 100),
    ],
)
def test_full_verification_names_the_first_bad_entry(
    tmp_path: Path, crashed: Path, statement: str, bad: int
) -> None:
    data = tmp_path / "data"
    _copy(crashed, data)
    _sql(statement)(data)
    report = verify(data, full=True)
    assert not report.ok
    assert report.bad_seq == bad


def test_full_verification_checks_the_indexes(tmp_path: Path, crashed: Path) -> None:
    """If a row were missing from its index, a resent message could be stored twice."""
    data = tmp_path / "data"
    _copy(crashed, data)
    _sql("PRAGMA wal_checkpoint(TRUNCATE)")(data)
    path = data / "events.db"
    raw = path.read_bytes()
    places = [match.start() for match in re.finditer(re.escape(msg_id(60)), raw)]
    detected = 0
    for place in places:  # the row, its index entry, perhaps a remnant in a free page
        path.write_bytes(raw[:place] + bytes(16) + raw[place + 16 :])
        detected += not verify(data, full=True).ok
    assert detected == 2


def test_a_log_of_a_newer_program_is_refused_as_such(tmp_path: Path, crashed: Path) -> None:
    data = tmp_path / "data"
    _copy(crashed, data)
    _sql("PRAGMA user_version = 99")(data)
    before = {path.name: path.read_bytes() for path in data.iterdir() if path.name in FILES}
    with pytest.raises(ChatdError, match="E618"):
        EventLog.open(data, now=NOW)
    with pytest.raises(ChatdError, match="E618"):
        verify(data, full=True)
    assert {name: (data / name).read_bytes() for name in before} == before
