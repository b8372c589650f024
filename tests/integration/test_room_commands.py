"""`chatctl room` and `chat` with rooms entered by invitation, owners, read-only rooms and groups."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from typing import Any

import pytest

from tests.support.daemon import Daemon

Completed = subprocess.CompletedProcess[str]
Run = Callable[..., Completed]


@pytest.fixture(scope="module")
def daemon(shared_daemon: Daemon) -> Daemon:
    for user in ("bob", "carol"):
        shared_daemon.add_user(user)
    return shared_daemon


@pytest.fixture
def run(daemon: Daemon) -> Run:
    """Run `chatctl` or `chat` as a user, "alice" being the admin."""

    def as_user(user: str, program: str, *arguments: str) -> Completed:
        identity = daemon.identity("alice", "console") if user == "alice" else daemon.identity(user)
        words = (*arguments, "--identity", str(identity))
        return daemon.run(program, *words, check=False, stdin=subprocess.DEVNULL)

    return as_user


def data(result: Completed) -> dict[str, Any]:
    assert result.returncode == 0, result.stderr
    found: dict[str, Any] = json.loads(result.stdout)
    return found


def test_a_members_room_from_creation_to_removal_of_a_member(run: Run) -> None:
    made = run("bob", "chatctl", "room", "create", "team", "--mode", "members", "--history", "since_join")
    assert made.stdout == "created #team\n"
    assert "#team" not in run("carol", "chatctl", "rooms").stdout
    outside = run("carol", "chatctl", "room", "info", "team")
    missing = run("carol", "chatctl", "room", "info", "nought")
    assert (outside.returncode, outside.stderr) == (3, missing.stderr.replace("#nought", "#team"))

    assert (
        "carol is invited to #team until 20"
        in run("bob", "chatctl", "room", "invite", "team", "carol").stdout
    )
    assert data(run("bob", "chatctl", "room", "info", "team", "--json"))["invitations"] == ["carol"]
    assert run("carol", "chatctl", "room", "uninvite", "team", "carol").returncode == 0
    assert run("bob", "chatctl", "room", "uninvite", "team", "carol").returncode == 3

    run("bob", "chatctl", "room", "invite", "team", "carol")
    assert run("bob", "chat", "send", "team", "before you came").returncode == 0
    assert run("carol", "chat", "send", "team", "hello").returncode == 0
    assert run("carol", "chat", "history", "team").stdout.count("before you came") == 0
    assert "hello" in run("carol", "chat", "history", "team").stdout

    refused = run("carol", "chatctl", "room", "mode", "team", "open")
    assert (refused.returncode, "E311" in refused.stderr) == (4, True)
    assert run("bob", "chatctl", "room", "mode", "team", "open", "--dry-run").stdout == (
        "#team would be open, with 2 members\n"
    )
    assert run("bob", "chatctl", "room", "owner", "team", "carol").stdout == "carol owns #team\n"
    assert run("bob", "chatctl", "room", "owner", "team", "carol", "--remove").returncode == 0
    gone = run("bob", "chatctl", "room", "remove-member", "team", "carol", "--reason", "done")
    assert gone.stdout == "carol was removed from #team\n"
    assert "E404" in run("carol", "chat", "history", "team").stderr


def test_an_admin_takes_a_room_over_and_the_audit_tells(run: Run) -> None:
    run("bob", "chatctl", "room", "create", "den", "--mode", "members")
    assert "members" in run("alice", "chatctl", "rooms").stdout
    refused = run("alice", "chat", "history", "den")
    assert "E310" in refused.stderr or "E312" in refused.stderr
    assert run("alice", "chatctl", "room", "owner", "den", "alice").stdout == "alice owns #den\n"
    assert "owner set" in run("alice", "chatctl", "audit", "--target", "#den").stdout
    assert "alice took over #den as an owner" in run("bob", "chat", "history", "den").stdout


def test_a_read_only_room_and_a_group(run: Run) -> None:
    run("bob", "chatctl", "room", "create", "news", "--mode", "read-only")
    assert run("bob", "chat", "send", "news", "the news").returncode == 0
    refused = run("carol", "chat", "send", "news", "me too")
    assert "E313" in refused.stderr
    assert "the news" in run("carol", "chat", "history", "news").stdout

    assert run("bob", "chat", "send", "@carol,alice", "to both").returncode == 0
    assert "to both" in run("carol", "chat", "history", "@alice,bob").stdout
    assert run("carol", "chat", "history", "@alice").stdout.count("to both") == 0
