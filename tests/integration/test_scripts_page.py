"""The recipes printed in docs/scripts.md, and `chat bot`, run against a real daemon."""

from __future__ import annotations

import fcntl
import json
import mmap
import os
import re
import shutil
import signal
import struct
import subprocess
import termios
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from chatctl.client import CaughtUp, Client, Message, read_identity
from tests.support.daemon import BIN, Daemon, wait_until
from tests.support.lines import next_line

PAGE = Path(__file__).parents[2] / "docs" / "scripts.md"
needs_jq = pytest.mark.skipif(shutil.which("jq") is None, reason="jq is not installed")
ALERTS = {
    "alerts": [
        {"status": "firing", "labels": {"alertname": "DiskFull", "instance": "db1"}, "annotations": {}},
        {"status": "resolved", "labels": {"alertname": "Load"}, "annotations": {"summary": "calm"}},
    ]
}


def recipe(words: str) -> str:
    """Return the recipe on the page that contains these words."""
    recipes = re.findall(r"^```sh\n(.*?)^```$", PAGE.read_text("utf-8"), re.DOTALL | re.MULTILINE)
    (one,) = (text for text in recipes if words in text)
    return str(one)


class Scripts:
    """Runs recipes and bots as the user robot; `end` kills those still running."""

    def __init__(self, daemon: Daemon, folder: Path) -> None:
        self.daemon = daemon
        self.folder = folder
        self.environ = {
            **daemon.environ,
            "PATH": f"{BIN}:{os.environ['PATH']}",
            "CHATD_IDENTITY": str(daemon.identity("robot")),
        }
        self._started: list[subprocess.Popen[str]] = []

    def shell(self, script: str, text: str = "") -> subprocess.CompletedProcess[str]:
        """Run a recipe until it ends."""
        command = ["bash", "-o", "pipefail", "-c", script]
        return subprocess.run(
            command, input=text, env=self.environ, cwd=self.folder, capture_output=True, text=True, timeout=60
        )

    def start(self, *command: str) -> subprocess.Popen[str]:
        """Start a long-running program in its own process group."""
        pipes: dict[str, Any] = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
        process = subprocess.Popen(
            command, env=self.environ, cwd=self.folder, text=True, start_new_session=True, **pipes
        )
        self._started.append(process)
        return process

    def bot(self, *options: str) -> subprocess.Popen[str]:
        return self.start("chat", "bot", *options)

    def end(self) -> None:
        for process in self._started:
            try:
                os.killpg(process.pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
            with process:
                pass


@pytest.fixture(scope="module")
def alice(shared_daemon: Daemon) -> Iterator[Client]:
    shared_daemon.add_user("robot")
    with Client(read_identity(shared_daemon.identity("alice", "console"))) as client:
        assert any(isinstance(event, CaughtUp) for event in iter(lambda: client.next_event(30), None))
        for name in ("ops", "war", "one", "two", "quiet"):
            client.request("create", room=f"#{name}")
        yield client


@pytest.fixture
def scripts(shared_daemon: Daemon, alice: Client, tmp_path: Path) -> Iterator[Scripts]:
    scripts = Scripts(shared_daemon, tmp_path)
    yield scripts
    scripts.end()


def next_bodies(client: Client, count: int) -> list[str]:
    """Return the bodies of the next ``count`` messages of users other than alice."""
    bodies: list[str] = []
    while len(bodies) < count:
        event = client.next_event(30)
        assert event is not None, f"only {bodies}"
        if isinstance(event, Message) and event.user != "alice":
            bodies.append(event.body)
    return bodies


def read_until(process: subprocess.Popen[str], **wanted: Any) -> dict[str, Any]:
    """Return the next output line with these fields."""
    line: dict[str, Any] = {}
    while not wanted.items() <= line.items():
        line = json.loads(next_line(process, f"a line with {wanted}"))
    return line


def command(process: subprocess.Popen[str], **fields: Any) -> None:
    assert process.stdin is not None
    process.stdin.write(json.dumps(fields) + "\n")
    process.stdin.flush()


def test_the_cron_recipe_reports_a_failed_job(scripts: Scripts, alice: Client) -> None:
    job = scripts.folder / "nightly"
    job.write_text("#!/bin/sh\nseq 8; exit 1\n")
    job.chmod(0o700)
    result = scripts.shell(recipe("nightly failed").replace("/usr/local/bin/nightly", str(job)))
    assert (result.returncode, result.stderr) == (0, "")
    assert next_bodies(alice, 1) == ["nightly failed\n4\n5\n6\n7\n8"]


def test_the_intrusion_recipe_forwards_alerts(scripts: Scripts, alice: Client) -> None:
    log = scripts.folder / "ids"
    log.touch()
    # Follow from the beginning, because the test does not know when tail starts.
    following = recipe("tail -n 0").replace("/var/log/ids", str(log)).replace("-n 0", "-n +1")
    scripts.start("bash", "-c", following)
    with log.open("a") as file:
        file.write("noise\nALERT one\n")
        file.flush()
        assert next_bodies(alice, 1) == ["ALERT one"]
        file.write("ALERT \x1b[2Jtwo\n")
    assert next_bodies(alice, 1)[0].startswith("ALERT ")


@needs_jq
def test_the_alertmanager_recipe_sends_one_message_per_alert(scripts: Scripts, alice: Client) -> None:
    result = scripts.shell(recipe(".alerts[]"), json.dumps(ALERTS))
    assert result.returncode == 0, result.stderr
    assert next_bodies(alice, 2) == ["firing: DiskFull on db1: -", "resolved: Load on ?: calm"]


@needs_jq
def test_the_jq_recipes_format_tail_and_history(scripts: Scripts, alice: Client) -> None:
    following = scripts.start("bash", "-c", recipe("chat tail war").replace("-n 0", "-n 1"))
    seq = alice.send("#war", "look here").wait(30).seq
    assert next_line(following, "alice's message") == "alice: look here\n"
    rows = scripts.shell(recipe("@tsv")).stdout.splitlines()
    assert f"{seq}\talice\tlook here" in rows


@needs_jq
def test_the_shell_bot_recipe_answers_a_command(scripts: Scripts, alice: Client) -> None:
    scripts.start("bash", "-c", recipe("mkfifo").replace("--room war", "--room one"))
    for event in alice.events():
        if (getattr(event, "user", ""), getattr(event, "room", "")) == ("robot", "#one"):
            break
    alice.send("#one", "!date").wait(30)
    assert re.fullmatch(r"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\dZ", next_bodies(alice, 1)[0])


def test_every_recipe_is_run_here() -> None:
    recipes = re.findall(r"^```sh\n(.*?)^```$", PAGE.read_text("utf-8"), re.DOTALL | re.MULTILINE)
    run = ("nightly failed", "tail -n 0", ".alerts[]", "chat tail war", "@tsv", "mkfifo")
    assert sorted(recipes) == sorted(recipe(words) for words in run)


def test_a_bot_receives_events_and_replies_to_its_commands(scripts: Scripts, alice: Client) -> None:
    bot = scripts.bot("--room", "two")
    welcome = read_until(bot, type="connected")
    assert (welcome["schema"], welcome["user"], welcome["role"]) == (1, "robot", "user")
    read_until(bot, type="caught_up")
    alice.send("#two", "hello\x07 robot").wait(30)
    assert read_until(bot, type="message")["body"] == r"hello\x07 robot"
    command(bot, do="send", to="#two", body="hi", ref={"any": "thing"})
    reply = read_until(bot, type="ok")
    assert (reply["ref"], reply["result"]["notes"]) == ({"any": "thing"}, [])
    command(bot, do="history", room="#two", limit=1)
    assert read_until(bot, type="ok", ref=None)["result"]["events"][0]["seq"] == reply["result"]["seq"]
    assert next_bodies(alice, 1) == ["hi"]
    assert bot.communicate(timeout=30) == ("", "")
    assert bot.returncode == 0


@pytest.mark.parametrize(
    ("line", "code"),
    [
        ("{", "E102"),
        ("[]", "E102"),
        ('{"do": 5, "ref": 1}', "E103"),
        ('{"do": "resume", "ref": 1}', "E103"),
        ('{"do": "dance", "ref": 1}', "E103"),
        ('{"do": "send", "to": "#two", "ref": 1}', "E102"),
        ('{"do": "who", "room": "#two", "id": 5, "ref": 1}', "E102"),
        ('{"do": "who", "room": "#two", "timeout": 5, "ref": 1}', "E102"),
        ('{"do": "send", "to": "#nowhere", "body": "x", "ref": 1}', "E404"),
        ('{"do": "ban", "user": "alice", "ref": 1}', "E300"),
        ('{"do": "send", "to": "#lobby", "body": "' + "x" * 70_000 + '"}', "E102"),
        ("[" * 5000, "E102"),
    ],
)
def test_a_bad_command_is_refused_and_the_next_one_works(scripts: Scripts, line: str, code: str) -> None:
    result = scripts.shell("chat bot", f'{line}\n{{"do": "ping", "ref": "last"}}\n')
    assert (result.returncode, result.stderr) == (0, "")
    lines = [json.loads(text) for text in result.stdout.splitlines()]
    assert code in [line["code"] for line in lines if line["type"] == "error"]
    assert ("ok", "last") in [(line["type"], line.get("ref")) for line in lines]


def test_a_bot_with_a_state_folder_receives_what_it_missed(scripts: Scripts, alice: Client) -> None:
    first = scripts.bot("--room", "two", "--state", "state")
    read_until(first, type="caught_up")
    first.send_signal(signal.SIGTERM)
    assert first.wait(30) == 0
    alice.send("#two", "while you were out").wait(30)
    second = scripts.bot("--state", "state")
    assert read_until(second, type="message")["body"] == "while you were out"


def unread(bot: subprocess.Popen[str]) -> int:
    """Return the number of unread bytes in the pipe of the bot's output."""
    assert bot.stdout is not None
    (count,) = struct.unpack("i", fcntl.ioctl(bot.stdout, termios.FIONREAD, bytes(4)))
    return int(count)


def test_sigterm_ends_a_bot_whose_output_is_blocked(scripts: Scripts) -> None:
    bot = scripts.bot()
    assert bot.stdout is not None and bot.stderr is not None
    read_until(bot, type="caught_up")
    capacity = fcntl.fcntl(bot.stdout, fcntl.F_SETPIPE_SZ, mmap.PAGESIZE)
    command(bot, do="history", room="#nowhere", ref="x" * capacity)
    wait_until(lambda: unread(bot) == capacity)
    bot.send_signal(signal.SIGTERM)
    assert bot.wait(30) == 0
    assert bot.stderr.read() == ""


def test_a_closed_pipe_ends_a_bot_without_an_error_message(scripts: Scripts) -> None:
    bot = scripts.bot()
    read_until(bot, type="caught_up")
    assert bot.stdout is not None and bot.stderr is not None
    bot.stdout.close()
    command(bot, do="ping")
    assert (bot.wait(30), bot.stderr.read()) == (8, "")


def test_a_kick_ends_a_bot_with_exit_code_4(scripts: Scripts, shared_daemon: Daemon) -> None:
    bot = scripts.bot()
    read_until(bot, type="caught_up")
    shared_daemon.chatctl("kick", "robot")
    assert read_until(bot, type="disconnected")["retry_in"] is None
    assert bot.wait(30) == 4
    shared_daemon.chatctl("unban", "robot")
