"""`chat` in pipes and scripts against a real daemon."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from chatctl.client import Client
from chatd.pki.identity import read_identity
from tests.support.daemon import BIN, Daemon, wait_until
from tests.support.lines import next_line
from tests.support.proxy import Proxy
from tests.support.terminal import TMUX, Terminal

Done = subprocess.CompletedProcess[str]


@pytest.fixture(scope="module")
def daemon(shared_daemon: Daemon) -> Daemon:
    shared_daemon.add_user("bob")
    shared_daemon.chatctl("--help")
    return shared_daemon


def chat(daemon: Daemon, *arguments: str, text: str = "", user: str = "bob", check: bool = True) -> Done:
    return daemon.run("chat", "--identity", str(identity(daemon, user)), *arguments, input=text, check=check)


def identity(daemon: Daemon, user: str) -> Any:
    return daemon.identity(user, "console" if user == "alice" else "laptop")


def bodies(done: Done) -> list[str]:
    return [json.loads(line)["body"] for line in done.stdout.splitlines()]


def shown_by(tail: subprocess.Popen[str]) -> Any:
    """The next event that `chat tail --json` prints."""
    return json.loads(next_line(tail, "an event"))


def room(daemon: Daemon, name: str) -> str:
    """A new room, created by alice."""
    with Client(read_identity(identity(daemon, "alice")), live=False) as client:
        client.request("create", room=f"#{name}")
    return name


@pytest.fixture
def tail(daemon: Daemon) -> Iterator[Any]:
    """Starts `chat tail`; ends it afterwards."""
    started: list[subprocess.Popen[str]] = []

    def start(*arguments: str) -> subprocess.Popen[str]:
        command = [
            str(BIN / "chat"),
            "tail",
            "--identity",
            str(identity(daemon, "bob")),
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


def test_a_pipe_sends_lines_and_prints_them_in_order(daemon: Daemon) -> None:
    lines = [f"pipe {n}" for n in range(30)]
    done = chat(daemon, text="\n".join(lines))
    assert [line.split("> ", 1)[1] for line in done.stdout.splitlines() if "pipe" in line] == lines
    assert "<bob> pipe 0" in done.stdout


def test_an_empty_pipe_succeeds(daemon: Daemon) -> None:
    done = chat(daemon)
    assert (done.returncode, done.stderr) == (0, "")


def test_refused_lines_are_reported_and_the_others_sent(daemon: Daemon) -> None:
    done = chat(daemon, text="first\nhack it\nlast\n", check=False)
    assert done.returncode == 6
    assert "first" in done.stdout and "last" in done.stdout and "hack" not in done.stdout
    assert "(E400)" in done.stderr
    assert chat(daemon, text="hack it\n", check=False).returncode == 1


def test_an_unknown_room_exits_with_3(daemon: Daemon) -> None:
    for arguments in (
        ("--room", "nowhere"),
        ("send", "nowhere", "x"),
        ("history", "nowhere"),
        ("tail", "nowhere"),
    ):
        done = chat(daemon, *arguments, text="x\n", check=False)
        assert (done.returncode, "(E404)" in done.stderr) == (3, True), done.stderr


def test_send_takes_arguments_or_standard_input(daemon: Daemon) -> None:
    name = room(daemon, "send")
    chat(daemon, "send", name, "one", "two")
    chat(daemon, "send", f"#{name}", text="three\nfour\n")
    done = chat(daemon, "send", name, "--lines", "--json", text="five\n\nsix\n")
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    assert [answer["schema"] for answer in answers] == [1, 1]
    assert answers[0]["seq"] < answers[1]["seq"]
    assert bodies(chat(daemon, "history", name, "--json", "-n", "4")) == [
        "one two",
        "three\nfour",
        "five",
        "six",
    ]


def test_history_has_the_requested_length(daemon: Daemon) -> None:
    """The history takes four replies."""
    name = room(daemon, "long")
    said = [f"{number} ".ljust(500, "\N{SAUROPOD}") for number in range(130)]
    chat(daemon, "send", name, "--lines", text="\n".join(said))
    done = chat(daemon, "history", name, "--json", "-n", "130")
    assert bodies(done) == said
    seqs = [json.loads(line)["seq"] for line in done.stdout.splitlines()]
    for arguments, found in (
        (("-n", "125"), said[5:]),
        (("-n", "100", "--before", str(seqs[120])), said[20:120]),
        (("-n", "100", "--after", str(seqs[9])), said[10:110]),
        (("-n", "500", "--after", str(seqs[9]), "--before", str(seqs[119])), said[10:119]),
    ):
        assert bodies(chat(daemon, "history", name, "--json", *arguments)) == found


def test_a_sentence_in_the_place_of_the_room_is_explained(daemon: Daemon) -> None:
    done = chat(daemon, "send", "deploy is done", check=False)
    assert done.returncode == 2
    assert "The room comes first: chat send ROOM 'deploy is done'" in done.stderr


def test_changes_by_the_server_are_reported(daemon: Daemon) -> None:
    done = chat(daemon, "send", "lobby", "y" * 700, "--json")
    assert json.loads(done.stdout)["notes"][0]["rule"] == "truncated"
    assert "500" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "text", "code"),
    [
        (("lobby", "hack"), "", 1),
        (("lobby", " "), "", 1),
        (("lobby", "--lines"), "\n\n", 0),
        (("lobby", "--lines", "text"), "", 2),
        (("lobby", "--lines"), "fine\nhack\n", 6),
        (("lobby",), "x" * 70_000, 1),
        (("@zed", "hello"), "", 3),
    ],
)
def test_send_exit_codes(daemon: Daemon, arguments: tuple[str, ...], text: str, code: int) -> None:
    done = chat(daemon, "send", *arguments, text=text, check=False)
    assert done.returncode == code, done.stderr
    assert "Traceback" not in done.stderr


def test_direct_messages_from_scripts(daemon: Daemon) -> None:
    chat(daemon, "send", "@alice", "psst")
    done = chat(daemon, "history", "@bob", "--json", "-n", "1", user="alice")
    assert bodies(done) == ["psst"]


def test_hostile_text_reaches_no_terminal(daemon: Daemon) -> None:
    name = room(daemon, "hostile")
    chat(daemon, "send", name, "a\x1b]0;title\x07\u202eb\x9b2Jc")
    for arguments in (("history", name), ("history", name, "--json")):
        shown = chat(daemon, *arguments).stdout
        assert not set(shown) & {"\x1b", "\x07", "\u202e", "\x9b"}


def test_tail_prints_the_last_messages_and_follows(daemon: Daemon, tail: Any) -> None:
    name = room(daemon, "tail")
    chat(daemon, "send", name, "--lines", text="one\ntwo\nthree\n")
    following = tail(name, "-n", "2")
    assert [shown_by(following)["body"] for _ in range(2)] == ["two", "three"]
    chat(daemon, "send", name, "four")
    event = shown_by(following)
    assert (event["body"], event["user"], event["room"]) == ("four", "bob", f"#{name}")
    following.terminate()
    assert following.stderr.read() == ""
    later = tail(name, "--since", str(event["seq"] - 1))
    assert shown_by(later)["body"] == "four"


def test_tail_counts_messages_not_joins(daemon: Daemon, tail: Any) -> None:
    with Client(read_identity(identity(daemon, "alice")), live=False) as alice:
        alice.request("create", room="#busy")
        for body in ("one", "two", "three"):
            alice.send("#busy", body).wait(30)
        for n in range(510):  # more than a page, and then bob's own arrival
            alice.request("topic", room="#busy", topic=f"topic {n}")
    following = tail("busy", "-n", "2")
    assert [shown_by(following)["body"] for _ in range(2)] == ["two", "three"]
    assert shown_by(tail("busy", "-n", "1", "--all"))["type"] == "joined"


@pytest.mark.skipif(TMUX is None, reason="tmux is not installed")
@pytest.mark.parametrize(("no_colour", "dim"), [("", b"\x1b[2m"), ("1", b"")])
def test_tail_on_a_terminal_says_that_it_listens(
    daemon: Daemon, tmp_path: Path, no_colour: str, dim: bytes
) -> None:
    terminal = Terminal(tmp_path, {**daemon.environ, "NO_COLOR": no_colour})
    said = tmp_path / "said"
    command = f"exec {BIN}/chat tail --identity {identity(daemon, 'bob')} -n 0 lobby > {said}"
    try:
        terminal.open("tail", ("sh", "-c", command))
        terminal.wait("tail", f"listening to #lobby at 127.0.0.1:{daemon.port}; Ctrl-C ends\n")
        terminal.raw("tail", dim + b"listening to")
        chat(daemon, "send", "lobby", "after the notice", user="alice")
        wait_until(lambda: "after the notice" in said.read_text(), what="the message")
        assert "listening" not in said.read_text()
    finally:
        terminal.close()


def test_tail_misses_nothing_when_workers_die(daemon: Daemon, tail: Any) -> None:
    name = room(daemon, "cut")
    chat(daemon, "send", name, "before")
    following = tail(name)
    assert shown_by(following)["body"] == "before"
    for child in daemon.status()["children"]:
        if child["kind"] == "worker":
            os.kill(child["pid"], signal.SIGKILL)
    chat(daemon, "send", name, "--lines", text="one\ntwo\n")
    assert [shown_by(following)["body"] for _ in range(2)] == ["one", "two"]


def test_search_and_whoami(daemon: Daemon) -> None:
    name = room(daemon, "search")
    chat(daemon, "send", name, "needle in hay")
    assert bodies(chat(daemon, "search", "needle", f"in:#{name}", "--json")) == ["needle in hay"]
    found = json.loads(chat(daemon, "whoami", "--json").stdout)
    assert (found["user"], found["device"], found["role"], found["envelope"]) == (
        "bob",
        "laptop",
        "user",
        True,
    )
    assert "bob/laptop" in chat(daemon, "whoami").stdout


def test_a_direct_conversation_without_messages_is_empty(daemon: Daemon, tail: Any) -> None:
    daemon.add_user("newcomer")
    done = chat(daemon, "history", "@newcomer")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    process = tail("@newcomer")
    chat(daemon, "send", "@bob", "first words", user="newcomer")
    assert shown_by(process)["body"] == "first words"
    assert chat(daemon, "history", "@nobody", check=False).returncode == 3


def test_tail_all_shows_kicks_and_bans(daemon: Daemon, tail: Any) -> None:
    daemon.add_user("victor")
    name = room(daemon, "going")
    process = tail(name, "--all")
    chat(daemon, "send", name, "one", user="victor")

    def next_of(kind: str) -> Any:
        while (event := shown_by(process))["type"] != kind:
            pass
        return event

    # It is listening; an ordinary login and logout are not printed.
    assert next_of("message")["body"] == "one"
    with Client(read_identity(identity(daemon, "victor"))) as victor:
        victor.wait_connected(30)
        daemon.chatctl("ban", "victor", "--for", "2h", "--reason", "spam", "--yes")
    because = {"user": "victor", "state": "offline", "cause": "banned", "by": "alice", "reason": "spam"}
    assert next_of("presence").items() >= ({"room": "#going"} | because).items()


def test_tail_ends_when_its_user_is_removed(daemon: Daemon, tail: Any) -> None:
    name = room(daemon, "leaving")
    chat(daemon, "send", name, "one")
    process = tail(name)
    assert shown_by(process)["body"] == "one"
    daemon.chatctl("kick", "bob", "--room", name, "--reason", "enough", "--yes")
    assert process.wait(60) == 4
    assert "bob was removed from #leaving by alice: enough (E301)" in process.stderr.read()


def cuttable(daemon: Daemon, folder: Path) -> tuple[Proxy, Path]:
    """A proxy to the server, and bob's identity with the proxy's address."""
    direct = identity(daemon, "bob")
    server = read_identity(direct).servers[0]
    proxy, through = Proxy(server), folder / "through.pem"
    through.touch(mode=0o600)
    through.write_text(direct.read_text().replace(server, proxy.address))
    return proxy, through


def test_tail_ends_when_its_user_was_removed_while_disconnected(
    daemon: Daemon, tail: Any, tmp_path: Path
) -> None:
    name = room(daemon, "unheard")
    chat(daemon, "send", name, "one")
    proxy, through = cuttable(daemon, tmp_path)
    try:
        process = tail(name, "--identity", str(through))
        assert shown_by(process)["body"] == "one"
        # It cannot reconnect before its user is removed.
        os.kill(process.pid, signal.SIGSTOP)
        proxy.cut_connections()
        daemon.chatctl("kick", "bob", "--room", name, "--yes")
        os.kill(process.pid, signal.SIGCONT)
        assert process.wait(60) == 4
        assert "bob is not in #unheard any more (E301)" in process.stderr.read()
    finally:
        proxy.close()


def test_tail_ends_when_its_user_was_removed_around_a_hub_restart(daemon: Daemon, tail: Any) -> None:
    name = room(daemon, "unnoticed")
    chat(daemon, "send", name, "one")
    process = tail(name)
    assert shown_by(process)["body"] == "one"
    os.kill(process.pid, signal.SIGSTOP)
    hub = daemon.child("hub")["pid"]
    os.kill(hub, signal.SIGKILL)
    wait_until(lambda: daemon.child("hub").get("pid") not in (None, hub), what="another hub")
    daemon.chatctl("kick", "bob", "--room", name, "--yes")
    os.kill(process.pid, signal.SIGCONT)
    assert process.wait(60) == 4


def test_a_pipe_does_not_wait_for_a_line_redacted_while_disconnected(daemon: Daemon, tmp_path: Path) -> None:
    name = f"#{room(daemon, 'erased')}"
    proxy, through = cuttable(daemon, tmp_path)
    command = [str(BIN / "chat"), "--plain", "--identity", str(through), "--room", name]
    alice = Client(read_identity(identity(daemon, "alice")), live=False)
    process = subprocess.Popen(
        command, env=daemon.environ, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    with alice, process:
        try:
            assert process.stdin is not None
            assert process.stdout is not None
            process.stdin.write("one\n")
            process.stdin.flush()
            while not next_line(process, "the line said").endswith("> one\n"):
                assert process.poll() is None
            proxy.drop_replies = True
            process.stdin.write("two\n")
            process.stdin.close()
            found = wait_until(
                lambda: [
                    event["seq"]
                    for event in alice.request("history", room=name)["events"]
                    if event.get("body") == "two"
                ]
            )
            alice.request("redact", room=name, seq=found[0])
            proxy.cut_connections()
            proxy.drop_replies = False
            assert process.wait(60) == 0
        finally:
            process.kill()
            proxy.close()


def test_lines_end_with_the_session(daemon: Daemon) -> None:
    daemon.add_user("wanda")
    command = [str(BIN / "chat"), "send", "lobby", "--lines", "--identity", str(identity(daemon, "wanda"))]
    with subprocess.Popen(
        command, env=daemon.environ, stdin=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin is not None
        assert process.stderr is not None
        process.stdin.write("wanda was here\n")
        process.stdin.flush()
        with Client(read_identity(identity(daemon, "alice")), live=False) as alice:
            wait_until(lambda: alice.request("search", query="wanda")["events"], what="the first line")
        daemon.chatctl("ban", "wanda", "--yes")
        # Standard input stays open, and further lines must not be swallowed.
        wait_until(lambda: _ended(process), what="the end")
        assert process.returncode == 4
        assert process.stderr.read().count("wanda is banned") == 1


def _ended(process: subprocess.Popen[str]) -> bool:
    assert process.stdin is not None
    if process.poll() is None:
        try:
            # Not through the file object, which would write the unwritten rest when closed.
            os.write(process.stdin.fileno(), b"more\n")
        except BrokenPipeError:
            pass
    return process.poll() is not None
