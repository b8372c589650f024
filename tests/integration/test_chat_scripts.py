"""`chat` in pipes and scripts against a real daemon, except `chat tail`."""

from __future__ import annotations

import json
import os
import re
import subprocess
from pathlib import Path

import pytest

from tests.support.chat_program import (
    admin_client,
    bodies,
    create_room,
    identity_of,
    identity_through_proxy,
    run_chat,
)
from tests.support.daemon import BIN, Daemon, wait_until
from tests.support.lines import next_line


@pytest.fixture(scope="module")
def daemon(shared_daemon: Daemon) -> Daemon:
    shared_daemon.add_user("bob")
    return shared_daemon


def test_a_pipe_sends_its_lines_and_shows_them_in_order(daemon: Daemon) -> None:
    lines = [f"pipe {n}" for n in range(30)]
    result = run_chat(daemon, text="\n".join(lines))
    assert [line.split("> ", 1)[1] for line in result.stdout.splitlines() if "pipe" in line] == lines
    assert "<bob> pipe 0" in result.stdout


def test_an_empty_pipe_succeeds_without_output(daemon: Daemon) -> None:
    result = run_chat(daemon)
    assert (result.returncode, result.stderr) == (0, "")


def test_refused_lines_are_reported_and_the_others_are_sent(daemon: Daemon) -> None:
    result = run_chat(daemon, text="first\nhack it\nlast\n", check=False)
    assert result.returncode == 6
    assert "first" in result.stdout and "last" in result.stdout and "hack" not in result.stdout
    assert "(E400)" in result.stderr
    assert run_chat(daemon, text="hack it\n", check=False).returncode == 1


def test_a_missing_room_exits_with_3(daemon: Daemon) -> None:
    for arguments in (
        ("--room", "nowhere"),
        ("send", "nowhere", "x"),
        ("history", "nowhere"),
        ("tail", "nowhere"),
    ):
        result = run_chat(daemon, *arguments, text="x\n", check=False)
        assert (result.returncode, "(E404)" in result.stderr) == (3, True), result.stderr


def test_send_takes_arguments_or_standard_input(daemon: Daemon) -> None:
    name = create_room(daemon, "send")
    run_chat(daemon, "send", name, "one", "two")
    run_chat(daemon, "send", f"#{name}", text="three\nfour\n")
    result = run_chat(daemon, "send", name, "--lines", "--json", text="five\n\nsix\n")
    replies = [json.loads(line) for line in result.stdout.splitlines()]
    assert [reply["schema"] for reply in replies] == [1, 1]
    assert replies[0]["seq"] < replies[1]["seq"]
    assert bodies(run_chat(daemon, "history", name, "--json", "-n", "4")) == [
        "one two",
        "three\nfour",
        "five",
        "six",
    ]


def test_history_returns_the_requested_messages_over_several_pages(daemon: Daemon) -> None:
    name = create_room(daemon, "long")
    # These fill four pages.
    sent = [f"{number} ".ljust(500, "\N{SAUROPOD}") for number in range(130)]
    run_chat(daemon, "send", name, "--lines", text="\n".join(sent))
    result = run_chat(daemon, "history", name, "--json", "-n", "130")
    assert bodies(result) == sent
    seqs = [json.loads(line)["seq"] for line in result.stdout.splitlines()]
    for arguments, expected in (
        (("-n", "125"), sent[5:]),
        (("-n", "100", "--before", str(seqs[120])), sent[20:120]),
        (("-n", "100", "--after", str(seqs[9])), sent[10:110]),
        (("-n", "500", "--after", str(seqs[9]), "--before", str(seqs[119])), sent[10:119]),
    ):
        assert bodies(run_chat(daemon, "history", name, "--json", *arguments)) == expected


def test_own_messages_are_edited_and_deleted(daemon: Daemon) -> None:
    room = create_room(daemon, "editable")
    seqs = [
        json.loads(run_chat(daemon, "send", room, text, "--json").stdout)["seq"] for text in ("one", "two")
    ]
    assert run_chat(daemon, "edit", room, str(seqs[0]), "first").stdout == ""
    run_chat(daemon, "edit", room, str(seqs[1]), text="from a pipe")
    shown = run_chat(daemon, "history", room).stdout
    assert "> first (edited)" in shown
    assert "> from a pipe (edited)" in shown
    run_chat(daemon, "delete", room, str(seqs[0]))
    assert "first" not in run_chat(daemon, "history", room).stdout
    again = run_chat(daemon, "delete", room, str(seqs[0]), check=False)
    assert again.returncode != 0
    assert "already" in again.stderr
    by_another = run_chat(daemon, "edit", room, str(seqs[1]), "not mine", user="alice", check=False)
    assert "is not yours (E310)" in by_another.stderr


def test_send_without_a_room_shows_the_order_of_arguments(daemon: Daemon) -> None:
    result = run_chat(daemon, "send", "deploy is done", check=False)
    assert result.returncode == 2
    assert "The room comes first: chat send ROOM 'deploy is done'" in result.stderr


