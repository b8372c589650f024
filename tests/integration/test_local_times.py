"""Local times beside UTC: in the terminal, in the commands for scripts, and in the window."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from tests.support.chat_program import admin_client, identity_of, run_chat
from tests.support.daemon import BIN, Daemon
from tests.support.terminal import TMUX, Terminal
from tests.support.windows import chat_window
from tests.support.xvfb import display, missing

# No summer time, and no offset of whole hours: nothing else shows such times.
ZONE = "Asia/Kathmandu"
ROOM = "#times"


@pytest.fixture(scope="module")
def at(shared_daemon: Daemon) -> datetime:
    """The time of the only message in the room."""
    shared_daemon.add_user("bob")
    with admin_client(shared_daemon) as alice:
        alice.request("create", room=ROOM, guests=True)
        sent = alice.send(ROOM, "what time is it?").wait(30)
    return datetime.fromtimestamp(sent.at / 1000, UTC)


def local(at: datetime) -> str:
    return f"{at.astimezone(ZoneInfo(ZONE)):%H:%M:%S}"


def utc(at: datetime) -> str:
    return f"{at:%H:%M:%S}Z"


@pytest.mark.parametrize("command", [("history", "times"), ("search", "time")])
def test_commands_show_the_times_that_are_asked_for(
    shared_daemon: Daemon, at: datetime, command: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(shared_daemon.environ, "TZ", ZONE)

    def shown(*options: str) -> str:
        return run_chat(shared_daemon, command[0], *options, command[1]).stdout

    assert f"{utc(at)} " in shown()
    assert f"{local(at)} " in shown("--time", "local")
    assert utc(at) not in shown("--time", "local")
    assert f"{local(at)} {utc(at)} " in shown("--time", "both")
    monkeypatch.setitem(shared_daemon.environ, "CHAT_TIME", "local")
    assert utc(at) not in shown()


def test_a_pipe_shows_them_too(shared_daemon: Daemon, at: datetime, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(shared_daemon.environ, "TZ", ZONE)
    options = ("--time", "both", "--plain", "--room", "times")
    done = run_chat(shared_daemon, *options, text="hello\n")
    assert re.search(r"\[\d\d:\d\d:\d\d \d\d:\d\d:\d\dZ\] <bob> hello", done.stdout)


@pytest.mark.skipif(TMUX is None, reason="tmux is not installed")
def test_the_line_client_shows_and_reads_local_times(
    shared_daemon: Daemon, at: datetime, tmp_path: Path
) -> None:
    terminal = Terminal(tmp_path, {**shared_daemon.environ, "XDG_STATE_HOME": str(tmp_path), "TZ": ZONE})
    try:
        identity = str(identity_of(shared_daemon, "bob"))
        terminal.open(
            "chat", (str(BIN / "chat"), "--identity", identity, "--room", "times", "--time", "both")
        )
        terminal.wait("chat", f"[{local(at)} {utc(at)}] <alice*> what time is it?")
        terminal.wait("chat", f"-- {at.astimezone(ZoneInfo(ZONE)):%Y-%m-%d} --")
        terminal.keys("chat", "-l", f"/reply {local(at)} late")
        terminal.keys("chat", "Enter")
        terminal.wait("chat", '(re alice: "what time is it?") late')
        terminal.keys("chat", "-l", f"/reply {utc(at)} later")
        terminal.keys("chat", "Enter")
        terminal.wait("chat", '(re alice: "what time is it?") later')
    finally:
        terminal.close()


@pytest.mark.skipif(bool(missing()), reason=f"windows cannot be tested here: {missing()}")
def test_the_windows_times_are_a_setting_that_is_kept(
    shared_daemon: Daemon, at: datetime, tmp_path: Path
) -> None:
    environ = {**shared_daemon.environ, "XDG_STATE_HOME": str(tmp_path), "TZ": ZONE}
    in_utc, in_zone = f"{utc(at)[:5]}Z", local(at)[:5]
    with display() as screen:
        with chat_window(screen, shared_daemon, "bob", room="times", environ=environ) as window:
            shown = window.wait_for_text(f"  {in_utc}")
            assert in_zone not in shown
            screen.focus(window.id)
            screen.keys("F10", *["Up"] * 5, "Return")
            shown = window.wait_for_text(f"  {in_zone}\n")
            screen.keys("F10", *["Up"] * 4, "Return")
            window.wait_for_text(f"  {in_zone} {in_utc}")
            window.quit()
        with chat_window(screen, shared_daemon, "bob", room="times", environ=environ) as window:
            window.wait_for_text(f"  {in_zone} {in_utc}")
