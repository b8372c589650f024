"""Every client passes the same conversation against a live server while its workers are killed."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.conformance.programs import BotSeat, LibrarySeat, PlainSeat, ScriptsSeat
from tests.conformance.screens import LineSeat, WindowSeat, missing_terminal
from tests.conformance.script import hold, judge
from tests.conformance.seat import Seat
from tests.support.daemon import Daemon
from tests.support.xvfb import missing as missing_display

SEATS: list[type[Seat]] = [LibrarySeat, PlainSeat, ScriptsSeat, BotSeat, LineSeat, WindowSeat]


@pytest.mark.parametrize("kind", SEATS, ids=lambda kind: kind.name)
def test_the_conversation(daemon: Daemon, tmp_path: Path, kind: type[Seat]) -> None:
    reason = {"line": missing_terminal, "window": missing_display}.get(kind.name, str)()
    if reason:
        pytest.skip(reason)
    daemon.add_user("bob")
    daemon.add_user("sam")
    outcome = hold(daemon, kind(daemon, "sam", tmp_path))
    judge(outcome)
