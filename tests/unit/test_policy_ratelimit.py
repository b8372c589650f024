"""The token bucket."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chatd.policy.ratelimit import TokenBucket


def test_a_burst_is_available_at_once_and_more_tokens_at_the_rate() -> None:
    bucket = TokenBucket(rate=2.0, burst=3)
    assert [bucket.take(100.0) for _ in range(3)] == [0.0, 0.0, 0.0]
    assert bucket.take(100.0) == pytest.approx(0.5)
    assert bucket.take(100.25) == pytest.approx(0.25)
    assert bucket.take(100.5) == 0.0
    assert bucket.take(100.5) == pytest.approx(0.5)


def test_an_idle_bucket_holds_no_more_than_the_burst() -> None:
    bucket = TokenBucket(rate=1.0, burst=2)
    assert bucket.take(0.0) == 0.0
    assert [bucket.take(1e6) for _ in range(3)] == [0.0, 0.0, 1.0]


def test_a_refused_request_takes_no_token() -> None:
    bucket = TokenBucket(rate=1.0, burst=1)
    bucket.take(0.0)
    assert [bucket.take(0.5) for _ in range(5)] == [0.5] * 5
    assert bucket.take(1.0) == 0.0


def test_a_request_that_costs_more_than_the_burst_takes_all_tokens() -> None:
    bucket = TokenBucket(rate=1.0, burst=2)
    assert bucket.take(0.0, 5) == 0.0
    assert bucket.take(0.0, 5) == 2.0


def test_a_changed_rate_applies_at_once() -> None:
    bucket = TokenBucket(rate=1.0, burst=1)
    bucket.take(0.0)
    bucket.change(0.0, 10.0, 5)
    assert [bucket.take(0.0) for _ in range(5)] == [0.0, 0.0, 0.0, 0.0, 0.1]
    bucket.change(0.0, 1.0, 1)
    assert bucket.take(100.0) == 0.0
    assert bucket.take(100.0) == 1.0


def test_a_change_leaves_no_more_than_the_given_tokens_and_counts_from_its_own_time() -> None:
    bucket = TokenBucket(rate=2.0, burst=10)
    bucket.change(100.0, 2.0, 10, at_most=-4.0)
    # Four seconds at 2 a second have passed since.
    assert bucket.level(104.0) == pytest.approx(4.0)
    bucket.change(104.0, 2.0, 10, at_most=9.0)
    assert bucket.level(104.0) == pytest.approx(4.0)


def test_the_last_of_several_changes_counts() -> None:
    bucket = TokenBucket(rate=1.0, burst=1)
    bucket.change(0.0, 3.0, 7, at_most=5.0)
    bucket.change(0.0, 5.0, 9, at_most=2.0)
    assert (bucket.level(0.0), bucket.rate, bucket.burst) == (2.0, 5.0, 9)


def test_a_charge_takes_tokens_that_are_not_there() -> None:
    bucket = TokenBucket(rate=2.0, burst=3)
    assert [bucket.charge(0.0, 2.0) for _ in range(3)] == [1.0, -1.0, -3.0]
    assert bucket.charge(0.0, 100.0) == -6.0  # a burst at most
    assert bucket.take(0.0) == pytest.approx(3.5)
    assert bucket.level(100.0) == 3.0


@pytest.mark.parametrize(("rate", "seconds"), [(10.0, 0.8), (0.5, 8.0)])
def test_another_rate_makes_a_debt_neither_larger_nor_longer(rate: float, seconds: float) -> None:
    bucket = TokenBucket(rate=1.0, burst=4)
    for _ in range(3):
        bucket.charge(0.0, 4.0)
    bucket.change(0.0, rate, 4)
    assert bucket.level(0.0) == pytest.approx(-rate * seconds)
    assert rate * seconds <= 8.0


@settings(deadline=None)
@given(
    st.floats(0.01, 1000),
    st.integers(1, 100),
    st.lists(st.tuples(st.floats(0, 10), st.floats(0.1, 5)), max_size=200),
)
def test_no_more_tokens_are_taken_than_rate_and_burst_allow(
    rate: float, burst: int, steps: list[tuple[float, float]]
) -> None:
    bucket = TokenBucket(rate, burst)
    now = taken = 0.0
    for pause, tokens in steps:
        now += pause
        wait = bucket.take(now, tokens)
        assert wait >= 0
        taken += min(tokens, burst) if wait == 0 else 0
    assert taken <= burst + rate * now + 1e-6 * (1 + taken)
