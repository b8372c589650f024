"""Reads from the log on a thread of their own, so that they never hold up the ordering loop."""

from __future__ import annotations

import heapq
import os
import queue
import threading
from collections.abc import Callable, Iterable, Sequence
from itertools import islice
from pathlib import Path
from typing import NamedTuple

from chatd.errors import ChatdError
from chatd.logs.logger import get_log
from chatd.proto.frames import frame
from chatd.store.log_reader import MAX_ROOMS, LogReader
from chatd.store.search_index import SearchIndex

log = get_log("errors")

# JSON of events in one reply; the rest of the frame (64 KiB) is for the reply around them.
PAGE_BYTES = 56 * 1024
# Events read for one page of a resume, unless PAGE_BYTES ends it before.
PAGE_EVENTS = 500
# Reads that may wait. Each session waits for its answer before it asks again, so this is reached
# only by thousands of sessions at once; they are told to try again.
JOBS_LIMIT = 20_000
# Entries indexed between two jobs, so that a long catch-up of the index delays no reader by much.
INDEX_STEP = 2_000
# Steps before a search, so that it finds what was just said.
INDEX_STEPS_FIRST = 10
IDLE_SECONDS = 2.0


class Page(NamedTuple):
    """Events of one reply: their JSON, the last sequence number looked at, whether there is more."""

    bodies: list[bytes]
    cursor: int
    more: bool


Job = Callable[[LogReader, SearchIndex], Page]
Done = Callable[[Page | ChatdError], None]


class ReadThread:
    """Runs jobs in order; their results are taken by the loop with `results`."""

    def __init__(self, data: Path) -> None:
        self._jobs: queue.Queue[tuple[Job, Done] | None] = queue.Queue(JOBS_LIMIT)
        self._results: queue.SimpleQueue[tuple[Done, Page | ChatdError]] = queue.SimpleQueue()
        self._index_failed = False
        self._wake = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        # Opened here, not in the thread: without them the hub does not start, instead of never answering.
        opened = (LogReader(data), SearchIndex.open(data))
        self._thread = threading.Thread(target=self._run, args=opened, name="reader", daemon=True)
        self._thread.start()

    def fileno(self) -> int:
        """Readable when there are results."""
        return self._wake

    def submit(self, job: Job, done: Done) -> None:
        """Queue a read; ``done`` is called by `deliver`, on the loop. Raises E501 when too many wait."""
        try:
            self._jobs.put_nowait((job, done))
        except queue.Full:
            raise ChatdError("E501", "too many reads are waiting") from None

    def redact(self, seqs: list[int]) -> None:
        """Take erased messages out of the search index, before any later read."""

        def job(_: LogReader, index: SearchIndex) -> Page:
            index.redact(seqs)
            return Page([], 0, False)

        self._jobs.put((job, lambda result: None))

    def deliver(self) -> None:
        """Call the ``done`` of every finished read."""
        try:
            os.eventfd_read(self._wake)
        except BlockingIOError:
            return
        while not self._results.empty():
            done, result = self._results.get()
            done(result)

    def close(self) -> None:
        """End the thread after the job it is at."""
        self._jobs.put(None)
        self._thread.join(timeout=5)

    def _run(self, reader: LogReader, index: SearchIndex) -> None:
        behind = True
        while True:
            try:
                item = self._jobs.get(timeout=0.0 if behind else IDLE_SECONDS)
            except queue.Empty:
                behind = self._index_some(index)
                continue
            if item is None:
                return
            job, done = item
            self._results.put((done, _attempt(job, reader, index)))
            os.eventfd_write(self._wake, 1)

    def _index_some(self, index: SearchIndex) -> bool:
        try:
            more = index.catch_up(INDEX_STEP) == INDEX_STEP
        except Exception:
            # Once, and not every two seconds for as long as a disk is full.
            if not self._index_failed:
                log.exception("index_failed")
            self._index_failed = True
            return False
        self._index_failed = False
        return more


def _attempt(job: Job, reader: LogReader, index: SearchIndex) -> Page | ChatdError:
    try:
        return job(reader, index)
    except ChatdError as error:
        return error
    except Exception:
        log.exception("read_failed")
        return ChatdError("E500")


def resume_job(rooms: Sequence[str], after: int, upto: int) -> Job:
    """A page of what was missed, ``after`` < seq <= ``upto`` (the head when it was permitted)."""

    def job(reader: LogReader, _: SearchIndex) -> Page:
        chunks = (rooms[start : start + MAX_ROOMS] for start in range(0, len(rooms), MAX_ROOMS))
        merged = heapq.merge(*(reader.page(chunk, after, PAGE_EVENTS, PAGE_BYTES) for chunk in chunks))
        rows = [row for row in islice(merged, PAGE_EVENTS) if row[0] <= upto]
        bodies = fitting([body for _, body in rows])
        if len(bodies) == len(rows) < PAGE_EVENTS:
            return Page(bodies, upto, True)
        return Page(bodies, rows[len(bodies) - 1][0], True)

    return job


def history_job(room: str, before: int | None, after: int | None, limit: int, upto: int) -> Job:
    """A page of one room's events, ascending."""

    def job(reader: LogReader, _: SearchIndex) -> Page:
        ceiling = upto + 1 if before is None else min(before, upto + 1)
        rows = reader.history(room, before=ceiling, after=after, limit=limit + 1, size=PAGE_BYTES)
        if after is not None:
            bodies = fitting([body for _, body in rows[:limit]])
        else:
            # The newest are wanted: keep from the end.
            bodies = fitting([body for _, body in reversed(rows[-limit:])])[::-1]
        return Page(bodies, upto, len(rows) > len(bodies))

    return job


def search_job(query: str, rooms: Sequence[str], limit: int, before: int | None, upto: int, now: int) -> Job:
    """Messages that match, newest first, up to ``upto``. Raises E411 for a query of nothing."""

    def job(reader: LogReader, index: SearchIndex) -> Page:
        # What is older is indexed meanwhile, between the jobs; nobody waits for a whole rebuild.
        try:
            for _ in range(INDEX_STEPS_FIRST):
                if index.catch_up(INDEX_STEP) < INDEX_STEP:
                    break
        except ChatdError as error:
            if error.code != "E504":
                raise
            # On a full disk the index stays behind; what it has is found.
        ceiling = upto + 1 if before is None else min(before, upto + 1)
        found = index.search(query, rooms, limit=limit + 1, before=ceiling, now=now)
        entries = (reader.entry(seq) for seq in found[:limit])
        bodies = fitting(e.body for e in entries if e is not None and e.body)
        return Page(bodies, upto, len(found) > len(bodies))

    return job


def fitting(bodies: Iterable[bytes]) -> list[bytes]:
    """As many from the start as fit one page; at least one. No more than one further is looked at."""
    size = 0
    found: list[bytes] = []
    for body in bodies:
        size += len(body) + 1
        if size > PAGE_BYTES and found:
            break
        found.append(body)
    return found


def page_frame(label: int, page: Page) -> bytes:
    """The reply frame with a page, put together from the events' JSON as it is in the log."""
    more = b"true" if page.more else b"false"
    events = b",".join(page.bodies)
    return frame(
        b'{"type":"ok","id":%d,"result":{"events":[%b],"cursor":%d,"more":%b}}'
        % (label, events, page.cursor, more)
    )
