"""Search and resume return only what the user may read, on a real server."""

from __future__ import annotations

from typing import Any

from tests.support.daemon import Daemon
from tests.support.under_attack import log_in, log_in_admin


def test_a_search_with_from_finds_only_messages_of_that_user(daemon: Daemon) -> None:
    daemon.add_user("bob")
    with log_in_admin(daemon) as alice:
        alice.say("the needle is here")
        assert len(alice.ask("search", query="needle from:alice")["result"]["events"]) == 1
        assert alice.ask("search", query="needle from:bob")["result"]["events"] == []


def test_a_role_without_message_read_resumes_without_history(daemon: Daemon) -> None:
    def add_writer(tree: dict[str, Any]) -> None:
        tree["roles"]["permissions"]["writer"] = ["message.send", "room.join"]

    daemon.write_settings(add_writer)
    daemon.chatd("reload")
    with log_in_admin(daemon) as alice:
        alice.say("before")
        daemon.add_user("wanda", "writer")
        with log_in(daemon, "wanda") as wanda:
            page = wanda.ask("resume", after=0)["result"]
            assert page["events"] == []
            assert not page["more"]
            alice.say("now")
            assert wanda.until(type="message")["body"] == "now"
