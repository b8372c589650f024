"""The thread of the search index: what a search waits for, and what it does not."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import cast

import pytest

from chatd.errors import ChatdError
from chatd.hub.index_thread import CATCH_UP_LIMIT, INDEX_STEP, IndexThread
from chatd.store.search_index import SearchIndex

TIMEOUT = 30.0


class HeldIndex:
    """An index of a log with ``head`` entries, whose steps wait for `go` and note what was done."""

    def __init__(self, head: int = 0) -> None:
        self.head = head
        self.position = 0
        self.done: list[str] = []
        self.failing = False
        self.entered = threading.Semaphore(0)
        self.go = threading.Semaphore(0)

    def catch_up(self, max_entries: int) -> int:
        head = self.head
        self.entered.release()
        assert self.go.acquire(timeout=TIMEOUT)
        if self.failing:
            raise ChatdError("E504", "the disk is full")
        count = min(max_entries, head - self.position)
        self.position += count
        self.done.append(f"index {count}")
        return count

    def redact(self, seqs: list[int]) -> None:
        self.done.append(f"redact {seqs}")

    def close(self) -> None:
        self.done.append("close")


class Waiter(threading.Thread):
    """A search that waits for the index."""

    def __init__(self, thread: IndexThread, seq: int) -> None:
        super().__init__(daemon=True)
        self._thread, self._seq = thread, seq
        self.reached: bool | None = None
        self.start()

    def run(self) -> None:
        self.reached = self._thread.reach(self._seq)

    def returns(self) -> bool:
        self.join(TIMEOUT)
        return not self.is_alive()


@pytest.fixture
def held(monkeypatch: pytest.MonkeyPatch) -> Iterator[HeldIndex]:
    # Only what a test does lets a search go on.
    monkeypatch.setattr("chatd.hub.index_thread.CATCH_UP_SECONDS", TIMEOUT)
    monkeypatch.setattr("chatd.hub.index_thread.IDLE_SECONDS", TIMEOUT)
    held = HeldIndex()
    yield held
    held.go.release(1_000)


@pytest.fixture
def thread(held: HeldIndex) -> Iterator[IndexThread]:
    thread = IndexThread(cast(SearchIndex, held))
    yield thread
    held.go.release(1_000)
    thread.close(TIMEOUT)
    assert held.done[-1] == "close"


def step(held: HeldIndex) -> None:
    """Let one step begin and end."""
    assert held.entered.acquire(timeout=TIMEOUT)
    held.go.release()


def test_a_search_finds_what_was_committed_before_it(held: HeldIndex, thread: IndexThread) -> None:
    assert held.entered.acquire(timeout=TIMEOUT)
    held.head = 7  # committed after the step has looked
    waiter = Waiter(thread, 7)
    while thread._wanted != 7:
        waiter.join(0.001)
    held.go.release()
    step(held)
    assert waiter.returns()
    assert waiter.reached
    assert held.done[:2] == ["index 0", "index 7"]


def test_a_search_does_not_wait_for_a_rebuild(held: HeldIndex, thread: IndexThread) -> None:
    held.head = CATCH_UP_LIMIT + 1
    assert not thread.reach(held.head)
    assert held.done == []


def test_a_search_goes_on_when_the_index_cannot_be_written(held: HeldIndex, thread: IndexThread) -> None:
    held.head, held.failing = 5, True
    waiter = Waiter(thread, 5)
    held.go.release(2)
    assert waiter.returns()
    assert not waiter.reached
    assert held.position == 0


def test_a_redaction_goes_before_further_entries(held: HeldIndex, thread: IndexThread) -> None:
    step(held)
    held.head = 3 * INDEX_STEP
    waiter = Waiter(thread, held.head)
    assert held.entered.acquire(timeout=TIMEOUT)
    thread.redact([1, 2])
    held.go.release(3)
    assert waiter.returns()
    full = f"index {INDEX_STEP}"
    assert held.done[:5] == ["index 0", full, "redact [1, 2]", full, full]
