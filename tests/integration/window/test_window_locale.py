"""The window in a locale that is not UTF-8: real daemon, real X server."""

from __future__ import annotations

import pytest

from chatctl.client import Client
from tests.support.daemon import Daemon
from tests.support.windows import WAIT, chat_window, wait_for_message
from tests.support.xvfb import Display, missing

pytestmark = pytest.mark.skipif(bool(missing()), reason=f"windows cannot be tested here: {missing()}")


def test_the_window_shows_foreign_characters_in_the_c_locale(
    screen: Display, daemon: Daemon, bob: Client
) -> None:
    environ = {**daemon.environ, "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    with chat_window(screen, daemon, "alice", device="console", environ=environ) as window:
        window.wait_for_text("bob")
        bob.send("#lobby", "\N{SNOWMAN} gr\u00fc\u00dfe").wait(WAIT)
        window.wait_for_text("\N{SNOWMAN} gr\u00fc\u00dfe")
        window.say("seen")
        assert wait_for_message(bob, "seen").user == "alice"
        assert window.quit() == ""
