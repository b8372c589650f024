"""Edits and reactions against a real server: clients that were away, killed hubs, scripts and bots."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from chatctl.client import CaughtUp, Client, Edited, Message, Reacted
from chatd.pki.identity import read_identity
from tests.support.chat_program import admin_client, identity_of, run_chat
from tests.support.daemon import BIN, Daemon, wait_until

WAIT = 30.0


@pytest.fixture
def bob(daemon: Daemon) -> Path:
    daemon.add_user("bob")
    return identity_of(daemon, "bob")


def events_until_caught_up(client: Client) -> list[object]:
    found: list[object] = []
    while not isinstance(event := client.next_event(WAIT), CaughtUp):
        assert event is not None
        found.append(event)
    return found


def test_a_client_that_was_away_gets_the_present_text(daemon: Daemon, bob: Path, tmp_path: Path) -> None:
    state = tmp_path / "state"
    with Client(read_identity(bob), state=state) as away:
        events_until_caught_up(away)
    with admin_client(daemon) as alice:
        seq = alice.send("#lobby", "first wording").wait(WAIT).seq
        alice.edit("#lobby", seq, "second wording").wait(WAIT)
        alice.request("react", room="#lobby", seq=seq, text="+1")
    with Client(read_identity(bob), state=state) as back:
        events = events_until_caught_up(back)
    (message,) = [event for event in events if isinstance(event, Message)]
    assert message.body == "second wording"
    assert [event.body for event in events if isinstance(event, Edited)] == ["second wording"]
    assert [event.count for event in events if isinstance(event, Reacted)] == [1]


def test_an_edit_is_in_the_log_once_whatever_is_killed(daemon: Daemon, bob: Path) -> None:
    with Client(read_identity(bob)) as client:
        client.wait_connected(WAIT)
        seq = client.send("#lobby", "text 0").wait(WAIT).seq
        sent = []
        for number in range(1, 31):
            sent.append(client.edit("#lobby", seq, f"text {number}"))
            if number % 10 == 5:
                daemon.kill_child("hub")
        results = [one.wait(WAIT).seq for one in sent]
        assert results == sorted(set(results))
        (message,) = [
            event
            for event in client.request("history", room="#lobby")["events"]
            if event["type"] == "message"
        ]
        assert (message["seq"], message["body"], message["edited"]) == (seq, "text 30", results[-1])
        found = client.request("search", query="text in:#lobby")["events"]
        assert [event["body"] for event in found] == ["text 30"]
    assert daemon.chatd("verify").stdout.startswith("ok")


def test_an_unsent_edit_is_sent_by_the_next_run(daemon: Daemon, bob: Path, tmp_path: Path) -> None:
    state = tmp_path / "state"
    with Client(read_identity(bob), state=state) as client:
        client.wait_connected(WAIT)
        seq = client.send("#lobby", "one").wait(WAIT).seq
    unsent = Client(read_identity(bob), state=state)  # never connected
    unsent.edit("#lobby", seq, "two")
    unsent.close()
    with Client(read_identity(bob), state=state) as client:
        (kept,) = client.outbox
        assert (kept.kind, kept.edits, kept.body) == ("edit", seq, "two")
        wait_until(lambda: not client.unsent, what="the edit to be sent")
        events = client.request("history", room="#lobby")["events"]
    assert [event["body"] for event in events if event["type"] == "message"] == ["two"]


def test_scripts_and_bots_show_and_make_edits(daemon: Daemon, bob: Path) -> None:
    with admin_client(daemon) as alice:
        seq = alice.send("#lobby", "shall we?").wait(WAIT).seq
        alice.edit("#lobby", seq, "shall we go?").wait(WAIT)
        alice.request("react", room="#lobby", seq=seq, text="yes")
    shown = run_chat(daemon, "history", "#lobby").stdout
    assert "shall we go? (edited)\n    yes ×1" in shown
    line = json.loads(run_chat(daemon, "history", "#lobby", "--json").stdout.splitlines()[-1])
    assert (line["body"], line["reactions"]) == ("shall we go?", [{"text": "yes", "count": 1, "mine": False}])
    command = [str(BIN / "chat"), "bot", "--identity", str(bob), "--room", "lobby"]
    bot = subprocess.Popen(
        command, env=daemon.environ, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    own = {"do": "send", "to": "#lobby", "body": "mine", "ref": 1}
    bot_says = [json.dumps(own)]
    assert bot.stdin is not None and bot.stdout is not None
    bot.stdin.write(bot_says[0] + "\n")
    bot.stdin.flush()
    replies = (json.loads(line) for line in bot.stdout)
    mine = next(reply for reply in replies if reply.get("ref") == 1)["result"]["seq"]
    bot.stdin.write(
        json.dumps({"do": "edit", "room": "#lobby", "seq": mine, "body": "ours", "ref": 2}) + "\n"
    )
    bot.stdin.close()
    assert next(reply for reply in replies if reply.get("ref") == 2)["type"] == "ok"
    assert bot.wait(WAIT) == 0
    bot.stdout.close()
    assert "ours (edited)" in run_chat(daemon, "history", "#lobby").stdout
