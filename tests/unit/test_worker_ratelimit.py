"""The token bucket."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chatd.worker.ratelimit import TokenBucket


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
    bucket.change(10.0, 5)
    assert [bucket.take(0.0) for _ in range(5)] == [0.0, 0.0, 0.0, 0.0, 0.1]
    bucket.change(1.0, 1)
    assert bucket.take(100.0) == 0.0
    assert bucket.take(100.0) == 1.0


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
