"""The systemd unit: how soon a supervisor is back, and that one that cannot live is left down."""

from __future__ import annotations

import configparser
import re
import shutil
import subprocess
from pathlib import Path

import pytest

UNIT = Path(__file__).parents[2] / "deploy" / "chatd.service"
_UNITS = {"": 1.0, "s": 1.0, "ms": 0.001}
# What systemd-analyze finds wrong on a box without chatd.
_NOT_HERE = "is not executable"


@pytest.fixture(scope="module")
def unit() -> configparser.ConfigParser:
    parser = configparser.ConfigParser(strict=False, interpolation=None)
    parser.read_string(UNIT.read_text("utf-8"))
    return parser


def seconds(text: str) -> float:
    found = re.fullmatch(r"(\d+)(ms|s|)", text)
    assert found is not None
    return int(found[1]) * _UNITS[found[2]]


def test_a_dead_supervisor_is_back_at_once_and_one_that_cannot_live_is_left_down(
    unit: configparser.ConfigParser,
) -> None:
    start, service = unit["Unit"], unit["Service"]
    pause, timeout = seconds(service["RestartSec"]), seconds(service["TimeoutStartSec"])
    burst, interval = int(start["StartLimitBurst"]), seconds(start["StartLimitIntervalSec"])
    assert service["Restart"] == "on-failure"
    assert 0 < pause <= 0.1
    # Few enough that it does not spin, enough to sit out a port that is free some seconds later.
    assert 5 <= burst <= 10
    # Starts that hang until their timeout are as many within the interval.
    assert burst * (timeout + pause) < interval


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="no systemd")
def test_systemd_understands_the_unit() -> None:
    command = ["systemd-analyze", "verify", str(UNIT)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    # It also speaks of other units of the box.
    told = [line for line in done.stderr.splitlines() if UNIT.name in line]
    assert [line for line in told if _NOT_HERE not in line] == []
