"""A stolen identity of the first admin is ended on the box, whether the server runs or not."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path

import pytest

from chatctl.client import Client
from chatd.errors import ChatdError
from chatd.pki.identity import read_identity
from tests.support.daemon import Daemon
from tests.support.under_attack import log_in

# More than one for each worker, almost surely on both.
SESSIONS = 6


def refusal(identity: Path) -> str:
    with Client(read_identity(identity)) as client:
        with pytest.raises(ChatdError) as caught:
            client.wait_connected(30)
        return caught.value.code


def history(daemon: Daemon, identity: Path) -> str:
    return daemon.run("chat", "--identity", str(identity), "history", "lobby").stdout


@pytest.mark.parametrize("running", [True, False], ids=["running", "stopped"])
def test_the_box_ends_a_stolen_identity_of_the_first_admin(daemon: Daemon, running: bool) -> None:
    daemon.chatd("user", "add", "mia", "--role", "admin")
    daemon.run("chat", "--identity", str(daemon.identity("alice", "console")), "send", "lobby", "before")
    mia = ("chatctl", "--identity", str(daemon.identity("mia")))
    for words in (("revoke", "alice", "--yes"), ("role", "set", "alice", "user"), ("ban", "alice")):
        refused = daemon.run(*mia, *words, check=False)
        assert (refused.returncode, "chatd user revoke alice" in refused.stderr) == (4, True), words
    unconfirmed = daemon.chatd("user", "revoke", "alice", check=False)
    assert (unconfirmed.returncode, "--yes" in unconfirmed.stderr) == (2, True)
    with contextlib.ExitStack() as stack:
        sessions = [stack.enter_context(log_in(daemon, "alice", "console")) for _ in range(SESSIONS)]
        for session in sessions:
            session.ask("resume")
        if not running:
            daemon.chatd("stop")
        done = daemon.chatd("user", "revoke", "alice", "--yes", "--reason", "stolen", "--json")
        [result] = json.loads(done.stdout)["revoked"]
        assert (result["device"], result["sessions"]) == ("console", len(sessions) if running else 0)
        if running:
            assert {session.read_bye()["code"] for session in sessions} == {"E206"}
    again = daemon.chatd("user", "revoke", "alice/console", "--yes", check=False)
    assert (again.returncode, "E410" in again.stderr) == (3, True)
    if not running:
        daemon.chatd("start")
    console = daemon.identity("alice", "console")
    aside = console.with_name(f"{console.name}.revoked")
    assert not console.exists() and refusal(aside) == "E206"
    acts = daemon.run(*mia, "audit", "--type", "device_revoked", "--json").stdout.splitlines()
    act = json.loads(acts[-1])
    assert (act["user"], act["device"], act["by"], act["reason"]) == ("alice", "console", "server", "stolen")
    daemon.chatd("user", "add", "alice", "--device", "new")
    # Commands in the home take the new identity by themselves.
    assert '"new"' in daemon.run("chatctl", "--home", str(daemon.home), "whoami", "--json").stdout
    assert "before" in history(daemon, daemon.identity("alice", "new"))
