"""The client's state file: durability, ownership of messages, refused files."""

from __future__ import annotations

import sqlite3
import stat
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from chatctl.client import Sent, _state_store
from chatctl.client._state_store import FILE_NAME, NOTE_NAME, FileStore
from chatd.errors import ChatdError
from chatd.proto.frames import INTEGER_LIMIT
from chatd.proto.lineage import Branch
from tests.support.lines import next_line

LINEAGE = (Branch(id="a" * 32, began=0),)

LEAVE_BEHIND = """
import os, sys
from pathlib import Path
from chatctl.client import Sent
from chatctl.client._state_store import FileStore
store = FileStore(Path(sys.argv[1]))
store.load()
for n in range(3):
    store.add(Sent(f"{n:032x}", "#lobby", f"left {n}", "text", None))
print("ready", flush=True)
sys.stdin.read()
os._exit(9)
"""


def sent(n: int, body: str = "hello") -> Sent:
    return Sent(f"{n:032x}", "#lobby", body, "action", 12)


def ids(messages: list[Sent]) -> list[str]:
    return [message.msg_id for message in messages]


def test_unanswered_messages_and_the_cursor_survive(tmp_path: Path) -> None:
    folder = tmp_path / "deep" / "state"
    store = FileStore(folder)
    assert store.load() == ([], None, ())
    for n in (1, 2, 3):
        store.add(sent(n))
    store.remove(sent(2))
    store.save_cursor(41, LINEAGE)
    store.close()
    again = FileStore(folder)
    messages, cursor, lineage = again.load()
    assert ids(messages) == [sent(1).msg_id, sent(3).msg_id]
    assert (messages[0].to, messages[0].body, messages[0].kind, messages[0].reply_to) == (
        "#lobby",
        "hello",
        "action",
        12,
    )
    assert (cursor, lineage) == (41, LINEAGE)
    again.close()


def test_only_the_owner_can_read_the_file(tmp_path: Path) -> None:
    store = FileStore(tmp_path / "state")
    assert stat.S_IMODE((tmp_path / "state" / FILE_NAME).stat().st_mode) == 0o600
    assert stat.S_IMODE((tmp_path / "state").stat().st_mode) == 0o700
    store.close()


def test_the_cursor_moves_back_only_on_request(tmp_path: Path) -> None:
    store = FileStore(tmp_path)
    for seq, back, expected in [(10, False, 10), (5, False, 10), (5, True, 5), (6, False, 6)]:
        store.save_cursor(seq, LINEAGE, back=back)
        assert store.load()[1] == expected
    store.close()


def test_a_noted_cursor_counts_in_its_own_log_only(tmp_path: Path) -> None:
    store = FileStore(tmp_path)
    store.note_cursor(7, LINEAGE)
    assert store.load()[1] is None, "nothing was saved that it could follow"
    store.save_cursor(10, LINEAGE)
    for seq, expected in [(9, 10), (12, 12), (11, 12)]:
        store.note_cursor(seq, LINEAGE)
        assert store.load()[1] == expected
    store.save_cursor(4, LINEAGE, back=True)
    assert store.load()[1] == 4
    store.note_cursor(20, LINEAGE)
    restored = (*LINEAGE, Branch(id="b" * 32, began=4))
    store.save_cursor(5, restored)
    assert store.load()[1] == 5
    store.close()


@pytest.mark.parametrize("damage", [b"", b"\0" * 64, b"\xff" * 100])
def test_a_damaged_note_is_ignored(damage: bytes, tmp_path: Path) -> None:
    store = FileStore(tmp_path)
    store.save_cursor(3, LINEAGE)
    store.note_cursor(5, LINEAGE)
    (tmp_path / NOTE_NAME).write_bytes(damage)
    assert store.load()[1] == 3
    store.close()


def test_a_cursor_of_another_log_replaces_cursor_and_lineage(tmp_path: Path) -> None:
    store = FileStore(tmp_path)
    store.save_cursor(10, LINEAGE)
    restored = (*LINEAGE, Branch(id="b" * 32, began=4))
    store.save_cursor(4, restored)
    assert store.load()[1:] == (4, restored)
    store.close()


