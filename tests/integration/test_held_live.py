"""Hold, list, approve and refuse messages with the real programs and a server that restarts."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from tests.support.chat_program import create_room, run_chat
from tests.support.daemon import Daemon
from tests.support.under_attack import update_section

WAITS = 9


@pytest.fixture(scope="module")
def held_daemon(shared_daemon: Daemon) -> Iterator[Daemon]:
    """A server that holds what bob writes about mergers."""
    shared_daemon.chatd("user", "add", "bob", "--role", "user")
    rule = {"words": ["merger"], "action": "hold"}
    shared_daemon.write_settings(lambda tree: update_section(tree, "filter", rules=[rule]))
    shared_daemon.chatd("reload")
    yield shared_daemon
    shared_daemon.write_settings(lambda tree: update_section(tree, "filter", rules=[]))
    shared_daemon.chatd("reload")


def test_a_held_message_is_told_listed_approved_and_refused(held_daemon: Daemon) -> None:
    room = create_room(held_daemon, "heldlive")
    for text in ("the merger is on", "no merger at all"):
        sent = run_chat(held_daemon, "send", room, text, user="bob", check=False)
        assert sent.returncode == WAITS, sent.stderr
        assert "waits for a moderator" in sent.stderr
    listed = json.loads(held_daemon.chatctl("held", "list", "--json").stdout)["held"]
    first, second = [one["seq"] for one in listed if one["room"].endswith("heldlive")]
    assert "the merger is on" in held_daemon.chatctl("held", "list").stdout
    history = run_chat(held_daemon, "history", room, user="alice").stdout
    assert "merger" not in history
    assert "published" in held_daemon.chatctl("held", "approve", str(first)).stdout
    assert "refused" in held_daemon.chatctl("held", "refuse", str(second), "--reason", "no").stdout
    history = run_chat(held_daemon, "history", room, user="alice").stdout
    assert "<bob> the merger is on" in history
    assert "at all" not in history
