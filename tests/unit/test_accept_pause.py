"""A worker that has more than the others, or logins to compute, lets the others accept."""

from __future__ import annotations

import socket

import pytest

from chatd.child.listener import LOGIN_PAUSE_LIMIT, SURPLUS_PAUSE_LIMIT, accept_pause
from chatd.child.login_slots import LoginSlots


@pytest.mark.parametrize(("surplus", "logins"), [(0, 0), (1, 0), (0, 1), (1, 1), (-5, 1)])
def test_a_worker_with_no_more_than_its_share_accepts_at_once(surplus: int, logins: int) -> None:
    assert accept_pause(surplus, logins) == 0


def test_more_sessions_and_more_logins_make_a_longer_pause_within_limits() -> None:
    for most in range(2, 2000, 7):
        assert 0 < accept_pause(most, 0) <= SURPLUS_PAUSE_LIMIT
        assert 0 < accept_pause(0, most) <= LOGIN_PAUSE_LIMIT
        assert accept_pause(most, most) == accept_pause(most, 0) + accept_pause(0, most)
        assert accept_pause(0, most) <= accept_pause(0, most + 1)


def test_logins_in_progress_are_counted_until_they_end() -> None:
    slots = LoginSlots(10, 10)
    ours, theirs = socket.socketpair()
    with ours, theirs:
        assert slots.take(ours, "192.0.2.1")
        assert slots.take(theirs, "192.0.2.2")
        assert slots.in_use == 2
        slots.release(ours)
        assert slots.in_use == 1
