"""Locales that are not UTF-8, and input that is not: real programs against a real daemon."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from tests.support.chat_program import admin_client, create_room, identity_of, run_chat
from tests.support.daemon import BIN, Daemon, wait_until
from tests.support.lines import next_line
from tests.support.terminal import TMUX, Terminal

SNOWMAN = "\N{SNOWMAN} gr\u00fc\u00dfe"
LOCALES = {
    "C": {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
    "latin-1": {"LC_ALL": "C.UTF-8", "PYTHONIOENCODING": "latin-1"},
}
SHOWN = {"C": "\\u2603 gr\\xfc\\xdfe", "latin-1": "\\u2603 gr\u00fc\u00dfe"}


@pytest.fixture(scope="module")
def daemon(shared_daemon: Daemon) -> Daemon:
    for user in ("bob", "carol"):
        shared_daemon.add_user(user)
    return shared_daemon


def said(daemon: Daemon, room: str) -> list[str]:
    events = run_chat(daemon, "history", room, "--json", user="alice").stdout.splitlines()
    return [event["body"] for event in map(json.loads, events) if event["type"] == "message"]


def program(
    daemon: Daemon, locale: str, *words: str, stdin: bytes = b""
) -> subprocess.CompletedProcess[bytes]:
    name, *arguments = words
    return subprocess.run(
        [str(BIN / name), "--identity", str(identity_of(daemon, "alice")), *arguments],
        env=daemon.environ | LOCALES[locale],
        input=stdin,
        capture_output=True,
        timeout=60,
    )


@pytest.mark.parametrize("locale", LOCALES)
@pytest.mark.parametrize(
    "command",
    [
        "chat history ROOM",
        "chat search in:#ROOM",
        "chat --plain --room ROOM",
        "chatctl bans",
        "chatctl rooms",
    ],
)
def test_a_foreign_character_is_escaped(daemon: Daemon, locale: str, command: str) -> None:
    room = create_room(daemon, f"snow-{locale.lower()}-{abs(hash(command)) % 10**6}")
    with admin_client(daemon) as alice:
        alice.request("topic", room=f"#{room}", topic=SNOWMAN)
        alice.send(f"#{room}", SNOWMAN).wait(30)
        alice.request("ban", user="carol", reason=SNOWMAN)
    done = program(daemon, locale, *command.replace("ROOM", room).split(), stdin=SNOWMAN.encode())
    assert (done.returncode, done.stderr) == (0, b"")
    assert SHOWN[locale] in done.stdout.decode("latin-1")


@pytest.mark.parametrize("locale", LOCALES)
def test_tail_survives_a_foreign_character(daemon: Daemon, locale: str) -> None:
    room = create_room(daemon, f"tail-{locale.lower()}")
    command = [str(BIN / "chat"), "--identity", str(identity_of(daemon, "alice")), "tail", room]
    with subprocess.Popen(
        command, env=daemon.environ | LOCALES[locale], stdout=subprocess.PIPE, encoding="latin-1"
    ) as process:
        try:
            with admin_client(daemon) as alice:
                for text in (SNOWMAN, "after it"):
                    alice.send(f"#{room}", text).wait(30)
            assert SHOWN[locale] in next_line(process, "the snowman")
            assert "after it" in next_line(process, "the next line")
        finally:
            process.kill()


@pytest.mark.skipif(TMUX is None, reason="tmux is not installed")
@pytest.mark.parametrize("locale", LOCALES)
def test_the_line_client_shows_a_foreign_character(daemon: Daemon, locale: str, tmp_path: Path) -> None:
    terminal = Terminal(tmp_path, daemon.environ)
    # Through env, because tmux itself needs UTF-8.
    settings = [f"{name}={value}" for name, value in LOCALES[locale].items()]
    command = ("env", *settings, str(BIN / "chat"), "--identity", str(identity_of(daemon, "bob")))
    try:
        terminal.open("snow", command, columns=80)
        wait_until(lambda: "connected" in terminal.text("snow"), what="the client")
        run_chat(daemon, "send", "lobby", "\N{SNOWMAN} falls", user="alice")
        wait_until(lambda: "\\u2603 falls" in terminal.text("snow"), what="the snowman")
    finally:
        terminal.close()


@pytest.mark.parametrize("locale", LOCALES)
def test_standard_input_is_utf8_in_every_locale(daemon: Daemon, locale: str) -> None:
    room = create_room(daemon, f"in-{locale.lower()}")
    done = program(daemon, locale, "chat", "send", room, stdin=SNOWMAN.encode())
    assert (done.returncode, done.stderr) == (0, b"")
    assert said(daemon, room) == [SNOWMAN]


@pytest.mark.parametrize(
    ("words", "stdin", "where", "code", "sent"),
    [
        ([], b"fine\ngr\xfc", "standard input is not UTF-8: byte 8 is 0xfc", 1, []),
        (["gr\udcfc"], b"", "TEXT is not UTF-8: byte 3 is 0xfc", 1, []),
        (
            ["--lines"],
            b"a\ngr\xfc\nb",
            "line 2 of standard input is not UTF-8: byte 3 is 0xfc",
            6,
            ["a", "b"],
        ),
        ([], b"a\r\nb\r\n", "", 0, ["a\nb"]),
        (["a\r\nb\r"], b"", "", 0, ["a\nb"]),
        (["--lines"], b"a\r\nb\r\n", "", 0, ["a", "b"]),
        ([], b"\xef\xbb\xbfa", "", 0, ["a"]),
    ],
    ids=["whole", "argument", "lines", "crlf", "crlf-argument", "crlf-lines", "mark"],
)
def test_what_is_not_utf8_is_refused_and_line_ends_are_not_text(
    daemon: Daemon,
    request: pytest.FixtureRequest,
    words: list[str],
    stdin: bytes,
    where: str,
    code: int,
    sent: list[str],
) -> None:
    room = create_room(daemon, f"utf8-{request.node.callspec.id}")
    done = program(daemon, "latin-1", "chat", "send", room, *words, stdin=stdin)
    assert done.returncode == code
    assert where in done.stderr.decode() and ("E402" in done.stderr.decode()) == bool(where)
    assert said(daemon, room) == sent


def test_the_pipe_refuses_what_is_not_utf8_and_goes_on(daemon: Daemon) -> None:
    room = create_room(daemon, "pipe-utf8")
    done = program(daemon, "latin-1", "chat", "--plain", "--room", room, stdin=b"one\n\xff\nthree\n")
    assert done.returncode == 6
    assert b"line 2 of standard input is not UTF-8: byte 1 is 0xff (E402)" in done.stderr
    assert done.stdout.count(b"<alice") == 2


def test_a_bot_is_told_that_its_command_is_not_utf8(daemon: Daemon) -> None:
    done = program(daemon, "C", "chat", "bot", stdin=b'{"do": "ping", "ref": 1}\n{"do": "p\xff"}\n')
    replies = [json.loads(line) for line in done.stdout.splitlines()]
    assert [reply["code"] for reply in replies if reply["type"] == "error"] == ["E102"]


def test_an_unreadable_standard_input_is_named(daemon: Daemon) -> None:
    command = 'exec "$0" --identity "$1" send lobby 0>/dev/null'
    identity = str(identity_of(daemon, "alice"))
    done = subprocess.run(
        ["/bin/sh", "-c", command, str(BIN / "chat"), identity],
        env=daemon.environ,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 1
    assert "error: standard input: Bad file descriptor (E606)" in done.stderr
