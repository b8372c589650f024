"""Queries of many users take turns, and one user's queue is short."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator

import pytest

from chatd.errors import ChatdError
from chatd.hub.lane import Done, Lane, Page

TIMEOUT = 30.0
USER_LIMIT = 4
LIMIT = 8


class Desk:
    """A lane's source that holds every query until it is told to let them go; notes their order."""

    def __init__(self) -> None:
        self.started: list[str] = []
        self.reported: list[Page | ChatdError] = []
        self.running = threading.Event()
        self.may_end = threading.Event()
        self.finished = threading.Semaphore(0)
        self.lane: Lane[Desk] = Lane("desk", self, self._report, LIMIT, USER_LIMIT)

    def _report(self, done: Done, result: Page | ChatdError) -> None:
        done(result)
        self.reported.append(result)
        self.finished.release()

    def submit(self, user: str, name: str, error: Exception | None = None) -> None:
        self.lane.submit(user, self._query(name, error), lambda result: None)

    def _query(self, name: str, error: Exception | None) -> Callable[[Desk], Page]:
        def query(desk: Desk) -> Page:
            desk.started.append(name)
            desk.running.set()
            assert desk.may_end.wait(TIMEOUT)
            if error is not None:
                raise error
            return Page([name.encode()], 0, False)

        return query

    def hold(self, user: str) -> None:
        """Start a query that keeps the lane busy until `finish`."""
        self.submit(user, "first")
        assert self.running.wait(TIMEOUT)

    def finish(self, queries: int) -> None:
        self.may_end.set()
        for _ in range(queries):
            assert self.finished.acquire(timeout=TIMEOUT)


@pytest.fixture
def desk() -> Iterator[Desk]:
    desk = Desk()
    yield desk
    desk.may_end.set()
    desk.lane.close(TIMEOUT)


def test_users_take_turns(desk: Desk) -> None:
    desk.hold("alice")
    for name in ("a1", "a2", "a3", "b1", "b2", "c1"):
        desk.submit({"a": "alice", "b": "bob", "c": "carol"}[name[0]], name)
    desk.finish(7)
    assert desk.started == ["first", "a1", "b1", "c1", "a2", "b2", "a3"]


def test_whoever_has_just_been_served_is_last(desk: Desk) -> None:
    desk.hold("alice")
    desk.submit("bob", "b1")
    desk.submit("alice", "a1")
    desk.submit("bob", "b2")
    desk.finish(4)
    assert desk.started == ["first", "b1", "a1", "b2"]


def test_one_user_may_have_few_queries_waiting_and_others_do_not_notice(desk: Desk) -> None:
    desk.hold("alice")
    for number in range(USER_LIMIT - 1):
        desk.submit("alice", f"a{number}")
    desk.submit("alice", "a too many")
    (refusal,) = desk.reported
    assert isinstance(refusal, ChatdError)
    assert (refusal.code, "4 of your searches" in refusal.reason) == ("E414", True)
    desk.submit("bob", "b0")
    desk.finish(1 + USER_LIMIT + 1)
    desk.submit("alice", "a again")
    desk.finish(1)
    assert desk.started == ["first", "a0", "b0", "a1", "a2", "a again"]


def test_all_users_together_may_have_so_many_waiting(desk: Desk) -> None:
    desk.hold("alice")
    for number in range(LIMIT):
        desk.submit(f"user{number}", str(number))
    desk.submit("one more", "x")
    (refusal,) = desk.reported
    assert isinstance(refusal, ChatdError)
    assert refusal.code == "E501"
    desk.finish(1 + 1 + LIMIT)


def test_a_failed_query_is_reported_and_the_next_one_runs(desk: Desk) -> None:
    desk.submit("alice", "refused", ChatdError("E411"))
    desk.submit("alice", "broken", ZeroDivisionError())
    desk.submit("alice", "good")
    desk.finish(3)
    codes = [result.code if isinstance(result, ChatdError) else "ok" for result in desk.reported]
    assert codes == ["E411", "E500", "ok"]


def test_closing_drops_what_waits(desk: Desk) -> None:
    desk.hold("alice")
    desk.submit("bob", "b")
    closing = threading.Thread(target=desk.lane.close, args=(TIMEOUT,))
    closing.start()
    while not desk.lane._closing:
        closing.join(0.001)
    desk.may_end.set()
    closing.join(TIMEOUT)
    assert desk.started == ["first"]
