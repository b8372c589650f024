"""Somebody edits the log of a stopped server with SQL, and leaves the mark alone."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import Any

import apsw
import pytest

from chatd.store.database import query
from tests.support.daemon import Daemon, running
from tests.support.under_attack import login_bye


@contextmanager
def database(daemon: Daemon) -> Iterator[apsw.Connection]:
    connection = apsw.Connection(str(daemon.home / "data" / "events.db"))
    try:
        yield connection
    finally:
        connection.close()


def send(daemon: Daemon, text: str) -> int:
    """Send a message to #lobby as alice; return its seq."""
    identity = str(daemon.identity("alice", "console"))
    sent = daemon.run("chat", "--identity", identity, "send", "--json", "#lobby", text)
    seq: int = json.loads(sent.stdout)["seq"]
    return seq


def edit_snapshot(daemon: Daemon, change: Callable[[dict[str, Any]], None]) -> None:
    """Change the stored state, with the hash beside it."""
    with database(daemon) as connection:
        ((raw,),) = query(connection, "SELECT state FROM snapshot")
        state = json.loads(raw)
        change(state)
        forged = json.dumps(state).encode()
        connection.execute("UPDATE snapshot SET state = ?, state_hash = ?", (forged, sha256(forged).digest()))


def pardon_and_promote(state: dict[str, Any]) -> None:
    del state["bans"]["bob"]
    state["users"]["bob"]["role"] = "admin"


def judgements(daemon: Daemon, tmp_path: Path) -> dict[str, str]:
    """What each command that vouches for the log says; "" if it finds nothing."""
    passphrase = tmp_path / "passphrase"
    passphrase.write_text("correct horse battery staple")
    passphrase.chmod(0o600)
    backup = ("backup", "create", str(tmp_path / "x.bak"), "--passphrase-file", str(passphrase))
    said = {}
    for name, arguments in (
        ("verify", ("verify",)),
        ("check", ("check",)),
        ("export", ("export", "-o", str(tmp_path / "x.jsonl"))),
        ("backup", backup),
    ):
        done = daemon.chatd(*arguments, check=False)
        output = done.stdout + done.stderr
        found = done.returncode == 1 and ("E610" in output or "damage" in output)
        said[name] = output if found else ""
    return said


def test_a_ban_taken_out_of_the_snapshot_stays_in_force(tmp_path: Path) -> None:
    with running(tmp_path / "home") as daemon:
        daemon.add_user("bob")
        daemon.chatctl("ban", "bob", "--yes")
        daemon.stop()
        assert judgements(daemon, tmp_path) == {"verify": "", "check": "", "export": "", "backup": ""}
        (tmp_path / "x.bak").unlink()
        (tmp_path / "x.jsonl").unlink()
        edit_snapshot(daemon, pardon_and_promote)
        said = judgements(daemon, tmp_path)
        assert "snapshot" in said["verify"]
        assert "snapshot" in said["check"]
        assert "snapshot" in said["backup"]
        daemon.start()
        assert login_bye(daemon, "bob")["code"] == "E207"
        assert any(line["event"] == "snapshot_ignored" for line in daemon.log_lines("security.log"))
        assert daemon.chatd("verify").stdout.startswith("ok"), "a start replaces the snapshot"


@pytest.mark.parametrize("by_seq", [999_999, 1])
def test_a_text_removed_without_a_redaction_is_damage(tmp_path: Path, by_seq: int) -> None:
    with running(tmp_path / "home") as daemon:
        seq = send(daemon, "inconvenient")
        daemon.stop()
        with database(daemon) as connection:
            connection.execute("INSERT INTO erased VALUES(?, ?)", (seq, by_seq))
            connection.execute(
                "UPDATE events SET body = NULL, salt = NULL, digest = NULL WHERE seq = ?", (seq,)
            )
        said = judgements(daemon, tmp_path)
        assert all(str(seq) in said[name] for name in ("verify", "backup", "export")), said
