"""The desktop client against a real daemon, on a real X server, with real keys and clicks."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from chatctl.client import CaughtUp, Client
from chatd.pki.identity import read_identity
from chatd.proto.events import Message
from tests.support.daemon import BIN, Daemon, wait_until
from tests.support.xvfb import Display, display, missing, open_window, text_of

pytestmark = pytest.mark.skipif(bool(missing()), reason=f"windows cannot be tested here: {missing()}")
WAIT = 30.0
OTHER = {"light": "dark", "dark": "light"}


@pytest.fixture(scope="module")
def daemon(shared_daemon: Daemon) -> Daemon:
    shared_daemon.add_user("bob")
    shared_daemon.add_user("carol")
    return shared_daemon


@pytest.fixture(scope="module")
def screen() -> Iterator[Display]:
    with display() as screen:
        yield screen


@pytest.fixture
def bob(daemon: Daemon) -> Iterator[Client]:
    """Somebody else, who is caught up and listens."""
    with Client(read_identity(daemon.identity("bob"))) as client:
        while not isinstance(client.next_event(WAIT), CaughtUp):
            pass
        yield client


class Opened:
    """A window, by its X id, and the process behind it."""

    def __init__(self, screen: Display, process: subprocess.Popen[str], title: str, before: set[str]) -> None:
        self.screen = screen
        self.process = process
        self.id = screen.window(title, before)
        screen.focus(self.id)

    def titled(self, pattern: str) -> None:
        """Wait for a title."""
        wait_until(lambda: re.search(pattern, self.screen.title(self.id)), what=f"the title {pattern}")

    def shows(self, text: str) -> str:
        """Wait until the message area has a text; all of it."""

        def has_it() -> str:
            shown = self.text()
            return shown if text in shown else ""

        found: str = wait_until(has_it, what=repr(text))
        return found

    def text(self) -> str:
        """What the message area has."""
        return text_of(self.screen, self.id)

    def say(self, text: str) -> None:
        """Type a line and press Enter."""
        self.screen.focus(self.id)
        self.screen.type(text)
        self.screen.keys("Return")

    def quit(self) -> str:
        """Close it; what it said on stderr."""
        self.screen.focus(self.id)
        self.screen.keys("ctrl+q")
        assert self.process.wait(WAIT) == 0
        assert self.process.stderr is not None
        return self.process.stderr.read()


@contextmanager
def opened(
    screen: Display, daemon: Daemon, user: str, *more: str, title: str = "chatd", device: str = "laptop"
) -> Iterator[Opened]:
    before = screen.windows(title)
    identity = str(daemon.identity(user, device))
    with started(screen, daemon.environ, "--identity", identity, *more) as process:
        yield Opened(screen, process, title, before)


@contextmanager
def started(screen: Display, environ: dict[str, str], *arguments: str) -> Iterator[subprocess.Popen[str]]:
    with open_window(screen, environ, *arguments) as process:
        try:
            yield process
        finally:
            process.kill()


def heard(client: Client, body: str) -> Message:
    """The message with this body, as soon as it comes."""
    while (event := client.next_event(WAIT)) is not None:
        if isinstance(event, Message) and event.body == body:
            return event
    raise AssertionError(f"{body!r} never came")


def test_a_conversation_with_the_keyboard_alone(screen: Display, daemon: Daemon, bob: Client) -> None:
    with opened(screen, daemon, "alice", device="console") as window:
        window.titled("^#lobby - chatd$")
        window.say("hello from the window")
        assert heard(bob, "hello from the window").user == "alice"
        screen.type("two")
        screen.keys("shift+Return")
        window.say("lines")
        heard(bob, "two\nlines")
        window.say("/me waves")
        assert heard(bob, "waves").kind == "action"
        bob.send("#lobby", "family \U0001f468\u200d\U0001f469\u200d\U0001f467 \u65e5\u672c").wait(WAIT)
        text = window.shows("family")
        assert text.index("hello from the window") < text.index("lines") < text.index("waves")

        screen.keys("ctrl+n")
        screen.type("made")
        screen.keys("Tab")
        screen.type("a topic")
        screen.keys("Return")
        window.titled("^#made - chatd$")
        window.shows("alice created #made, closed to guests: a topic")

        screen.keys("ctrl+k")
        screen.type("@bob")
        screen.keys("Return")
        window.titled("^@bob - chatd$")
        window.say("only for you")
        assert heard(bob, "only for you").room == "@alice,bob"
        screen.keys("alt+Up")
        window.titled("^#made")
        window.say("/part")
        window.titled("^#lobby")
        screen.keys("F1")
        screen.keys("Escape")
        assert window.quit() == ""


def test_unread_counts_and_clicks(screen: Display, daemon: Daemon, bob: Client) -> None:
    bob.request("create", room="#clicks")
    with opened(screen, daemon, "carol", "--room", "clicks") as window:
        window.titled("^#clicks")
        window.shows("carol joined #clicks")
        screen.keys("ctrl+k")
        screen.type("lobby")
        screen.keys("Return")
        window.titled("^#lobby")
        bob.send("#clicks", "carol: look here").wait(WAIT)
        window.titled(r"^\(1\) #lobby")
        for y in range(50, 200, 8):
            if "#clicks" not in screen.title(window.id):
                screen.click(window.id, 60, y)
        window.titled("^#clicks - chatd$")
        assert "new\nbob" in window.shows("carol: look here")
        # Narrow: the lists go, Send is in the lower right corner.
        screen.xdotool("windowsize", "--sync", window.id, "400", "500")
        screen.focus(window.id)
        screen.type("by mouse")
        for y in range(430, 480, 8):
            screen.click(window.id, 365, y)
        heard(bob, "by mouse")


def test_history_comes_with_scrolling_and_search_goes_to_a_message(screen: Display, daemon: Daemon) -> None:
    with Client(read_identity(daemon.identity("alice", "console")), live=False) as alice:
        alice.request("create", room="#long")
        for sent in [alice.send("#long", f"line {n} of many" + (" needle" * (n == 3))) for n in range(100)]:
            sent.wait(WAIT)
    with opened(screen, daemon, "carol", "--room", "long") as window:
        assert "line 9 of many" not in window.shows("line 99 of many")

        def scrolled() -> bool:
            screen.focus(window.id)
            screen.keys(*["Prior"] * 10)
            return "line 0 of many" in window.text()

        wait_until(scrolled, what="the first line")
        text = window.text()
        assert [int(n) for n in re.findall(r"line (\d+) of many", text)] == list(range(100))
        assert "Beginning of #long" in text
    with opened(screen, daemon, "carol") as window:
        window.titled("^#lobby")
        window.shows("carol")
        screen.keys("ctrl+f")
        screen.type("needle")
        screen.keys("Return")

        def gone_there() -> bool:
            screen.keys("Down", "Return")
            return "#long" in screen.title(window.id)

        wait_until(gone_there, what="the room of what was found")
        window.shows("line 3 of many needle")


def test_two_windows_talk_while_workers_are_killed(screen: Display, daemon: Daemon) -> None:
    lines = []
    with (
        opened(screen, daemon, "alice", device="console") as one,
        opened(screen, daemon, "carol", "--room", "lobby") as other,
    ):
        for window in (one, other):
            window.shows("alice")
        for turn in range(8):
            window = (one, other)[turn % 2]
            lines.append(f"killed {turn}")
            window.say(lines[-1])
            if turn in (2, 5):
                for child in daemon.status()["children"]:
                    if child["kind"] == "worker":
                        os.kill(child["pid"], signal.SIGKILL)
        for window in (one, other):
            wait_until(lambda w=window: all(line in w.text() for line in lines), what="all lines")  # type: ignore[misc]
        seen = [re.findall(r"^killed \d(?=\n)", window.text(), re.MULTILINE) for window in (one, other)]
        assert seen[0] == seen[1]
        assert sorted(seen[0]) == lines


def test_what_is_typed_while_the_server_is_away_is_sent_later(screen: Display, daemon: Daemon) -> None:
    with opened(screen, daemon, "carol") as window:
        window.titled("^#lobby")
        window.shows("carol")
        daemon.chatd("stop")
        window.say("kept for later")
        window.shows("sending")
        assert "1 not sent yet" in window.quit()
    daemon.start()
    with opened(screen, daemon, "carol") as window:
        assert window.shows("kept for later").count("kept for later") == 1
        window.process.send_signal(signal.SIGTERM)
        assert window.process.wait(WAIT) == 0


def test_the_first_run_takes_an_identity_file(screen: Display, daemon: Daemon, tmp_path: Path) -> None:
    bundle = tmp_path / "dave.pem"
    daemon.chatd("user", "add", "dave", "--device", "pad", "--out", str(bundle))
    bundle.chmod(0o644)
    environ = {**daemon.environ, "XDG_CONFIG_HOME": str(tmp_path / "config"), "HOME": str(tmp_path)}
    with started(screen, environ) as process:
        window = Opened(screen, process, "Welcome", set())
        screen.type("/nowhere.pem")
        screen.keys("Return", "ctrl+a", "ctrl+slash", "BackSpace")
        screen.type(str(bundle))
        screen.keys("Return")
        window.titled("^#lobby")
        window.shows("dave joined #lobby")
    kept = tmp_path / "config" / "chatd" / "identity.pem"
    assert kept.stat().st_mode & 0o777 == 0o600
    assert read_identity(kept).user == "dave"


@pytest.mark.parametrize("without", ["display", "tk"])
def test_without_a_display_or_tk_it_says_so(daemon: Daemon, tmp_path: Path, without: str) -> None:
    environ = {**daemon.environ, "DISPLAY": ":no"}
    if without == "tk":
        (tmp_path / "tkinter.py").write_text("raise ImportError('not built')\n")
        environ["PYTHONPATH"] = str(tmp_path)
    identity = str(daemon.identity("bob"))
    done = subprocess.run(
        [BIN / "chat", "window", "--identity", identity],
        env=environ,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert {"display": "no window can be opened", "tk": "no Tk"}[without] in done.stderr


def test_tab_completes_and_what_is_erased_goes_away(screen: Display, daemon: Daemon, bob: Client) -> None:
    with opened(screen, daemon, "alice", device="console") as window:
        window.titled("^#lobby")
        window.shows("bob")
        screen.type("for bo")
        screen.keys("Tab")
        window.say("done")
        assert heard(bob, "for bob done").user == "alice"
        screen.type("/top")
        screen.keys("Tab")
        window.say("by completion")
        window.shows("alice set the topic of #lobby: by completion")
        secret = bob.send("#lobby", "a password by mistake").wait(WAIT)
        window.shows("a password by mistake")
        window.say(f"/redact {secret.seq} by mistake")
        shown = window.shows(f"alice erased message {secret.seq}: by mistake")
        assert "a password" not in shown
        # All is selected and replaced, as in other programs; F6 goes on where Tab would complete.
        screen.type("old words")
        screen.keys("ctrl+a")
        screen.type("new words")
        screen.keys("F6", "F6", "F6", "F6", "Return")
        assert heard(bob, "new words").user == "alice"


def test_a_call_is_told_to_the_desktop_until_that_is_switched_off(
    screen: Display, daemon: Daemon, bob: Client, tmp_path: Path
) -> None:
    told = tmp_path / "told"
    (tmp_path / "notify-send").write_text(f'#!/bin/sh\nprintf "%s\\n" "$@" >> {told}\n')
    (tmp_path / "notify-send").chmod(0o755)
    environ = {**daemon.environ, "PATH": f"{tmp_path}{os.pathsep}{os.environ['PATH']}"}
    identity = str(daemon.identity("alice", "console"))
    for expected in (True, False):
        told.unlink(missing_ok=True)
        before = screen.windows("chatd")
        with started(screen, environ, "--identity", identity) as process:
            window = Opened(screen, process, "chatd", before)
            window.titled("^#lobby")
            window.shows("bob")
            screen.unfocus()
            bob.send("@alice", "look at <this>").wait(WAIT)
            window.titled(r"^\(1\) #lobby")
            if expected:
                wait_until(told.exists, what="the notification")
                wait_until(lambda: "look at &lt;this&gt;\n" in told.read_text(), what="all of it")
            assert told.exists() == expected
            screen.focus(window.id)
            # The menu: Notifications is the third from the end; remembered for the second turn.
            screen.keys("F10", "Up", "Up", "Up", "Return")
            window.quit()


def test_after_a_ban_one_connects_again(screen: Display, daemon: Daemon, bob: Client) -> None:
    with opened(screen, daemon, "carol") as window:
        window.titled("^#lobby")
        window.shows("bob")
        daemon.chatctl("ban", "carol", "--for", "2h", "--reason", "rough words", "--yes")
        window.shows("the connection ended")
        assert "rough words" in window.text()
        daemon.chatctl("unban", "carol")
        # "Connect again" stands in the lower right corner, above the reason.
        for y in range(590, 650, 8):
            screen.click(window.id, 980, y)
        window.say("back again")
        assert heard(bob, "back again").user == "carol"
        window.quit()


def test_the_first_run_explains_files_that_are_none(screen: Display, daemon: Daemon, tmp_path: Path) -> None:
    daemon.chatd("user", "add", "frank", "--device", "pad", "--out", str(tmp_path / "frank.pem"))
    (tmp_path / "wrong.pem").write_text("not an identity")
    config = tmp_path / "config" / "chatd"
    config.mkdir(parents=True)
    # What is there already cannot be used; it makes room.
    (config / "identity.pem").write_text("damaged")
    environ = {**daemon.environ, "XDG_CONFIG_HOME": str(tmp_path / "config"), "HOME": str(tmp_path)}
    with started(screen, environ) as process:
        window = Opened(screen, process, "Welcome", set())
        for name in ("wrong.pem", "frank.pem"):
            assert sorted(path.name for path in config.iterdir()) == ["identity.pem"]
            screen.keys("ctrl+a")
            screen.type(str(tmp_path / name))
            screen.keys("Return")
        window.titled("^#lobby")
    assert read_identity(config / "identity.pem").user == "frank"
    assert (config / "identity.pem.old").read_text() == "damaged"


def test_drafts_stay_with_their_rooms_and_looks_are_remembered(
    screen: Display, daemon: Daemon, bob: Client
) -> None:
    bob.request("create", room="#drafts")
    kept = Path(daemon.environ["XDG_STATE_HOME"]) / "chatd" / "window.json"
    with opened(screen, daemon, "carol", "--room", "drafts") as window:
        window.titled("^#drafts")
        window.shows("carol joined #drafts")
        screen.type("half a thought")
        screen.keys("ctrl+k")
        screen.type("lobby")
        screen.keys("Return")
        window.titled("^#lobby")
        window.say("said elsewhere")
        heard(bob, "said elsewhere")
        screen.keys("ctrl+k")
        screen.type("drafts")
        screen.keys("Return")
        window.titled("^#drafts")
        window.say(", finished")
        assert heard(bob, "half a thought, finished").room == "#drafts"
        screen.keys("ctrl+t", "ctrl+plus", "ctrl+plus")
        window.quit()
    before = json.loads(kept.read_text())
    assert before["points"] == 12
    with opened(screen, daemon, "carol", "--room", "drafts") as window:
        window.shows("carol joined #drafts")
        window.quit()
    assert json.loads(kept.read_text()) == before
    with opened(screen, daemon, "carol", "--room", "drafts") as window:
        window.shows("carol joined #drafts")
        screen.keys("ctrl+t", "ctrl+0")
        window.quit()
    assert json.loads(kept.read_text()) == {**before, "theme": OTHER[before["theme"]], "points": 10}


def test_a_server_that_stands_still_does_not_hold_up_the_window(
    screen: Display, daemon: Daemon, bob: Client
) -> None:
    with opened(screen, daemon, "alice", device="console") as window:
        window.titled("^#lobby")
        window.shows("bob")
        stopped = [
            child["pid"] for child in daemon.status()["children"] if child["kind"] in ("hub", "worker")
        ]
        for pid in stopped:
            os.kill(pid, signal.SIGSTOP)
        try:
            window.say("said to nobody yet")
            assert "sending" in window.shows("said to nobody yet")
            window.say("/help quit")
            assert "sending" in window.shows("leave the chat")
        finally:
            for pid in stopped:
                try:
                    os.kill(pid, signal.SIGCONT)
                except ProcessLookupError:
                    pass  # the supervisor has given up on it
        heard(bob, "said to nobody yet")
        window.quit()
