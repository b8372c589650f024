"""Archived and removed rooms on a real server: the commands, the clients in the room, and the data files."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.daemon import Daemon, running, wait_until

SECRET = "the-password-is-swordfish"


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[Daemon]:
    with running(tmp_path / "home") as daemon:
        daemon.add_user("bob")
        yield daemon


def chat(daemon: Daemon, *arguments: str, user: str = "bob", check: bool = True) -> str:
    device = "console" if user == "alice" else "laptop"
    done = daemon.run("chat", "--identity", str(daemon.identity(user, device)), *arguments, check=check)
    return done.stdout + done.stderr


def data_bytes(home: Path) -> bytes:
    return b"".join(path.read_bytes() for path in (home / "data").iterdir() if path.is_file())


def test_a_removed_room_leaves_no_text_and_its_name_is_free(daemon: Daemon) -> None:
    daemon.chatctl("room", "create", "old", "--topic", "plans")
    chat(daemon, "send", "#old", SECRET)
    assert (
        "would be removed: #old with 2 members" in daemon.chatctl("room", "remove", "old", "--dry-run").stdout
    )
    assert SECRET in chat(daemon, "search", "swordfish")
    daemon.chatctl("hold", "old")
    assert "E306" in daemon.chatctl("room", "remove", "old", "--yes", check=False).stderr
    daemon.chatctl("hold", "old", "--off")
    daemon.chatctl("room", "remove", "old", "--yes", "--reason", "done")
    assert "E404" in chat(daemon, "history", "#old", check=False)
    assert SECRET not in chat(daemon, "search", "swordfish", check=False)
    wait_until(
        lambda: daemon.chatctl("room", "create", "old", check=False).returncode == 0,
        what="the name to be free",
    )
    shown = daemon.run(
        "chat", "--identity", str(daemon.identity("alice", "console")), "history", "--json", "#old"
    ).stdout
    assert [json.loads(line)["type"] for line in shown.splitlines()] == ["room_created", "joined"]
    removed = [line for line in daemon.log_lines("audit.log") if line["event"] == "room_removed"]
    assert [(line["by"], line["room"], line["reason"]) for line in removed] == [("alice", "#old", "done")]
    wait_until(lambda: SECRET.encode() not in data_bytes(daemon.home), what="the text to leave the files")
    daemon.stop()
    assert daemon.chatd("verify").stdout.startswith("ok")
    exported = daemon.home / "export.jsonl"
    daemon.chatd("export", "--output", str(exported))
    assert "redacted" in daemon.chatd("verify", "--export", str(exported)).stdout


def test_an_archived_room_is_read_only_until_that_is_undone(daemon: Daemon) -> None:
    daemon.chatctl("room", "create", "old")
    chat(daemon, "send", "#old", SECRET)
    daemon.chatctl("room", "archive", "old", "--reason", "done")
    refused = chat(daemon, "send", "#old", "more", check=False)
    assert "E307" in refused and "chatctl room unarchive ROOM" in refused
    assert SECRET in chat(daemon, "history", "#old")
    assert SECRET in chat(daemon, "search", "swordfish")
    assert "#old" not in daemon.chatctl("room", "list").stdout
    assert "#old" in daemon.chatctl("rooms", "--archived").stdout
    daemon.chatctl("room", "unarchive", "old")
    chat(daemon, "send", "#old", "more")
    daemon.chatctl("room", "archive", "old")
    daemon.chatctl("room", "archive", "old", "--undo")
    chat(daemon, "send", "#old", "more")
