"""Formatting of durations and the table of processes."""

from __future__ import annotations

from typing import Any

import pytest

from chatd.console import format as fmt
from chatd.proto.durations import MAX_SECONDS


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0s"),
        (59.9, "59s"),
        (3600, "1h"),
        (90061, "1d1h"),
        (86405, "1d"),
        (MAX_SECONDS, "3660d"),
        (None, "-"),
    ],
)
def test_a_duration_is_shown_in_its_largest_units(seconds: Any, text: str) -> None:
    assert fmt.duration(seconds) == text


def test_the_table_of_processes_is_aligned_and_escaped() -> None:
    rows: list[dict[str, Any]] = [
        {"name": "hub", "state": "running", "pid": 7, "cpu": 1.6, "rss": 40 * 2**20, "uptime": 3700.2},
        {"name": "worker-\x1b", "state": "stopped", "pid": None, "threads": 12, "restarts": 3},
    ]
    assert fmt.processes(rows) == [
        "process      state    pid  cpu  rss  threads    up  restarts",
        "hub          running    7   2%  40M        -  1h1m         -",
        r"worker-\x1b  stopped    -    -    -       12     -         3",
    ]
    assert fmt.box({"cpu": 98.7}) == "cpu 99%, memory -"
