"""Attempts to log in: how many a second a block of addresses may make."""

from __future__ import annotations

import pytest

from chatd.child import attempts
from chatd.child.attempts import BURST_SECONDS, LoginAttempts

PER_SECOND = 3
BURST = PER_SECOND * BURST_SECONDS


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def limit(clock: Clock) -> LoginAttempts:
    return LoginAttempts(PER_SECOND, clock)


def allowed(limit: LoginAttempts, block: str, attempts: int) -> int:
    return sum(limit.allow(block) for _ in range(attempts))


def test_a_block_has_a_burst_and_then_its_rate(limit: LoginAttempts, clock: Clock) -> None:
    assert allowed(limit, "a", 10 * BURST) == BURST
    for _ in range(5):
        clock.now += 2
        assert allowed(limit, "a", 10 * BURST) == 2 * PER_SECOND
    clock.now += 1000
    assert allowed(limit, "a", 10 * BURST) == BURST


def test_a_flood_from_one_block_costs_another_nothing(limit: LoginAttempts) -> None:
    allowed(limit, "a", 10 * BURST)
    assert allowed(limit, "b", 10 * BURST) == BURST


def test_a_reload_changes_the_limit_of_blocks_that_are_remembered(limit: LoginAttempts, clock: Clock) -> None:
    allowed(limit, "a", 10 * BURST)
    limit.per_second = 10 * PER_SECOND
    assert allowed(limit, "a", 20 * BURST) == 9 * BURST
    clock.now += 1
    assert allowed(limit, "a", 20 * BURST) == 10 * PER_SECOND


def test_the_block_that_was_silent_for_longest_is_forgotten(
    limit: LoginAttempts, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(attempts, "BLOCKS", 3)
    for block in ("a", "b", "c", "a", "d"):
        allowed(limit, block, BURST)
    assert not limit.allow("a")
    assert not limit.allow("c")
    assert not limit.allow("d")
    assert limit.allow("b")
