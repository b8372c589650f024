"""Unsent input is kept from one run to the next: real daemon, real X server, real keys."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from chatctl.client import Client, read_identity, state_folder
from chatctl.window.drafts import FILE_NAME
from tests.support.daemon import Daemon, wait_until
from tests.support.windows import WAIT, chat_window, wait_for_message
from tests.support.xvfb import Display, missing

pytestmark = pytest.mark.skipif(bool(missing()), reason=f"windows cannot be tested here: {missing()}")


def read_drafts(path: Path) -> dict[str, str]:
    found: dict[str, str] = json.loads(path.read_text()) if path.exists() else {}
    return found


def test_drafts_are_restored_and_sent_once(screen: Display, daemon: Daemon, bob: Client) -> None:
    path = state_folder(read_identity(daemon.identity("carol")), daemon.environ) / FILE_NAME
    bob.request("create", room="#attic")
    with chat_window(screen, daemon, "carol", room="attic") as window:
        window.wait_for_text("carol joined #attic")
        screen.type("half a thought")
        window.go_to("lobby")
        screen.type("another")
        screen.keys("shift+Return")
        screen.type("half")
        window.quit()
    assert read_drafts(path) == {"#lobby": "another\nhalf", "#attic": "half a thought"}
    assert path.stat().st_mode & 0o777 == 0o600
    with chat_window(screen, daemon, "carol", room="attic") as window:
        window.say(", finished")
        assert wait_for_message(bob, "half a thought, finished").room == "#attic"
        # Drafts are saved while the window runs: it may be killed.
        wait_until(
            lambda: read_drafts(path) == {"#lobby": "another\nhalf"}, what="the sent draft to be removed"
        )
        screen.type("typed before the end")
        wait_until(lambda: "#attic" in read_drafts(path), what="the new draft")
        wait_until(lambda: read_drafts(path)["#attic"] == "typed before the end", what="the whole draft")
        window.process.kill()
        window.process.wait(WAIT)
    with chat_window(screen, daemon, "carol") as window:
        window.wait_for_text("carol")
        screen.keys("Return")
        assert wait_for_message(bob, "another\nhalf").room == "#lobby"
        window.go_to("attic")
        screen.keys("Return")
        assert wait_for_message(bob, "typed before the end").room == "#attic"
        window.quit()
    assert not os.path.lexists(path)
