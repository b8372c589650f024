"""When the hub commits."""

from __future__ import annotations

import pytest

from chatd.hub.commit_policy import FULL_BATCH, PAUSE_COMMITS, CommitPolicy


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def test_the_first_event_after_a_pause_is_committed_at_once(clock: Clock) -> None:
    policy = CommitPolicy(0.005, clock)
    assert policy.wait_seconds(1) == 0
    policy.committed(1)
    clock.now += 0.005
    assert policy.wait_seconds(1) == 0


def test_events_soon_after_a_commit_wait_for_more(clock: Clock) -> None:
    policy = CommitPolicy(0.005, clock)
    policy.committed(1)
    clock.now += 0.002
    assert policy.wait_seconds(1) == pytest.approx(0.003)
    clock.now += 0.002
    assert policy.wait_seconds(2) == pytest.approx(0.001)
    clock.now += 0.001
    assert policy.wait_seconds(2) == 0


@pytest.mark.parametrize(("seconds", "waiting"), [(0.0, 1), (0.005, 0), (0.005, FULL_BATCH)])
def test_nothing_to_gain_is_not_waited_for(clock: Clock, seconds: float, waiting: int) -> None:
    policy = CommitPolicy(seconds, clock)
    policy.committed(1)
    assert policy.wait_seconds(waiting) == 0


def test_waiting_in_vain_is_not_repeated_for_a_while(clock: Clock) -> None:
    policy = CommitPolicy(0.005, clock)
    policy.committed(1)
    assert policy.wait_seconds(1) > 0
    policy.committed(1)
    for _ in range(PAUSE_COMMITS):
        assert policy.wait_seconds(1) == 0
        policy.committed(1)
    assert policy.wait_seconds(1) > 0


def test_waiting_that_gained_something_is_repeated(clock: Clock) -> None:
    policy = CommitPolicy(0.005, clock)
    policy.committed(1)
    assert policy.wait_seconds(1) > 0
    policy.committed(2)
    assert policy.wait_seconds(1) > 0


def test_an_empty_commit_counts_for_nothing(clock: Clock) -> None:
    policy = CommitPolicy(0.005, clock)
    policy.committed(0)
    assert policy.wait_seconds(1) == 0


def test_a_small_batch_grows_without_being_looked_at(clock: Clock) -> None:
    policy = CommitPolicy(0.005, clock)
    assert policy.sleep_seconds(1) == 0  # due at once
    policy.committed(FULL_BATCH - 1)
    clock.now += 0.002
    assert policy.sleep_seconds(1) == pytest.approx(0.003)
    assert policy.sleep_seconds(0) == 0  # nothing to wait for: whoever asks is answered


def test_a_busy_hub_looks_at_what_arrives(clock: Clock) -> None:
    policy = CommitPolicy(0.005, clock)
    policy.committed(FULL_BATCH)
    clock.now += 0.002
    assert policy.sleep_seconds(1) == 0
    assert policy.wait_seconds(1) == pytest.approx(0.003)
    policy.committed(FULL_BATCH - 1)
    assert policy.sleep_seconds(1) > 0
