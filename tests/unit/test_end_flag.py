"""The flag of a session's end: it wakes all who wait, once and for good."""

from __future__ import annotations

import threading

from chatd.worker.session import EndFlag

TIMEOUT = 30.0


def test_a_session_ends_once_and_wakes_everybody_who_waits() -> None:
    flag = EndFlag()
    assert not flag.is_set() and not flag.wait(0.001)
    woken = [threading.Event() for _ in range(3)]

    def wait_for_end(told: threading.Event) -> None:
        if flag.wait(TIMEOUT):
            told.set()

    for told in woken:
        threading.Thread(target=wait_for_end, args=(told,), daemon=True).start()
    flag.set()
    flag.set()
    assert all(told.wait(TIMEOUT) for told in woken)
    assert flag.is_set() and flag.wait(0.0)


def test_a_wait_that_meets_the_end_returns_at_once() -> None:
    flag = EndFlag()
    flag.set()
    assert flag.wait(TIMEOUT)
