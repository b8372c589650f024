"""The share of a core that a process uses or waits for, and the window that follows it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatd.child.busyness import MEAN_SECONDS, SAMPLE_SECONDS, Busyness
from chatd.hub.commit_policy import FULL_SHARE, QUIET_SHARE, window_seconds
from chatd.hub.stats import WorkerTotals

LONGEST = 0.025


class Process:
    """A process that wants ``share`` of the time; the test moves the clock."""

    def __init__(self) -> None:
        self.now = self.wanted = 1000.0
        self.busyness = Busyness(lambda: self.wanted, lambda: self.now)

    def run(self, seconds: float, share: float) -> None:
        self.now += seconds
        self.wanted += seconds * share
        self.busyness.measure()


def test_a_steady_share_is_found_and_a_short_one_moves_it_little() -> None:
    process = Process()
    for _ in range(100):
        process.run(SAMPLE_SECONDS, 0.8)
    assert process.busyness.share == pytest.approx(0.8, abs=0.01)
    process.run(SAMPLE_SECONDS, 0.0)
    assert 0.65 < process.busyness.share < 0.8
    process.run(20 * MEAN_SECONDS, 0.1)
    assert process.busyness.share == pytest.approx(0.1, abs=0.01)


def test_it_is_not_measured_too_often() -> None:
    process = Process()
    process.now += SAMPLE_SECONDS / 2
    assert not process.busyness.measure()
    process.now += SAMPLE_SECONDS
    assert process.busyness.measure()


def test_several_threads_do_not_make_more_than_one_core() -> None:
    process = Process()
    for _ in range(100):
        process.run(1.0, 3.0)
    assert process.busyness.share == pytest.approx(1.0)


def test_this_process_is_measured_without_arguments() -> None:
    assert 0.0 <= Busyness().share <= 1.0


@given(st.floats(0, 1), st.floats(0, 1))
def test_the_window_grows_with_the_share_up_to_the_setting(one: float, other: float) -> None:
    low, high = sorted((one, other))
    assert 0.0 <= window_seconds(low, LONGEST) <= window_seconds(high, LONGEST) <= LONGEST


@pytest.mark.parametrize(
    ("share", "expected"),
    [(0.0, 0.0), (QUIET_SHARE, 0.0), (0.6, LONGEST / 2), (FULL_SHARE, LONGEST), (1.0, LONGEST)],
)
def test_the_window_at_known_shares(share: float, expected: float) -> None:
    assert window_seconds(share, LONGEST) == pytest.approx(expected)


def test_the_busiest_worker_counts_until_its_link_ends() -> None:
    totals = WorkerTotals()
    assert totals.busiest_share == 0.0
    totals.note("worker-1", {"busy_permille": 400})
    totals.note("worker-2", {"busy_permille": 700})
    assert totals.busiest_share == 0.7
    totals.lost("worker-2")
    assert totals.busiest_share == 0.4
