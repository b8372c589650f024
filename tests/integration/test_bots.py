"""The bot printed in docs/bots.md, run against a real daemon."""

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


def bot_of_the_page() -> str:
    (code,) = re.findall(r"^```python\n(.*?)^```$", PAGE.read_text("utf-8"), re.DOTALL | re.MULTILINE)
    return str(code)


@pytest.fixture(scope="module")
def bot(shared_daemon: Daemon, tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """The command line of the bot."""
    shared_daemon.add_user("clock", device="bot")
    script = tmp_path_factory.mktemp("bot") / "clock.py"
    script.write_text(bot_of_the_page())
    return [sys.executable, "-W", "error", str(script), str(shared_daemon.identity("clock", "bot"))]


@contextmanager
def running(daemon: Daemon, command: list[str]) -> Iterator[None]:
    process = subprocess.Popen(command, env=daemon.environ)
    try:
        yield
    finally:
        process.kill()
        process.wait()


def await_answer(client: Client, to: int) -> Message:
    for event in client.events():
        # A bot killed between answering and taking the next event answers again.
        if isinstance(event, Message) and event.user == "clock" and event.reply_to == to:
            return event
    raise client.error or AssertionError("no answer")


def test_the_bot_of_the_page_answers_and_survives_kills(shared_daemon: Daemon, bot: list[str]) -> None:
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
            asked = alice.send("#clock", "!time").wait(30).seq
            assert re.fullmatch(r"\d\d:\d\d:\d\d UTC", await_answer(alice, asked).body)
        # Asked while the bot is dead: the next run answers this and nothing else.
        asked = alice.send("#clock", "!time").wait(30).seq
        with running(shared_daemon, [*bot, "#clock"]):
            await_answer(alice, asked)


def test_the_bot_of_the_page_reports_errors(shared_daemon: Daemon, bot: list[str]) -> None:
    done = subprocess.run(
        [*bot, "#nowhere"], env=shared_daemon.environ, capture_output=True, text=True, timeout=60
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert re.fullmatch(r"error: .*\(E404\).*\n", done.stderr)


def test_the_page_names_what_the_library_exports() -> None:
    page = PAGE.read_text("utf-8")
    untold = {"AnyEvent", "Identity", "Logged", "Bye", "SessionLimits"}
    assert not [
        name for name in set(chatctl.client.__all__) - untold if f"`{name}" not in page and name not in page
    ]
    assert bot_of_the_page().count("\n") <= 24
