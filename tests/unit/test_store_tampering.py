"""Somebody with SQL changes redactions or the snapshot of a stopped log, and leaves the mark alone."""

from __future__ import annotations

import shutil
from hashlib import sha256
from pathlib import Path

import apsw
import pytest

from chatd.errors import ChatdError
from chatd.store.event_log import EventLog
from chatd.store.mark import MARK_NAME
from chatd.store.verifier import verify
from tests.support.storelog import NOW, entries, filled, order

HEAD = 60
REDACTED, EXPIRED = HEAD + 1, HEAD + 2
TARGET = 21  # in #war, whose messages up to 13 have expired
UPTO = 13


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A closed log: one message redacted on request, three expired, and two more messages."""
    filled(tmp_path / "data", HEAD).close()
    shutil.copyfile(tmp_path / "data" / "events.db", tmp_path / "old.db")
    log = EventLog.open(tmp_path / "data", now=NOW)
    log.append([order(REDACTED, "redacted", "#war", target=TARGET)], {TARGET: REDACTED})
    log.append([order(EXPIRED, "expired", "#war", upto=UPTO, count=3)], dict.fromkeys((1, 9, 13), EXPIRED))
    log.append(entries(EXPIRED + 1, 2))
    log.close()
    return tmp_path / "data"


def change(data: Path, *statements: str) -> None:
    connection = apsw.Connection(str(data / "events.db"))
    for statement in statements:
        connection.execute(statement)
    connection.close()


def empty(seq: int) -> str:
    return f"UPDATE events SET body = NULL, salt = NULL, digest = NULL WHERE seq = {seq}"  # noqa: S608


def test_true_redactions_verify(data: Path) -> None:
    assert verify(data, full=True).ok
    EventLog.open(data, now=NOW).close()


@pytest.mark.parametrize(
    ("statements", "bad"),
    [
        pytest.param((empty(17), "INSERT INTO erased VALUES(17, 999999)"), 17, id="by no event"),
        pytest.param((empty(17), "INSERT INTO erased VALUES(17, 20)"), 17, id="by another kind of event"),
        pytest.param((empty(17), f"INSERT INTO erased VALUES(17, {REDACTED})"), 17, id="by another's event"),
        pytest.param(
            (empty(17), f"INSERT INTO erased VALUES(17, {EXPIRED})"), 17, id="after the last expired"
        ),
        pytest.param((empty(4), f"INSERT INTO erased VALUES(4, {EXPIRED})"), 4, id="expired in another room"),
        pytest.param((empty(5), f"INSERT INTO erased VALUES(5, {EXPIRED})"), 5, id="not a message"),
        pytest.param((empty(63), f"INSERT INTO erased VALUES(63, {REDACTED})"), 63, id="by an earlier event"),
        pytest.param((empty(17),), 17, id="by nothing"),
        pytest.param(("INSERT INTO erased VALUES(17, 999999)",), 17, id="hidden but not removed"),
        pytest.param(("INSERT INTO erased VALUES(999, 1000)",), 999, id="in advance"),
        pytest.param(("UPDATE events SET digest = zeroblob(16) WHERE seq = 21",), 21, id="digest is left"),
        pytest.param(("DELETE FROM erased WHERE seq = 21",), TARGET, id="not noted"),
    ],
)
def test_a_redaction_that_no_event_orders_is_damage(
    data: Path, statements: tuple[str, ...], bad: int
) -> None:
    change(data, *statements)
    report = verify(data, full=True)
    assert (report.ok, report.bad_seq) == (False, bad)
    with pytest.raises(ChatdError, match="E610"):
        EventLog.open(data, now=NOW)


@pytest.mark.parametrize("seq", [TARGET, 9])
def test_a_body_that_came_back_is_damage(data: Path, tmp_path: Path, seq: int) -> None:
    """Taken from an old copy with its salt and digest, it fits the chain."""
    connection = apsw.Connection(str(data / "events.db"))
    connection.execute("ATTACH ? AS old", (str(tmp_path / "old.db"),))
    connection.execute("DELETE FROM erased WHERE seq = ?", (seq,))
    connection.execute(
        """UPDATE events SET (body, salt, digest) =
         (SELECT body, salt, digest FROM old.events o WHERE o.seq = events.seq) WHERE seq = ?""",
        (seq,),
    )
    connection.close()
    report = verify(data, full=True)
    assert (report.ok, report.bad_seq) == (False, seq)
    assert "still there" in report.reason


def test_what_the_database_says_of_earlier_verifications_proves_nothing(data: Path) -> None:
    """Versions before this one kept a verified seq and its hash in the database itself."""
    change(
        data,
        "UPDATE events SET at = 1 WHERE seq = 50",
        "INSERT OR REPLACE INTO meta VALUES('verified_seq', 64)",
        "INSERT OR REPLACE INTO meta SELECT 'verified_chain', chain FROM events WHERE seq = 64",
    )
    with pytest.raises(ChatdError, match="entry 50"):
        EventLog.open(data, now=NOW)


def test_a_snapshot_moved_forward_hides_no_change(data: Path) -> None:
    """The mark proves the place of a snapshot, so the open walks everything after it."""
    log = EventLog.open(data, now=NOW)
    log.save_snapshot(40, b"state")
    log.close()
    change(
        data,
        "UPDATE events SET at = 1 WHERE seq = 50",
        "UPDATE snapshot SET seq = 64, chain = (SELECT chain FROM events WHERE seq = 64)",
    )
    with pytest.raises(ChatdError, match="entry 50"):
        EventLog.open(data, now=NOW)


def test_a_changed_snapshot_is_ignored_and_reported(data: Path) -> None:
    log = EventLog.open(data, now=NOW)
    log.save_snapshot(40, b"genuine")
    log.close()
    connection = apsw.Connection(str(data / "events.db"))
    connection.execute(
        "UPDATE snapshot SET state = ?, state_hash = ?", (b"forged", sha256(b"forged").digest())
    )
    connection.close()
    report = verify(data, full=True, agrees=lambda states, seq, state: state == b"genuine")
    assert (report.ok, report.bad_seq) == (False, 40)
    log = EventLog.open(data, now=NOW)
    assert log.load_snapshot() is None
    log.close()


def test_the_check_of_a_snapshot_gets_the_entries_up_to_it(data: Path) -> None:
    log = EventLog.open(data, now=NOW)
    log.save_snapshot(40, b"state")
    log.close()
    seen: list[int] = []

    def agrees(states: object, seq: int, state: bytes) -> bool:
        seen.extend(entry.seq for entry in states)  # type: ignore[attr-defined]
        return (seq, state) == (40, b"state")

    assert verify(data, full=True, agrees=agrees).ok
    assert seen == [5, 10, 15, 20, 25, 30, 35, 40]


def test_a_snapshot_of_removed_entries_is_damage(data: Path) -> None:
    log = EventLog.open(data, now=NOW)
    log.save_snapshot(64, b"state")
    log.close()
    change(data, "DELETE FROM events WHERE seq > 60")
    for full in (True, False):
        assert not verify(data, full=full).ok
    (data / MARK_NAME).unlink()
    assert not verify(data, full=True).ok


@pytest.mark.parametrize(
    ("statement", "words"),
    [
        (
            "CREATE TRIGGER t AFTER INSERT ON events BEGIN DELETE FROM erased; END",
            "trigger t does not belong",
        ),
        ("CREATE TABLE t(x)", "table t does not belong"),
        ("CREATE VIEW t AS SELECT * FROM events", "view t does not belong"),
        ("CREATE INDEX t ON events(at)", "index t does not belong"),
        ("CREATE VIRTUAL TABLE t USING fts5(x)", "table t does not belong"),
        ("ANALYZE", "table sqlite_stat1 does not belong"),
        ("DROP INDEX events_shown", "index events_shown is missing"),
        ("DROP TABLE snapshot", "table snapshot is missing"),
        ("ALTER TABLE events ADD COLUMN more ANY", "table events is not as chatd made it"),
        ("ALTER TABLE erased RENAME TO removed", "table erased is missing"),
        ('CREATE TABLE "a\x1b[2J"(x)', r"table a\x1b[2J does not belong"),
    ],
)
def test_a_changed_schema_is_damage(data: Path, statement: str, words: str) -> None:
    change(data, statement)
    before = (data / "events.db").read_bytes()
    report = verify(data, full=False)
    assert (report.ok, report.bad_seq) == (False, None)
    assert words in report.reason
    with pytest.raises(ChatdError, match="E610"):
        EventLog.open(data, now=NOW)
    assert (data / "events.db").read_bytes() == before


def test_an_index_of_the_same_name_on_other_columns_is_damage(data: Path) -> None:
    change(data, "DROP INDEX events_shown", "CREATE INDEX events_shown ON events(at)")
    assert "index events_shown is not as chatd made it" in verify(data, full=True).reason
