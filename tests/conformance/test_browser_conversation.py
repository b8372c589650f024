"""The page passes the conversation of all clients, while workers, hub, gateway and browser are killed."""

from __future__ import annotations

from pathlib import Path

from tests.conformance.browser_page import BrowserDriver
from tests.conformance.conversation_script import check, run_conversation
from tests.support.browser import require_chromium
from tests.support.https import gateway


def test_the_conversation_in_a_browser(tmp_path: Path) -> None:
    require_chromium()
    with gateway(tmp_path / "home") as (daemon, https):
        daemon.add_user("bob")
        check(run_conversation(daemon, BrowserDriver(daemon, "sam", tmp_path, https.port)))
