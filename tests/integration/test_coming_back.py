"""Somebody with a lost key comes back by an invite, and a removed user does not: with the programs."""

from __future__ import annotations

import json
from pathlib import Path

from tests.support.daemon import Daemon


def join(daemon: Daemon, line: str, identity: Path) -> None:
    """Redeem an invite, as whoever got the line does."""
    daemon.run(*line.split(), "--no-chat", "--identity", str(identity))


def test_a_lost_key_loses_no_history_and_a_removed_user_stays_out(
    shared_daemon: Daemon, tmp_path: Path
) -> None:
    daemon, first, second = shared_daemon, tmp_path / "first.pem", tmp_path / "second.pem"
    join(daemon, daemon.chatctl("invite", "create", "dora").stdout.strip(), first)
    daemon.run("chat", "--identity", str(first), "send", "@alice", "between us")
    refused = daemon.chatctl("invite", "create", "dora", check=False)
    assert "chatctl revoke dora --all" in refused.stderr
    daemon.chatctl("revoke", "dora", "--all", "--yes")
    line = daemon.chatctl("invite", "create", "dora").stdout.strip()
    assert "invited  until" in daemon.chatctl("user", "show", "dora").stdout
    join(daemon, line, second)
    assert "between us" in daemon.run("chat", "--identity", str(second), "history", "@alice").stdout
    lost = daemon.run("chat", "--identity", str(first), "history", "@alice", check=False)
    assert "E206" in lost.stderr
    shown = json.loads(daemon.chatctl("user", "show", "dora", "--json").stdout)
    assert {one["device"]: (one["state"], one["by"]) for one in shown["devices"]} == {
        "laptop": ("revoked", "alice"),
        "laptop-2": ("valid", "alice"),
    }
    assert "removed dora" in daemon.chatctl("user", "remove", "dora", "--yes", "--reason", "left").stdout
    gone = daemon.run("chat", "--identity", str(second), "history", "@alice", check=False)
    assert "E206" in gone.stderr
    again = daemon.chatctl("invite", "create", "dora", check=False)
    assert (again.returncode, "was removed" in again.stderr) == (1, True)
    assert "removed, offline" in daemon.chatctl("user", "show", "dora").stdout
