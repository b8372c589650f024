"""Redaction, retention and holds: the commands, the history, and the bytes in the data files."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import apsw

from chatd.hub.recovery import clock
from chatd.store.event_log import EventLog
from chatd.store.log_reader import LogReader
from tests.support.daemon import Daemon, running, wait_until
from tests.support.lobby import history, say

SECRET = "the-password-is-swordfish"


def data_bytes(home: Path) -> bytes:
    """Return the contents of all files in the home's data folder."""
    return b"".join(path.read_bytes() for path in (home / "data").iterdir() if path.is_file())


def test_a_redacted_body_is_gone_from_history_and_from_every_file(daemon: Daemon) -> None:
    seq = say(daemon, SECRET)
    assert SECRET in history(daemon)
    found = daemon.run("chat", "--identity", str(daemon.identity("alice", "console")), "search", "swordfish")
    assert SECRET in found.stdout
    daemon.chatctl("redact", "#lobby", str(seq), "--reason", "leaked", "--yes")
    shown = history(daemon)
    assert SECRET not in shown
    assert "redacted" in shown
    daemon.chatd("restart")
    assert SECRET not in history(daemon)
    daemon.stop()
    assert SECRET.encode() not in data_bytes(daemon.home)
    assert daemon.chatd("verify").stdout.startswith("ok")


def test_a_redacted_body_leaves_the_files_of_an_idle_server_after_the_last_reader(daemon: Daemon) -> None:
    seq = say(daemon, SECRET)
    with reading_transaction(daemon.home):
        daemon.chatctl("redact", "#lobby", str(seq), "--yes")
        wait_until(
            lambda: any(line["event"] == "redacted_text_remains" for line in daemon.log_lines()),
            what="the report that a reader keeps the text",
        )
    wait_until(lambda: SECRET.encode() not in data_bytes(daemon.home), what="the text to leave the files")


@contextmanager
def reading_transaction(home: Path) -> Iterator[None]:
    """Read the log meanwhile, as an export or a backup does."""
    connection = apsw.Connection(str(home / "data" / "events.db"), flags=apsw.SQLITE_OPEN_READONLY)
    try:
        connection.execute("BEGIN")
        connection.execute("SELECT max(seq) FROM events").fetchall()
        yield
    finally:
        connection.close()


def test_redaction_is_refused_for_a_held_room_and_for_anything_but_a_message(daemon: Daemon) -> None:
    seq, redacted = say(daemon, "keep me"), say(daemon, "not me")
    daemon.chatctl("redact", "#lobby", str(redacted), "--yes")
    for arguments, code in (
        (("redact", "#lobby", "1", "--yes"), "E410"),
        (("redact", "#nowhere", str(seq), "--yes"), "E404"),
        (("redact", "#lobby", "999999", "--yes"), "E410"),
        (("redact", "#lobby", str(redacted), "--yes"), "E410"),
    ):
        assert code in daemon.chatctl(*arguments, check=False).stderr
    daemon.chatctl("hold", "#lobby", "--reason", "legal hold")
    assert "E306" in daemon.chatctl("redact", "#lobby", str(seq), "--yes", check=False).stderr
    daemon.chatctl("hold", "#lobby", "--off")
    daemon.chatctl("redact", "#lobby", str(seq), "--yes")
    assert "keep me" not in history(daemon)


def test_retention_redacts_old_messages_unless_the_room_is_held(tmp_path: Path) -> None:
    with running(tmp_path / "home") as daemon:
        say(daemon, SECRET)
        daemon.chatctl("hold", "#lobby")
        daemon.stop()
        age_log(daemon.home)
        daemon.write_settings(lambda tree: tree["retention"].update(days=30))
        daemon.start()
        assert SECRET in history(daemon)
        daemon.chatctl("hold", "#lobby", "--off")
        daemon.chatd("restart")
        wait_until(lambda: SECRET not in history(daemon), what="the message to be redacted")
        daemon.stop()
        assert daemon.chatd("verify").stdout.startswith("ok")


def age_log(home: Path) -> None:
    """Rewrite the log with every event 60 days older."""
    reader = LogReader(home / "data")
    entries = [reader.entry(seq) for seq in range(1, reader.head() + 1)]
    reader.close()
    for path in (home / "data").iterdir():
        path.unlink()
    log = EventLog.open(home / "data", now=clock())
    log.append([entry._replace(at=entry.at - 60 * 86_400_000) for entry in entries if entry is not None])
    log.close()
