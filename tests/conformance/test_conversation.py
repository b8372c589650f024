"""Every client passes the same conversation against a live server while its workers are killed."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.conformance.conversation_script import check, run_conversation
from tests.conformance.driver import Driver
from tests.conformance.programs import BotDriver, LibraryDriver, PlainDriver, ScriptsDriver
from tests.conformance.screens import LineDriver, WindowDriver, missing_terminal
from tests.support.daemon import Daemon
from tests.support.xvfb import missing as missing_display

DRIVERS: list[type[Driver]] = [LibraryDriver, PlainDriver, ScriptsDriver, BotDriver, LineDriver, WindowDriver]


@pytest.mark.parametrize("kind", DRIVERS, ids=lambda kind: kind.name)
def test_the_conversation(daemon: Daemon, tmp_path: Path, kind: type[Driver]) -> None:
    reason = {"line": missing_terminal, "window": missing_display}.get(kind.name, str)()
    if reason:
        pytest.skip(reason)
    daemon.add_user("bob")
    daemon.add_user("sam")
    outcome = run_conversation(daemon, kind(daemon, "sam", tmp_path))
    check(outcome)
