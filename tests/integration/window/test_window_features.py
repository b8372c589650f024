"""Completion, notifications, drafts and a narrow window: real daemon, real X server, real keys."""

from __future__ import annotations

import json
import os
import signal
import time
from pathlib import Path

import pytest

from chatctl.client import Client
from chatd.pki.identity import read_identity
from tests.support.daemon import Daemon, wait_until
from tests.support.joining import invite
from tests.support.windows import WAIT, ChatWindow, chat_window, titled_window, wait_for_message
from tests.support.xvfb import Display, missing

pytestmark = pytest.mark.skipif(bool(missing()), reason=f"windows cannot be tested here: {missing()}")
OTHER = {"light": "dark", "dark": "light"}


def test_tab_completes_and_redacted_messages_disappear(screen: Display, daemon: Daemon, bob: Client) -> None:
    with chat_window(screen, daemon, "alice", device="console") as window:
        window.wait_for_text("bob")
        screen.type("for bo")
        screen.keys("Tab")
        window.say("done")
        assert wait_for_message(bob, "for bob done").user == "alice"
        screen.type("/top")
        screen.keys("Tab")
        window.say("by completion")
        window.wait_for_text("alice set the topic of #lobby: by completion")
        secret = bob.send("#lobby", "a password by mistake").wait(WAIT)
        window.wait_for_text("a password by mistake")
        window.say(f"/redact {secret.seq} by mistake")
        shown = window.wait_for_text(f"alice deleted message {secret.seq} of bob: by mistake")
        assert "a password" not in shown
        # Ctrl+A selects everything, typing replaces it. F6 moves the focus where Tab would complete.
        screen.type("old words")
        screen.keys("ctrl+a")
        screen.type("new words")
        screen.keys("F6", "F6", "F6", "F6", "Return")
        assert wait_for_message(bob, "new words").user == "alice"


def test_typing_replaces_refused_input(screen: Display, daemon: Daemon, bob: Client) -> None:
    with chat_window(screen, daemon, "alice", device="console") as window:
        window.wait_for_text("bob")
        window.say("/jion #lobby")
        window.wait_for_text("there is no command /jion; did you mean /join?")
        window.say("said after it")
        assert wait_for_message(bob, "said after it").user == "alice"
        screen.keys("Up", "Up", "Home", "Delete")
        window.say("")
        assert wait_for_message(bob, "jion #lobby").user == "alice"
        # A refused message returns to the input; typing replaces it.
        window.say("please drop it")
        window.wait_for_text("not sent: please drop it")
        window.say("kindly")
        assert wait_for_message(bob, "kindly").user == "alice"
        window.quit()


def test_mentions_notify_the_desktop_until_switched_off(
    screen: Display, daemon: Daemon, bob: Client, tmp_path: Path
) -> None:
    notified = tmp_path / "notified"
    (tmp_path / "notify-send").write_text(f'#!/bin/sh\nprintf "%s\\n" "$@" >> {notified}\n')
    (tmp_path / "notify-send").chmod(0o755)
    environ = {**daemon.environ, "PATH": f"{tmp_path}{os.pathsep}{os.environ['PATH']}"}
    for expected in (True, False):
        notified.unlink(missing_ok=True)
        with chat_window(screen, daemon, "alice", device="console", environ=environ) as window:
            window.wait_for_text("bob")
            screen.unfocus()
            unread = window.unread
            bob.send("@alice", "look at <this>").wait(WAIT)
            wait_until(lambda: window.unread == unread + 1, what="the unread count")  # noqa: B023 - not kept
            if expected:
                wait_until(notified.exists, what="the notification")
                wait_until(
                    lambda: "look at &lt;this&gt;\n" in notified.read_text(), what="the whole notification"
                )
            assert notified.exists() == expected
            screen.focus(window.id)
            # Notifications is the third menu entry from the end; the next run remembers the choice.
            screen.keys("F10", "Up", "Up", "Up", "Return")
            window.quit()


def test_a_banned_user_can_connect_again_later(screen: Display, daemon: Daemon, bob: Client) -> None:
    with chat_window(screen, daemon, "carol") as window:
        window.wait_for_text("bob")
        daemon.chatctl("ban", "carol", "--for", "2h", "--reason", "rough words", "--yes")
        window.wait_for_text("the connection ended")
        assert "rough words" in window.text()
        daemon.chatctl("unban", "carol")
        # "Connect again" is in the lower right corner, above the reason.
        for y in range(590, 650, 8):
            screen.click(window.id, 980, y)
        window.say("back again")
        assert wait_for_message(bob, "back again").user == "carol"
        window.quit()


