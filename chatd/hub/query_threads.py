"""The threads that run queries on read-only connections."""

from __future__ import annotations

import os
import queue
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from chatd.errors import ChatdError
from chatd.hub.index_thread import IndexThread
from chatd.hub.lane import Done, Lane
from chatd.hub.pages import PAGE_BYTES as PAGE_BYTES
from chatd.hub.pages import Page
from chatd.store.log_reader import LogReader
from chatd.store.search_index import SearchIndex
from chatd.store.searcher import Searcher

# Queries that may wait. A session has one under way, so only thousands of sessions at once reach this.
QUERIES_LIMIT = 20_000
# Searches of one user under way, the running one included. Each takes up to a second, and a person has few
# clients.
SEARCHES_PER_USER = 5

Query = Callable[[LogReader], Page]


class SearchSource(NamedTuple):
    """Where the searching thread looks."""

    reader: LogReader
    searcher: Searcher
    index_thread: IndexThread


IndexQuery = Callable[[SearchSource], Page]


class QueryThreads:
    """Run queries on read-only connections, so that they never hold up the loop.

    Searches have one thread, all other reads another, and the index a third.
    """

    def __init__(self, data: Path) -> None:
        self._results: queue.SimpleQueue[tuple[Done, Page | ChatdError]] = queue.SimpleQueue()
        # Opened here, not in the threads: if one fails, the hub does not start.
        reader, search_reader, index = LogReader(data), LogReader(data), SearchIndex(data)
        self._loop_reader = LogReader(data)
        self._wake = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._index = IndexThread(index)
        source = SearchSource(search_reader, Searcher(data), self._index)
        self._pages = Lane("query", reader, self._report, QUERIES_LIMIT, QUERIES_LIMIT)
        self._searches = Lane("search", source, self._report, QUERIES_LIMIT, SEARCHES_PER_USER)

    def fileno(self) -> int:
        """Readable when there are results."""
        return self._wake

    def submit(self, user: str, query: Query, done: Done) -> None:
        """Queue a resume or history; `deliver` calls ``done`` with its result, or E501."""
        self._pages.submit(user, query, done)

    def submit_search(self, user: str, query: IndexQuery, done: Done) -> None:
        """Queue a search; `deliver` calls ``done`` with its result, or E414, E501."""
        self._searches.submit(user, query, done)

    def read_now(self, query: Query) -> Page:
        """Run one query of some milliseconds at once, in the loop. Raises its ChatdError."""
        return query(self._loop_reader)

    def redact(self, seqs: list[int]) -> None:
        """Remove redacted messages from the search index. Searches pass over them already."""
        self._index.redact(seqs)

    def deliver(self) -> None:
        """Pass every result to its ``done``. Called by the loop."""
        try:
            os.eventfd_read(self._wake)
        except BlockingIOError:
            return
        while not self._results.empty():
            done, result = self._results.get()
            done(result)

    def close(self) -> None:
        """End the threads after their current work."""
        for thread in (self._index, self._searches, self._pages):
            thread.close(timeout=5)
        self._loop_reader.close()

    def _report(self, done: Done, result: Page | ChatdError) -> None:
        self._results.put((done, result))
        os.eventfd_write(self._wake, 1)
