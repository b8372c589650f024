"""A client that is turned away comes back by itself, for a bounded time."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import pytest

from chatctl.client import Patience
from chatctl.client._patience import FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS, CutError
from chatd.errors import ChatdError


class _Clock:
    def __init__(self) -> None:
        self.now = 100.0
        self.pauses: list[float] = []

    def __call__(self) -> float:
        return self.now

    def pause(self, seconds: float) -> None:
        self.pauses.append(seconds)
        self.now += seconds


def patience(clock: _Clock, told: list[str], rand: Callable[[], float] = lambda: 0.5) -> Patience:
    return Patience(60.0, told.append, clock.pause, clock, rand)


def failing(*errors: ChatdError) -> Callable[[], str]:
    left = list(errors)

    def attempt() -> str:
        if left:
            raise left.pop(0)
        return "in"

    return attempt


def test_it_comes_back_with_growing_pauses_and_says_so_once() -> None:
    clock, told = _Clock(), list[str]()
    busy = [ChatdError("E218")] * 3 + [ChatdError("E502"), CutError("E607")]
    assert patience(clock, told).until_done(failing(*busy)) == "in"
    assert clock.pauses == [0.25, 0.5, 1.0, 2.0, LONGEST_PAUSE_SECONDS]
    assert told == ["too many invites are being tried (E218); trying again for up to 60 s"]


def test_those_who_came_at_once_do_not_come_back_at_once() -> None:
    pauses = []
    for rand in (0.0, 0.999):
        clock = _Clock()
        patience(clock, [], partial(float, rand)).until_done(failing(ChatdError("E218")))
        pauses += clock.pauses
    assert pauses == pytest.approx([0.5 * FIRST_PAUSE_SECONDS, 1.499 * FIRST_PAUSE_SECONDS])


def test_it_ends_in_time_with_the_servers_word() -> None:
    clock, told = _Clock(), list[str]()
    with pytest.raises(ChatdError, match="E218"):
        patience(clock, told).until_done(failing(*[ChatdError("E218")] * 1000))
    assert 60 - 2 * LONGEST_PAUSE_SECONDS < clock.now - 100 <= 60


@pytest.mark.parametrize("code", ["E211", "E212", "E213", "E214", "E216", "E209", "E607", "E630"])
def test_what_does_not_pass_is_told_at_once(code: str) -> None:
    clock, told = _Clock(), list[str]()
    with pytest.raises(ChatdError, match=code):
        patience(clock, told).until_done(failing(ChatdError(code)))
    assert not (clock.pauses or told)
