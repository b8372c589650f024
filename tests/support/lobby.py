"""alice, the first admin, in #lobby, by the commands of scripts."""

from __future__ import annotations

import json

from tests.support.daemon import Daemon


def say(daemon: Daemon, text: str) -> int:
    """Send a message to #lobby; return its seq."""
    seq: int = json.loads(_chat(daemon, "send", "--json", "#lobby", text))["seq"]
    return seq


def history(daemon: Daemon) -> str:
    """Return the history of #lobby as JSON lines."""
    return _chat(daemon, "history", "--json", "#lobby")


def _chat(daemon: Daemon, *arguments: str) -> str:
    identity = str(daemon.identity("alice", "console"))
    return daemon.run("chat", "--identity", identity, *arguments).stdout
