"""`chat tail` against a real daemon, in scripts and on a terminal."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from chatctl.client import Client
from chatd.pki.identity import read_identity
from tests.support.chat_program import (
    admin_client,
    create_room,
    identity_of,
    identity_through_proxy,
    run_chat,
)
from tests.support.daemon import BIN, Daemon, wait_until
from tests.support.lines import next_line
from tests.support.terminal import TMUX, Terminal

Tail = Callable[..., subprocess.Popen[str]]


@pytest.fixture(scope="module")
def daemon(shared_daemon: Daemon) -> Daemon:
    shared_daemon.add_user("bob")
    return shared_daemon


def next_event(tail: subprocess.Popen[str]) -> Any:
    """Return the next event that `chat tail --json` prints."""
    return json.loads(next_line(tail, "an event"))


@pytest.fixture
def tail(daemon: Daemon) -> Iterator[Tail]:
    """A function that starts `chat tail` as bob and ends it after the test."""
    started: list[subprocess.Popen[str]] = []

    def start(*arguments: str) -> subprocess.Popen[str]:
        command = [
            str(BIN / "chat"),
            "tail",
            "--identity",
            str(identity_of(daemon, "bob")),
            "--json",
            *arguments,
        ]
        process = subprocess.Popen(
            command, env=daemon.environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        started.append(process)
        return process

    yield start
    for process in started:
        with process:
            process.terminate()


def test_tail_shows_the_last_messages_and_follows(daemon: Daemon, tail: Tail) -> None:
    name = create_room(daemon, "tail")
    run_chat(daemon, "send", name, "--lines", text="one\ntwo\nthree\n")
    following = tail(name, "-n", "2")
    assert [next_event(following)["body"] for _ in range(2)] == ["two", "three"]
    run_chat(daemon, "send", name, "four")
    event = next_event(following)
    assert (event["body"], event["user"], event["room"]) == ("four", "bob", f"#{name}")
    following.terminate()
    assert following.stderr is not None
    assert following.stderr.read() == ""
    later = tail(name, "--since", str(event["seq"] - 1))
    assert next_event(later)["body"] == "four"


def test_tail_counts_messages_and_not_other_events(daemon: Daemon, tail: Tail) -> None:
    with admin_client(daemon) as alice:
        alice.request("create", room="#busy")
        for body in ("one", "two", "three"):
            alice.send("#busy", body).wait(30)
        # More than a page of other events follows the messages; then bob joins.
        for n in range(510):
            alice.request("topic", room="#busy", topic=f"topic {n}")
    following = tail("busy", "-n", "2")
    assert [next_event(following)["body"] for _ in range(2)] == ["two", "three"]
    assert next_event(tail("busy", "-n", "1", "--all"))["type"] == "joined"


@pytest.mark.skipif(TMUX is None, reason="tmux is not installed")
@pytest.mark.parametrize(("no_colour", "dim"), [("", b"\x1b[2m"), ("1", b"")])
def test_tail_on_a_terminal_prints_a_notice_while_it_waits(
    daemon: Daemon, tmp_path: Path, no_colour: str, dim: bytes
) -> None:
    terminal = Terminal(tmp_path, {**daemon.environ, "NO_COLOR": no_colour})
    output = tmp_path / "output"
    command = f"exec {BIN}/chat tail --identity {identity_of(daemon, 'bob')} -n 0 lobby > {output}"
    try:
        terminal.open("tail", ("sh", "-c", command))
        terminal.wait("tail", f"listening to #lobby at 127.0.0.1:{daemon.port}; Ctrl-C ends\n")
        terminal.raw("tail", dim + b"listening to")
        run_chat(daemon, "send", "lobby", "after the notice", user="alice")
        wait_until(lambda: "after the notice" in output.read_text(), what="the message")
        assert "listening" not in output.read_text()
    finally:
        terminal.close()


def test_tail_misses_no_message_when_workers_are_killed(daemon: Daemon, tail: Tail) -> None:
    name = create_room(daemon, "cut")
    run_chat(daemon, "send", name, "before")
    following = tail(name)
    assert next_event(following)["body"] == "before"
    for child in daemon.status()["children"]:
        if child["kind"] == "worker":
            os.kill(child["pid"], signal.SIGKILL)
    run_chat(daemon, "send", name, "--lines", text="one\ntwo\n")
    assert [next_event(following)["body"] for _ in range(2)] == ["one", "two"]


def test_a_direct_conversation_without_messages_is_empty(daemon: Daemon, tail: Tail) -> None:
    daemon.add_user("newcomer")
    result = run_chat(daemon, "history", "@newcomer")
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")
    process = tail("@newcomer")
    run_chat(daemon, "send", "@bob", "first words", user="newcomer")
    assert next_event(process)["body"] == "first words"
    assert run_chat(daemon, "history", "@nobody", check=False).returncode == 3


def test_tail_all_shows_a_ban_but_no_logins_or_logouts(daemon: Daemon, tail: Tail) -> None:
    daemon.add_user("victor")
    name = create_room(daemon, "going")
    process = tail(name, "--all")
    run_chat(daemon, "send", name, "one", user="victor")

    def next_of(kind: str) -> Any:
        while (event := next_event(process))["type"] != kind:
            pass
        return event

    assert next_of("message")["body"] == "one"
    # The next presence event must be the ban; victor's login must not be shown.
    with Client(read_identity(identity_of(daemon, "victor"))) as victor:
        victor.wait_connected(30)
        daemon.chatctl("ban", "victor", "--for", "2h", "--reason", "spam", "--yes")
    expected = {"room": "#going", "user": "victor", "state": "offline"}
    expected |= {"cause": "banned", "by": "alice", "reason": "spam"}
    assert next_of("presence").items() >= expected.items()


def test_tail_ends_when_its_user_is_kicked_from_the_room(daemon: Daemon, tail: Tail) -> None:
    name = create_room(daemon, "leaving")
    run_chat(daemon, "send", name, "one")
    process = tail(name)
    assert next_event(process)["body"] == "one"
    daemon.chatctl("kick", "bob", "--room", name, "--reason", "enough", "--yes")
    assert process.wait(60) == 4
    assert process.stderr is not None
    assert "bob was removed from #leaving by alice: enough (E301)" in process.stderr.read()


def test_tail_ends_when_the_room_is_removed(daemon: Daemon, tail: Tail) -> None:
    name = create_room(daemon, "ending")
    run_chat(daemon, "send", name, "one")
    process = tail(name)
    assert next_event(process)["body"] == "one"
    daemon.chatctl("room", "remove", name, "--reason", "enough", "--yes")
    assert process.wait(60) == 4
    assert process.stderr is not None
    assert "#ending was removed by alice: enough (E301)" in process.stderr.read()


def test_tail_ends_after_a_kick_while_it_was_disconnected(daemon: Daemon, tail: Tail, tmp_path: Path) -> None:
    name = create_room(daemon, "unheard")
    run_chat(daemon, "send", name, "one")
    with identity_through_proxy(daemon, tmp_path) as (proxy, identity):
        process = tail(name, "--identity", str(identity))
        assert next_event(process)["body"] == "one"
        # While it is stopped, it cannot reconnect before bob is kicked.
        os.kill(process.pid, signal.SIGSTOP)
        proxy.cut_connections()
        daemon.chatctl("kick", "bob", "--room", name, "--yes")
        os.kill(process.pid, signal.SIGCONT)
        assert process.wait(60) == 4
        assert process.stderr is not None
        assert "bob is not in #unheard any more (E301)" in process.stderr.read()


def test_tail_ends_after_a_kick_during_a_hub_restart(daemon: Daemon, tail: Tail) -> None:
    name = create_room(daemon, "unnoticed")
    run_chat(daemon, "send", name, "one")
    process = tail(name)
    assert next_event(process)["body"] == "one"
    os.kill(process.pid, signal.SIGSTOP)
    hub = daemon.child("hub")["pid"]
    os.kill(hub, signal.SIGKILL)
    wait_until(lambda: daemon.child("hub").get("pid") not in (None, hub), what="another hub")
    daemon.chatctl("kick", "bob", "--room", name, "--yes")
    os.kill(process.pid, signal.SIGCONT)
    assert process.wait(60) == 4
