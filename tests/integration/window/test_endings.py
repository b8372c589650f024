"""How a room, a session, a message or a certificate ends in the window: real daemon, real X server."""

from __future__ import annotations

import pytest

from chatctl.client import Client
from tests.support.daemon import Daemon
from tests.support.windows import WAIT, opened
from tests.support.xvfb import Display, missing

pytestmark = pytest.mark.skipif(bool(missing()), reason=f"windows cannot be tested here: {missing()}")


def test_who_is_put_out_is_told_by_whom_and_why(screen: Display, daemon: Daemon, bob: Client) -> None:
    bob.request("create", room="#garden")
    with opened(screen, daemon, "carol", "--room", "garden") as window:
        window.at("#garden")
        window.shows("carol joined #garden")
        daemon.chatctl("kick", "carol", "--room", "garden", "--reason", "trod on flowers", "--yes")
        window.at("#lobby")
        window.shows("you were put out of #garden by alice: trod on flowers\n")
        daemon.chatctl("kick", "carol", "--reason", "and again", "--yes")
        assert ": and again; come back later" in window.shows("the connection ended: carol is kicked")
        daemon.chatctl("unban", "carol")
        window.quit()
