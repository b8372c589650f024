"""The desktop client with a real daemon, a real X server, real keys and clicks."""

from __future__ import annotations

import os
import re
import signal
import subprocess
from pathlib import Path

import pytest

from chatctl.client import Client
from chatd.pki.identity import read_identity
from tests.support.daemon import BIN, Daemon, wait_until
from tests.support.windows import WAIT, chat_window, titled_window, wait_for_message
from tests.support.xvfb import Display, missing

pytestmark = pytest.mark.skipif(bool(missing()), reason=f"windows cannot be tested here: {missing()}")


def test_a_conversation_with_the_keyboard_alone(screen: Display, daemon: Daemon, bob: Client) -> None:
    with chat_window(screen, daemon, "alice", device="console") as window:
        window.say("hello from the window")
        assert wait_for_message(bob, "hello from the window").user == "alice"
        screen.type("two")
        screen.keys("shift+Return")
        window.say("lines")
        wait_for_message(bob, "two\nlines")
        window.say("/me waves")
        assert wait_for_message(bob, "waves").kind == "action"
        bob.send("#lobby", "family \U0001f468\u200d\U0001f469\u200d\U0001f467 \u65e5\u672c").wait(WAIT)
        text = window.wait_for_text("family")
        assert text.index("hello from the window") < text.index("lines") < text.index("waves")

        screen.keys("ctrl+n")
        screen.type("made")
        screen.keys("Tab")
        screen.type("a topic")
        screen.keys("Return")
        window.wait_for_room("#made")
        window.wait_for_text("alice created #made, closed to guests: a topic")

        window.go_to("@bob")
        window.say("only for you")
        assert wait_for_message(bob, "only for you").room == "@alice,bob"
        screen.keys("alt+Up")
        window.wait_for_room("#made")
        window.say("/part")
        window.wait_for_text("nobody owns it then. To leave it, repeat: /part #made")
        window.say("/part")
        window.wait_for_room("#lobby")
        screen.keys("F1", "Escape", "F1", "Return")
        window.say("both panels are closed")
        wait_for_message(bob, "both panels are closed")
        assert window.quit() == ""


def test_unread_counts_and_clicks(screen: Display, daemon: Daemon, bob: Client) -> None:
    bob.request("create", room="#clicks")
    with chat_window(screen, daemon, "carol", room="clicks") as window:
        window.wait_for_text("carol joined #clicks")
        window.go_to("lobby")
        unread = window.unread
        bob.send("#clicks", "carol: look here").wait(WAIT)
        wait_until(lambda: window.unread == unread + 1, what="the unread count")
        window.click_until(lambda: window.room == "#clicks", 60, range(50, 200, 8))
        assert "new\nbob" in window.wait_for_text("carol: look here")
        # Narrow: the lists disappear, and Send is in the lower right corner.
        screen.xdotool("windowsize", "--sync", window.id, "400", "500")
        screen.focus(window.id)
        screen.type("by mouse")
        for y in range(430, 480, 8):
            screen.click(window.id, 365, y)
        wait_for_message(bob, "by mouse")


def test_scrolling_loads_history_and_search_goes_to_a_message(screen: Display, daemon: Daemon) -> None:
    with Client(read_identity(daemon.identity("alice", "console")), live=False) as alice:
        alice.request("create", room="#long")
        for sent in [alice.send("#long", f"line {n} of many" + (" needle" * (n == 3))) for n in range(100)]:
            sent.wait(WAIT)
    with chat_window(screen, daemon, "carol", room="long") as window:
        assert "line 9 of many" not in window.wait_for_text("line 99 of many")

        def scrolled() -> bool:
            screen.focus(window.id)
            screen.keys(*["Prior"] * 10)
            return "line 0 of many" in window.text()

        wait_until(scrolled, what="the first line")
        text = window.text()
        assert [int(n) for n in re.findall(r"line (\d+) of many", text)] == list(range(100))
        assert "Beginning of #long" in text
    with chat_window(screen, daemon, "carol") as window:
        window.wait_for_text("carol")
        screen.keys("ctrl+f")
        screen.type("needle")
        screen.keys("Return")

        def in_the_room() -> bool:
            screen.keys("Down", "Return")
            return "#long" in screen.title(window.id)

        wait_until(in_the_room, what="the room of the message found")
        window.wait_for_text("line 3 of many needle")


def test_two_windows_talk_while_workers_are_killed(screen: Display, daemon: Daemon) -> None:
    lines = []
    with (
        chat_window(screen, daemon, "alice", device="console") as one,
        chat_window(screen, daemon, "carol") as other,
    ):
        for window in (one, other):
            window.wait_for_text("alice")
        for number in range(8):
            window = (one, other)[number % 2]
            lines.append(f"killed {number}")
            window.say(lines[-1])
            if number in (2, 5):
                for child in daemon.status()["children"]:
                    if child["kind"] == "worker":
                        os.kill(child["pid"], signal.SIGKILL)
        for window in (one, other):
            wait_until(lambda w=window: all(line in w.text() for line in lines), what="all lines")  # type: ignore[misc]
        seen = [re.findall(r"^killed \d(?=\n)", window.text(), re.MULTILINE) for window in (one, other)]
        assert seen[0] == seen[1]
        assert sorted(seen[0]) == lines


def test_messages_typed_while_the_server_is_down_are_sent_later(screen: Display, daemon: Daemon) -> None:
    with chat_window(screen, daemon, "carol") as window:
        window.wait_for_text("carol")
        daemon.chatd("stop")
        window.say("kept for later")
        window.wait_for_text("sending")
        assert "1 not sent yet" in window.quit()
    daemon.start()
    with chat_window(screen, daemon, "carol") as window:
        assert window.wait_for_text("kept for later").count("kept for later") == 1
        window.process.send_signal(signal.SIGTERM)
        assert window.process.wait(WAIT) == 0


def test_the_first_run_installs_an_identity_file(screen: Display, daemon: Daemon, tmp_path: Path) -> None:
    bundle = tmp_path / "dave.pem"
    daemon.chatd("user", "add", "dave", "--device", "pad", "--out", str(bundle))
    bundle.chmod(0o644)
    environ = {**daemon.environ, "XDG_CONFIG_HOME": str(tmp_path / "config"), "HOME": str(tmp_path)}
    with titled_window(screen, environ, "Welcome") as window:
        screen.type("/nowhere.pem")
        screen.keys("Return", "ctrl+a", "ctrl+slash", "BackSpace")
        screen.type(str(bundle))
        screen.keys("Return")
        window.wait_for_room("#lobby")
        window.wait_for_text("dave joined #lobby")
    installed = tmp_path / "config" / "chatd" / "identity.pem"
    assert installed.stat().st_mode & 0o777 == 0o600
    assert read_identity(installed).user == "dave"


@pytest.mark.parametrize("without", ["display", "tk"])
def test_a_missing_display_or_tk_is_reported(daemon: Daemon, tmp_path: Path, without: str) -> None:
    environ = {**daemon.environ, "DISPLAY": ":no"}
    if without == "tk":
        (tmp_path / "tkinter.py").write_text("raise ImportError('not built')\n")
        environ["PYTHONPATH"] = str(tmp_path)
    identity = str(daemon.identity("bob"))
    result = subprocess.run(
        [BIN / "chat", "window", "--identity", identity],
        env=environ,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert result.returncode == 1
    assert result.stderr.count("\n") == 1
    assert {"display": "no window can be opened", "tk": "no Tk"}[without] in result.stderr
