"""Formatting of `chatctl top`: rates, sparklines, terminals of any size, hostile servers."""

from __future__ import annotations

from typing import Any

import pytest
from wcwidth import wcswidth

from chatctl.admin.top_format import ASCII_BARS, HISTORY_LENGTH, Sample, StatsHistory, fit, sparkline
from chatd.proto.text import visible
from tests.support.hostile import TEXTS

HUB = {"name": "hub", "state": "running", "cpu": 12.3, "rss": 50 * 2**20, "threads": 9, "restarts": 1}


def stats(accepted: int = 0, **more: Any) -> dict[str, Any]:
    return {
        "server": "lab",
        "version": "0.1.0",
        "uptime": 7200,
        "connections": {"now": 51, "total": 60, "limit": 500},
        "messages": {"accepted": accepted, "delivered": accepted * 10, "filtered": 3, "refused": 1},
        "box": {"cpu": 23.4, "memory": 41.0},
        "processes": [HUB],
        **more,
    }


def history(*samples: Sample) -> StatsHistory:
    added = StatsHistory()
    for sample in samples:
        added.add(sample)
    return added


@pytest.mark.parametrize(
    ("values", "width", "top", "expected"),
    [
        ((), 8, 0, ""),
        ((0, 0), 8, 0, "__"),
        ((0, 7, 8), 8, 0, "_##"),
        ((1, 2, 3, 4, 5, 6), 4, 0, "=+*#"),
        ((50,), 8, 100, "="),
        ((200,), 8, 100, "#"),
        ((1, 2), 3, 0, ""),
        ((1, 2), -5, 0, ""),
    ],
)
def test_a_sparkline_scales_the_last_values(
    values: tuple[float, ...], width: int, top: float, expected: str
) -> None:
    assert sparkline(values, width, ASCII_BARS, top) == expected


@pytest.mark.parametrize(
    ("before", "after", "seconds", "rate"),
    [(100, 125, 2.0, 12.5), (100, 100, 2.0, 0.0), (100, 5, 2.0, 0.0), (0, 5, 0.0, 0.0)],
    ids=["grows", "unchanged", "restarts with the hub", "no time"],
)
def test_rates_are_computed_from_two_samples(before: int, after: int, seconds: float, rate: float) -> None:
    shown = history(Sample(10.0, 1.0, stats(before)), Sample(10.0 + seconds, 1.4, stats(after)))
    assert shown.latest is not None
    assert (shown.latest.accepted, shown.latest.delivered) == (rate, rate * 10)
    data = shown.latest.as_json()
    assert (data["accepted_per_second"], data["latency_ms"], data["processes"]) == (rate, 1.4, [HUB])


def test_the_page_has_counters_rates_and_processes() -> None:
    page = history(Sample(0, 1.0, stats(0)), Sample(2, 1.4, stats(25))).lines(80, 24, note="q quits")
    assert page == [
        "lab  chatd 0.1.0  up 2h  q quits",
        "connections   51 of 500       ██",
        "accepted      12.5/s          ▁█",
        "delivered     125.0/s         ▁█",
        "latency       1.4 ms          ▆█",
        "filtered      3, refused 1",
        "box           cpu 23%, memory 41%",
        "",
        "process  state       cpu    rss  threads restarts",
        "hub      running     12%    50M        9        1  ▁▁",
    ]


@pytest.mark.parametrize("width", [1, 5, 20, 40, 79, 300])
@pytest.mark.parametrize("height", [1, 5, 50])
def test_lines_fit_any_size(width: int, height: int) -> None:
    many = stats(processes=[{**HUB, "name": f"worker-{n}"} for n in range(40)])
    samples = (Sample(n, 1.0, many) for n in range(2 * HISTORY_LENGTH))
    page = history(*samples).lines(width, height, note="日本" * 40)
    assert len(page) == min(height, 49)
    assert all(wcswidth(line) <= width for line in page)


def test_hostile_or_malformed_stats_are_shown_escaped() -> None:
    values: list[Any] = [*TEXTS.values(), None, 5, [], {"now": "x"}]
    for hostile in values:
        keys = ("server", "version", "uptime", "connections", "messages", "box")
        sent = stats(**dict.fromkeys(keys, hostile), processes=[dict.fromkeys(HUB, hostile), hostile])
        for line in history(Sample(0, 1.0, sent), Sample(1, 1.0, sent)).lines(200, 50):
            assert line == visible(line, newlines=False)
    assert history(Sample(0, 1.0, {})).lines(80, 24)


def test_only_the_note_is_shown_before_the_first_sample() -> None:
    assert StatsHistory().lines(10, 5, note="not connected: x") == ["not connec"]


def test_fit_cuts_at_a_number_of_columns() -> None:
    assert fit("日本語", 5) == "日本"
