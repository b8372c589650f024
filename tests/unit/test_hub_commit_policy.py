"""The commit policy: when the hub waits for more events before a commit."""

from __future__ import annotations

import pytest

from chatd.hub.commit_policy import FULL_BATCH, FULL_BYTES, PAUSE_COMMITS, CommitPolicy


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
def test_a_commit_that_gains_nothing_by_waiting_is_due_at_once(
    clock: Clock, seconds: float, waiting: int
) -> None:
    policy = CommitPolicy(seconds, clock)
    policy.committed(1)
    assert policy.wait_seconds(waiting) == 0


def test_gathering_pauses_after_a_wait_that_gained_nothing(clock: Clock) -> None:
    policy = CommitPolicy(0.005, clock)
    policy.committed(1)
    assert policy.wait_seconds(1) > 0
    policy.committed(1)
    for _ in range(PAUSE_COMMITS):
        assert policy.wait_seconds(1) == 0
        policy.committed(1)
    assert policy.wait_seconds(1) > 0


def test_gathering_continues_after_a_wait_that_gained_events(clock: Clock) -> None:
    policy = CommitPolicy(0.005, clock)
    policy.committed(1)
    assert policy.wait_seconds(1) > 0
    policy.committed(2)
    assert policy.wait_seconds(1) > 0


def test_an_empty_commit_does_not_start_gathering(clock: Clock) -> None:
    policy = CommitPolicy(0.005, clock)
    policy.committed(0)
    assert policy.wait_seconds(1) == 0


def test_the_hub_sleeps_until_a_small_batch_is_due(clock: Clock) -> None:
    policy = CommitPolicy(0.005, clock)
    assert policy.sleep_seconds(1) == 0  # due at once
    policy.committed(FULL_BATCH - 1)
    clock.now += 0.002
    assert policy.sleep_seconds(1) == pytest.approx(0.003)
    assert policy.sleep_seconds(0) == 0  # nothing is uncommitted: do not delay reads


def test_a_busy_hub_reads_requests_while_it_gathers(clock: Clock) -> None:
    policy = CommitPolicy(0.005, clock)
    policy.committed(FULL_BATCH)
    clock.now += 0.002
    assert policy.sleep_seconds(1) == 0
    assert policy.wait_seconds(1) == pytest.approx(0.003)
    policy.committed(FULL_BATCH - 1)
    assert policy.sleep_seconds(1) > 0


def test_gathering_ends_when_arrivals_pause(clock: Clock) -> None:
    policy = CommitPolicy(0.025, clock)
    policy.committed(1)
    for _ in range(200):
        clock.now += 0.0001
        policy.arrived(1)
    assert 0 < policy.sleep_seconds(40) < 0.002
    clock.now += policy.sleep_seconds(40)
    policy.look(0)
    assert policy.sleep_seconds(40) == 0
    policy.arrived(1)  # what is read now belongs to this batch, which is due
    assert policy.wait_seconds(41) == 0


def test_gathering_goes_on_while_bytes_arrive_unread(clock: Clock) -> None:
    policy = CommitPolicy(0.025, clock)
    policy.committed(1)
    for _ in range(200):
        clock.now += 0.0001
        policy.arrived(1)
    for number in range(1, 5):
        clock.now += policy.sleep_seconds(2)
        policy.look(number * 300)
        assert policy.sleep_seconds(2) > 0
    clock.now += policy.sleep_seconds(2)
    policy.look(4 * 300)
    assert policy.sleep_seconds(2) == 0


def test_as_many_unread_bytes_as_a_full_batch_end_the_gathering(clock: Clock) -> None:
    policy = CommitPolicy(0.025, clock)
    policy.committed(1)
    policy.arrived(1)
    assert policy.sleep_seconds(1) > 0
    policy.look(FULL_BYTES)
    assert policy.sleep_seconds(1) == 0
