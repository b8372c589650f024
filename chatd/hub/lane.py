"""A thread that runs queries one at a time, with users taking turns."""

from __future__ import annotations

import threading
from collections import OrderedDict, deque
from collections.abc import Callable
from typing import Generic, TypeVar

from chatd.errors import ChatdError
from chatd.hub.pages import Page as Page
from chatd.logs.logger import get_log

log = get_log("errors")


Source = TypeVar("Source")
Done = Callable[[Page | ChatdError], None]


class Lane(Generic[Source]):
    """Queries on one ``source``, such as a connection. ``report`` gets every result, on any thread.

    The user who has waited longest goes first, then the next user, so a user with many queries delays
    nobody by more than one. ``limit`` queries may wait in all; ``user_limit`` of one user may be under way,
    the running one included.
    """

    def __init__(
        self,
        name: str,
        source: Source,
        report: Callable[[Done, Page | ChatdError], None],
        limit: int,
        user_limit: int,
    ) -> None:
        self._source = source
        self._report = report
        self._limit = limit
        self._user_limit = user_limit
        self._changed = threading.Condition()
        # User -> queries that wait; users in the order of their turns.
        self._waiting: OrderedDict[str, deque[tuple[Callable[[Source], Page], Done]]] = OrderedDict()
        self._count = 0
        self._running: str | None = None
        self._closing = False
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def submit(self, user: str, query: Callable[[Source], Page], done: Done) -> None:
        """Queue a query. Its result is E414 if the user has too many, E501 if too many wait in all."""
        with self._changed:
            refusal = self._refusal(user)
            if refusal is None:
                self._waiting.setdefault(user, deque()).append((query, done))
                self._count += 1
                self._changed.notify()
        if refusal is not None:
            self._report(done, refusal)

    def close(self, timeout: float) -> None:
        """End the thread after its current query; queries that wait are dropped."""
        with self._changed:
            self._closing = True
            self._changed.notify()
        self._thread.join(timeout)

    def _refusal(self, user: str) -> ChatdError | None:
        if self._count >= self._limit:
            return ChatdError("E501", "too many reads are waiting")
        if len(self._waiting.get(user, ())) + (self._running == user) >= self._user_limit:
            return ChatdError(
                "E414", f"{self._user_limit} of your searches are under way, the most there may be"
            )
        return None

    def _run(self) -> None:
        while (item := self._next()) is not None:
            query, done = item
            self._report(done, self._attempt(query))

    def _next(self) -> tuple[Callable[[Source], Page], Done] | None:
        """Wait for a query and take it; None when the lane is closed."""
        with self._changed:
            self._running = None
            while not (self._waiting or self._closing):
                self._changed.wait()
            if self._closing:
                return None
            user, waiting = self._waiting.popitem(last=False)
            item = waiting.popleft()
            self._count -= 1
            self._running = user
            if waiting:
                self._waiting[user] = waiting
            return item

    def _attempt(self, query: Callable[[Source], Page]) -> Page | ChatdError:
        try:
            return query(self._source)
        except ChatdError as error:
            return error
        except Exception:
            log.exception("read_failed")
            return ChatdError("E500")