def test_send_reports_that_a_message_was_changed(daemon: Daemon) -> None:
    result = run_chat(daemon, "send", "lobby", "y\x07", "--json")
    assert json.loads(result.stdout)["notes"][0]["rule"] == "escaped"
    assert "were escaped" in result.stderr


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
def test_send_exits_with_the_documented_code(
    daemon: Daemon, arguments: tuple[str, ...], text: str, code: int
) -> None:
    result = run_chat(daemon, "send", *arguments, text=text, check=False)
    assert result.returncode == code, result.stderr
    assert "Traceback" not in result.stderr


def test_send_to_a_user_sends_a_direct_message(daemon: Daemon) -> None:
    run_chat(daemon, "send", "@alice", "psst")
    result = run_chat(daemon, "history", "@bob", "--json", "-n", "1", user="alice")
    assert bodies(result) == ["psst"]


def test_history_escapes_hostile_text(daemon: Daemon) -> None:
    name = create_room(daemon, "hostile")
    run_chat(daemon, "send", name, "a\x1b]0;title\x07\u202eb\x9b2Jc")
    for arguments in (("history", name), ("history", name, "--json")):
        shown = run_chat(daemon, *arguments).stdout
        assert not set(shown) & {"\x1b", "\x07", "\u202e", "\x9b"}


def test_history_and_search_print_the_numbers_that_redact_takes(daemon: Daemon) -> None:
    name = create_room(daemon, "numbers")
    for text in ("an old needle", "first line\nthe needles", "hay"):
        run_chat(daemon, "send", name, text)
    found = run_chat(daemon, "search", "needle*", f"in:#{name}")
    assert re.fullmatch(
        rf"\[\S+ \S+Z (\d+)\] #{name} <bob> the needles\n\[\S+ \S+Z (\d+)\] #{name} <bob> an old needle\n",
        found.stdout,
    )
    seqs = re.findall(r"Z (\d+)\]", found.stdout)
    history = run_chat(daemon, "history", name).stdout
    assert f"Z {seqs[1]}] <bob> an old needle\n" in history
    assert f"Z {seqs[0]}] <bob> first line\n" in history
    with admin_client(daemon) as admin:
        admin.request("redact", room=f"#{name}", seq=int(seqs[1]))
    assert "old needle" not in run_chat(daemon, "history", name).stdout
    absent = run_chat(daemon, "search", "absent*", f"in:#{name}")
    assert (absent.stdout, absent.stderr) == ("", "0 found\n")


def test_search_and_whoami_print_json(daemon: Daemon) -> None:
    name = create_room(daemon, "search")
    run_chat(daemon, "send", name, "needle in hay")
    assert bodies(run_chat(daemon, "search", "needle", f"in:#{name}", "--json")) == ["needle in hay"]
    found = json.loads(run_chat(daemon, "whoami", "--json").stdout)
    assert (found["user"], found["device"], found["role"], found["envelope"]) == (
        "bob",
        "laptop",
        "user",
        True,
    )
    assert "bob/laptop" in run_chat(daemon, "whoami").stdout


def test_a_pipe_does_not_wait_for_a_line_redacted_during_a_disconnection(
    daemon: Daemon, tmp_path: Path
) -> None:
    name = f"#{create_room(daemon, 'redacted')}"
    with admin_client(daemon) as alice, identity_through_proxy(daemon, tmp_path) as (proxy, identity):
        command = [str(BIN / "chat"), "--plain", "--identity", str(identity), "--room", name]
        process = subprocess.Popen(
            command, env=daemon.environ, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        try:
            assert process.stdin is not None
            assert process.stdout is not None
            process.stdin.write("one\n")
            process.stdin.flush()
            while not next_line(process, "the first message").endswith("> one\n"):
                assert process.poll() is None
            proxy.drop_replies = True
            process.stdin.write("two\n")
            process.stdin.close()
            seqs = wait_until(
                lambda: [
                    event["seq"]
                    for event in alice.request("history", room=name)["events"]
                    if event.get("body") == "two"
                ],
                what="the second message in the log",
            )
            alice.request("redact", room=name, seq=seqs[0])
            proxy.cut_connections()
            proxy.drop_replies = False
            assert process.wait(60) == 0
        finally:
            process.kill()
            process.wait()
            if process.stdout is not None:
                process.stdout.close()


def test_send_lines_ends_when_its_user_is_banned(daemon: Daemon) -> None:
    daemon.add_user("wanda")
    command = [str(BIN / "chat"), "send", "lobby", "--lines", "--identity", str(identity_of(daemon, "wanda"))]
    with subprocess.Popen(
        command, env=daemon.environ, stdin=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin is not None
        assert process.stderr is not None
        process.stdin.write("wanda was here\n")
        process.stdin.flush()
        with admin_client(daemon) as alice:
            wait_until(lambda: alice.request("search", query="wanda")["events"], what="the first line")
        daemon.chatctl("ban", "wanda", "--yes")
        # It must end although standard input stays open and receives more lines.
        wait_until(lambda: _ended_after_another_line(process), what="the end")
        assert process.returncode == 4
        assert process.stderr.read().count("wanda is banned") == 1


def _ended_after_another_line(process: subprocess.Popen[str]) -> bool:
    assert process.stdin is not None
    if process.poll() is None:
        try:
            # Bypass the file object, which would write a failed line again on close.
            os.write(process.stdin.fileno(), b"more\n")
        except BrokenPipeError:
            pass
    return process.poll() is not None
