"""The systemd unit: a dead supervisor is restarted at once, a crash loop ends."""

from __future__ import annotations

import configparser
import re
import shutil
import subprocess
from pathlib import Path

import pytest

UNIT = Path(__file__).parents[2] / "deploy" / "chatd.service"
_UNITS = {"": 1.0, "s": 1.0, "ms": 0.001}
# A complaint of systemd-analyze on a box without chatd.
_NOT_INSTALLED = "is not executable"


@pytest.fixture(scope="module")
def unit() -> configparser.ConfigParser:
    parser = configparser.ConfigParser(strict=False, interpolation=None)
    parser.read_string(UNIT.read_text("utf-8"))
    return parser


def seconds(text: str) -> float:
    found = re.fullmatch(r"(\d+)(ms|s|)", text)
    assert found is not None
    return int(found[1]) * _UNITS[found[2]]


def test_unit_restarts_at_once_but_ends_a_crash_loop(
    unit: configparser.ConfigParser,
) -> None:
    start, service = unit["Unit"], unit["Service"]
    pause, timeout = seconds(service["RestartSec"]), seconds(service["TimeoutStartSec"])
    burst, interval = int(start["StartLimitBurst"]), seconds(start["StartLimitIntervalSec"])
    assert service["Restart"] == "on-failure"
    assert 0 < pause <= 0.1
    # Few enough to end a crash loop soon, enough to wait for a port that becomes free within seconds.
    assert 5 <= burst <= 10
    # As many starts fit into the interval even if each one runs into its timeout.
    assert burst * (timeout + pause) < interval


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="no systemd")
def test_systemd_accepts_the_unit() -> None:
    command = ["systemd-analyze", "verify", str(UNIT)]
    result = subprocess.run(command, capture_output=True, text=True, timeout=60)
    # Its output also covers other units of the box.
    lines = [line for line in result.stderr.splitlines() if UNIT.name in line]
    assert [line for line in lines if _NOT_INSTALLED not in line] == []