def test_a_file_without_a_lineage_keeps_its_cursor(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / FILE_NAME)) as database, database:
        database.execute(
            "CREATE TABLE cursor (one INTEGER PRIMARY KEY CHECK (one = 1), seq INTEGER NOT NULL) STRICT"
        )
        database.execute("INSERT INTO cursor VALUES (1, 41)")
    store = FileStore(tmp_path)
    assert store.load() == ([], 41, ())
    store.save_cursor(42, LINEAGE)
    store.close()
    store = FileStore(tmp_path)
    assert store.load() == ([], 42, LINEAGE)
    store.close()


def test_messages_are_taken_over_from_dead_clients_only(tmp_path: Path) -> None:
    child = subprocess.Popen(
        [sys.executable, "-c", LEAVE_BEHIND, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert child.stdin is not None
    with child:
        assert next_line(child, "the confirmation that all are stored") == b"ready\n"
        store = FileStore(tmp_path)
        assert store.load()[0] == []
        child.stdin.close()
        child.wait()
    assert [message.body for message in store.load()[0]] == ["left 0", "left 1", "left 2"]
    store.close()


def test_a_reused_pid_is_not_taken_for_the_owner(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = FileStore(tmp_path)
    store.add(sent(1))
    monkeypatch.setattr(_state_store, "_started", lambda pid: "another start")
    later = FileStore(tmp_path)
    assert ids(later.load()[0]) == [sent(1).msg_id]
    later.close()
    store.close()


def test_a_full_outbox_raises_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_state_store, "ROWS_LIMIT", 2)
    store = FileStore(tmp_path)
    store.add(sent(1))
    store.add(sent(2))
    with pytest.raises(ChatdError, match="E409"):
        store.add(sent(3))
    store.remove(sent(1))
    store.add(sent(3))
    store.close()


def test_a_file_that_is_not_a_database_is_reported(tmp_path: Path) -> None:
    (tmp_path / FILE_NAME).write_bytes(b"not a database" * 100)
    with pytest.raises(ChatdError, match="E606"):
        FileStore(tmp_path)


def raw(folder: Path) -> sqlite3.Connection:
    """Another program's connection to the file, which waits for no lock."""
    return sqlite3.connect(folder / FILE_NAME, timeout=0, isolation_level=None)


def test_a_file_locked_by_another_program_is_named_as_such(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_state_store, "_BUSY_TIMEOUT", 0.0)
    store = FileStore(tmp_path)
    with closing(raw(tmp_path)) as other:
        other.execute("BEGIN EXCLUSIVE")
        for use in (lambda: FileStore(tmp_path), store.load, lambda: store.add(sent(1))):
            with pytest.raises(ChatdError) as caught:
                use()
            assert caught.value.code == "E606"
            assert "end the other program" in caught.value.fix
            assert "disk" not in str(caught.value)
    store.add(sent(1))
    store.close()


@pytest.mark.parametrize("content", [b"not a database" * 100, b""])
def test_a_damaged_file_is_moved_away(tmp_path: Path, content: bytes) -> None:
    (tmp_path / FILE_NAME).write_bytes(content)
    if not content:
        with closing(raw(tmp_path)) as other:
            other.execute("CREATE TABLE outbox (another INTEGER)")
    with pytest.raises(ChatdError) as caught:
        FileStore(tmp_path).load()
    assert "move it away" in caught.value.fix
    (tmp_path / FILE_NAME).rename(tmp_path / "away")
    FileStore(tmp_path).close()


@pytest.mark.parametrize("seq", [-1, INTEGER_LIMIT + 1, 2**63 - 1])
def test_a_damaged_cursor_counts_as_none(tmp_path: Path, seq: int) -> None:
    store = FileStore(tmp_path)
    store.save_cursor(1, LINEAGE)
    with closing(raw(tmp_path)) as other:
        other.execute("UPDATE cursor SET seq = ?", (seq,))
    assert store.load().cursor is None
    store.close()


def test_a_symbolic_link_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / FILE_NAME).symlink_to(tmp_path / "elsewhere")
    with pytest.raises(ChatdError, match="E606"):
        FileStore(tmp_path)
    assert not (tmp_path / "elsewhere").exists()


def test_every_write_is_synced(tmp_path: Path) -> None:
    store = FileStore(tmp_path)
    database: sqlite3.Connection = store._database
    assert database.execute("PRAGMA synchronous").fetchone() == (2,)
    assert database.execute("PRAGMA journal_mode").fetchone() == ("delete",)
    store.close()
