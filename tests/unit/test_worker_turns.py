"""Turns: one at a time, the lowest ticket first, whatever happens in one."""

from __future__ import annotations

import threading
import time

import pytest

from chatd.worker.turns import Turns

PATIENCE = 30.0


def waiting(turns: Turns, count: int) -> None:
    """Until so many threads wait."""
    deadline = time.monotonic() + PATIENCE
    while len(turns._waiting) < count:
        assert time.monotonic() < deadline
        time.sleep(0.001)


def test_the_lowest_ticket_comes_first_whoever_asked_first() -> None:
    turns, order = Turns(), []
    first, *others = [turns.ticket() for _ in range(6)]

    def step(ticket: int) -> None:
        with turns.hold(ticket):
            order.append(ticket)

    threads = [threading.Thread(target=step, args=(ticket,)) for ticket in reversed(others)]
    with turns.hold(first):
        for number, thread in enumerate(threads, 1):
            thread.start()
            waiting(turns, number)
        order.append(first)
    for thread in threads:
        thread.join(PATIENCE)
    assert order == [first, *others]


def test_never_two_at_a_time() -> None:
    turns, inside, most = Turns(), 0, 0

    def steps() -> None:
        nonlocal inside, most
        ticket = turns.ticket()
        for _ in range(50):
            with turns.hold(ticket):
                inside += 1
                most = max(most, inside)
                time.sleep(0)
                inside -= 1

    threads = [threading.Thread(target=steps) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)
        assert not thread.is_alive()
    assert most == 1
    with turns.hold(turns.ticket()):
        pass


def test_a_step_that_fails_passes_the_turn_on() -> None:
    turns = Turns()
    with pytest.raises(ZeroDivisionError), turns.hold(turns.ticket()):
        raise ZeroDivisionError
    done = threading.Event()

    def step() -> None:
        with turns.hold(turns.ticket()):
            done.set()

    threading.Thread(target=step).start()
    assert done.wait(PATIENCE)
