"""What is typed and not sent outlives the window: real daemon, real X server, real keys."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from chatctl.client import Client, read_identity, state_folder
from chatctl.window.drafts import FILE_NAME
from tests.support.daemon import Daemon, wait_until
from tests.support.windows import WAIT, heard, opened
from tests.support.xvfb import Display, missing

pytestmark = pytest.mark.skipif(bool(missing()), reason=f"windows cannot be tested here: {missing()}")


def kept(path: Path) -> dict[str, str]:
    found: dict[str, str] = json.loads(path.read_text()) if path.exists() else {}
    return found


def test_drafts_are_there_again_and_sent_once(screen: Display, daemon: Daemon, bob: Client) -> None:
    path = state_folder(read_identity(daemon.identity("carol")), daemon.environ) / FILE_NAME
    bob.request("create", room="#attic")
    with opened(screen, daemon, "carol", "--room", "attic") as window:
        window.at("#attic")
        window.shows("carol joined #attic")
        screen.type("half a thought")
        window.go("lobby")
        screen.type("another")
        screen.keys("shift+Return")
        screen.type("half")
        window.quit()
    assert kept(path) == {"#lobby": "another\nhalf", "#attic": "half a thought"}
    assert path.stat().st_mode & 0o777 == 0o600
    with opened(screen, daemon, "carol", "--room", "attic") as window:
        window.at("#attic")
        window.say(", finished")
        assert heard(bob, "half a thought, finished").room == "#attic"
        # Not only when the window is closed: it may never be.
        wait_until(lambda: kept(path) == {"#lobby": "another\nhalf"}, what="the sent one to be forgotten")
        screen.type("typed before the end")
        wait_until(lambda: "#attic" in kept(path), what="the new one")
        wait_until(lambda: kept(path)["#attic"] == "typed before the end", what="all of it")
        window.process.kill()
        window.process.wait(WAIT)
    with opened(screen, daemon, "carol") as window:
        window.at("#lobby")
        window.shows("carol")
        screen.keys("Return")
        assert heard(bob, "another\nhalf").room == "#lobby"
        window.go("attic")
        screen.keys("Return")
        assert heard(bob, "typed before the end").room == "#attic"
        window.quit()
    assert not os.path.lexists(path)
