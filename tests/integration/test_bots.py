"""The example bot of docs/bots.md, run against a real daemon."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

import chatctl.client
from chatctl.client import CaughtUp, Client, Message, read_identity
from tests.support.daemon import Daemon

PAGE = Path(__file__).parents[2] / "docs" / "bots.md"


def example_bot() -> str:
    (code,) = re.findall(r"^```python\n(.*?)^```$", PAGE.read_text("utf-8"), re.DOTALL | re.MULTILINE)
    return str(code)


@pytest.fixture(scope="module")
def bot(shared_daemon: Daemon, tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """The command line that starts the bot."""
    shared_daemon.add_user("clock", device="bot")
    script = tmp_path_factory.mktemp("bot") / "clock.py"
    script.write_text(example_bot())
    return [sys.executable, "-W", "error", str(script), str(shared_daemon.identity("clock", "bot"))]


@contextmanager
def running(daemon: Daemon, command: list[str]) -> Iterator[None]:
    process = subprocess.Popen(command, env=daemon.environ)
    try:
        yield
    finally:
        process.kill()
        process.wait()


def wait_for_answer(client: Client, to: int) -> Message:
    for event in client.events():
        # The bot answers twice if it was killed between the answer and the next event.
        if isinstance(event, Message) and event.user == "clock" and event.reply_to == to:
            return event
    raise client.error or AssertionError("no answer")


def test_the_example_bot_answers_and_survives_kills(shared_daemon: Daemon, bot: list[str]) -> None:
    with Client(read_identity(shared_daemon.identity("alice", "console"))) as alice:
        assert any(isinstance(event, CaughtUp) for event in iter(lambda: alice.next_event(10), None))
        alice.request("create", room="#clock")
        with running(shared_daemon, [*bot, "#clock"]):
            for event in alice.events():
                if getattr(event, "user", "") == "clock" and getattr(event, "room", "") == "#clock":
                    break
            for child in shared_daemon.status()["children"]:
                if child["kind"] == "worker":
                    os.kill(child["pid"], signal.SIGKILL)
            question = alice.send("#clock", "!time").wait(30).seq
            assert re.fullmatch(r"\d\d:\d\d:\d\d UTC", wait_for_answer(alice, question).body)
        # The next run of the bot answers the question asked in between, and no other.
        question = alice.send("#clock", "!time").wait(30).seq
        with running(shared_daemon, [*bot, "#clock"]):
            wait_for_answer(alice, question)


def test_the_example_bot_reports_errors(shared_daemon: Daemon, bot: list[str]) -> None:
    result = subprocess.run(
        [*bot, "#nowhere"], env=shared_daemon.environ, capture_output=True, text=True, timeout=60
    )
    assert (result.returncode, result.stdout) == (1, "")
    assert re.fullmatch(r"error: .*\(E404\).*\n", result.stderr)


def test_the_page_names_the_exports_of_the_library() -> None:
    page = PAGE.read_text("utf-8")
    undocumented = {"AnyEvent", "Identity", "Logged", "Bye", "SessionLimits", "Reaction", "ReadMarker"}
    undocumented |= {"InviteResult", "Patience", "identity_to_write", "left_behind"}  # for programs that join
    assert not [
        name
        for name in set(chatctl.client.__all__) - undocumented
        if f"`{name}" not in page and name not in page
    ]
    assert example_bot().count("\n") <= 24