def test_the_first_run_refuses_a_file_without_an_identity(
    screen: Display, daemon: Daemon, tmp_path: Path
) -> None:
    daemon.chatd("user", "add", "frank", "--device", "pad", "--out", str(tmp_path / "frank.pem"))
    (tmp_path / "wrong.pem").write_text("not an identity")
    config = tmp_path / "config" / "chatd"
    config.mkdir(parents=True)
    # An unusable identity is renamed.
    (config / "identity.pem").write_text("damaged")
    environ = {**daemon.environ, "XDG_CONFIG_HOME": str(tmp_path / "config"), "HOME": str(tmp_path)}
    with titled_window(screen, environ, "Welcome") as window:
        for name in ("wrong.pem", "frank.pem"):
            assert sorted(path.name for path in config.iterdir()) == ["identity.pem"]
            screen.keys("ctrl+a")
            screen.type(str(tmp_path / name))
            screen.keys("Return")
        window.wait_for_room("#lobby")
    assert read_identity(config / "identity.pem").user == "frank"
    assert (config / "identity.pem.old").read_text() == "damaged"


def test_drafts_stay_with_their_rooms_and_preferences_are_saved(
    screen: Display, daemon: Daemon, bob: Client
) -> None:
    bob.request("create", room="#drafts")
    preferences = Path(daemon.environ["XDG_STATE_HOME"]) / "chatd" / "window.json"
    with chat_window(screen, daemon, "carol", room="drafts") as window:
        window.wait_for_text("carol joined #drafts")
        screen.type("half a thought")
        window.go_to("lobby")
        window.say("said elsewhere")
        wait_for_message(bob, "said elsewhere")
        window.go_to("drafts")
        window.say(", finished")
        assert wait_for_message(bob, "half a thought, finished").room == "#drafts"
        screen.keys("ctrl+t", "ctrl+plus", "ctrl+plus")
        window.quit()
    before = json.loads(preferences.read_text())
    assert before["points"] == 12
    with chat_window(screen, daemon, "carol", room="drafts") as window:
        window.wait_for_text("carol joined #drafts")
        window.quit()
    assert json.loads(preferences.read_text()) == before
    with chat_window(screen, daemon, "carol", room="drafts") as window:
        window.wait_for_text("carol joined #drafts")
        screen.keys("ctrl+t", "ctrl+0")
        window.quit()
    assert json.loads(preferences.read_text()) == {**before, "theme": OTHER[before["theme"]], "points": 10}


def test_a_stopped_server_does_not_block_the_window(screen: Display, daemon: Daemon, bob: Client) -> None:
    with chat_window(screen, daemon, "alice", device="console") as window:
        window.wait_for_text("bob")
        stopped = [
            child["pid"] for child in daemon.status()["children"] if child["kind"] in ("hub", "worker")
        ]
        for pid in stopped:
            os.kill(pid, signal.SIGSTOP)
        try:
            window.say("said to nobody yet")
            assert "sending" in window.wait_for_text("said to nobody yet")
            window.say("/help quit")
            assert "sending" in window.wait_for_text("leave the chat")
        finally:
            for pid in stopped:
                try:
                    os.kill(pid, signal.SIGCONT)
                except ProcessLookupError:
                    pass  # the supervisor has killed it
        wait_for_message(bob, "said to nobody yet")
        window.quit()


def test_a_narrow_window_shows_the_rooms_on_request(screen: Display, daemon: Daemon, bob: Client) -> None:
    bob.request("create", room="#above")
    with chat_window(screen, daemon, "carol", room="above") as window:
        window.wait_for_text("carol joined #above")
        window.go_to("lobby")
        screen.xdotool("windowsize", "--sync", window.id, "360", "500")
        screen.focus(window.id)

        def chosen() -> bool:
            """Choose the room in the list, which replaces the conversation in a narrow window."""
            screen.focus(window.id)
            screen.keys("Escape", "F6", "Home", "Up", "Up", "Up", "Return")
            return window.room == "#above"

        wait_until(chosen, what="#above")
        window.say("chosen by keys")
        assert wait_for_message(bob, "chosen by keys").room == "#above"
        screen.keys("F6", "Escape")
        window.say("closed by Escape")
        wait_for_message(bob, "closed by Escape")
        window.quit()


def test_the_window_of_a_revoked_device_takes_a_new_invite(
    screen: Display, daemon: Daemon, tmp_path: Path
) -> None:
    config = tmp_path / "config" / "chatd"
    environ = {**daemon.environ, "XDG_CONFIG_HOME": str(tmp_path / "config"), "HOME": str(tmp_path)}

    def give_invite(window: ChatWindow) -> None:
        screen.type(invite(daemon, "grace"))
        # The first shows the server's fingerprint, a second one starts.
        while window.room != "#lobby":
            screen.keys("Return")
            time.sleep(0.5)

    with titled_window(screen, environ, "Welcome") as window:
        give_invite(window)
        screen.type("half a thought")
        daemon.chatctl("revoke", "grace", "--all", "--yes")
        window.wait_for_text("the connection ended")
        welcomes = screen.windows("Welcome")
        # "New invite" is in the lower right corner, above the reason.
        window.click_until((config / "identity.pem.old").exists, 980, range(590, 650, 8))
        again = ChatWindow(screen, window.process, "Welcome", welcomes)
        give_invite(again)
        # The draft is in the input again.
        screen.keys("Return")
        again.wait_for_text("half a thought")
    assert read_identity(config / "identity.pem").user == "grace"
