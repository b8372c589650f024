"""Answer resume, history, search and audit: from memory if it reaches back far enough, else in a thread."""

from __future__ import annotations

import heapq
import os
import queue
import threading
from collections.abc import Callable, Iterable, Sequence
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import orjson

from chatd.errors import ChatdError
from chatd.hub.fanout import Fanout
from chatd.hub.links import Link
from chatd.hub.sessions import HubSession, Sessions
from chatd.hub.state import audit_choice, authorize
from chatd.hub.state.audit_choice import AuditChoice
from chatd.hub.state.context import Context
from chatd.logs.logger import get_log
from chatd.proto import requests as rq
from chatd.proto.frames import compact, frame
from chatd.store.log_reader import MAX_ROOMS, LogReader
from chatd.store.search_index import SearchIndex

log = get_log("errors")

# Bytes of events' JSON in one reply; the rest of the frame (64 KiB) is for the reply around them.
PAGE_BYTES = 56 * 1024
# Events in one page of a resume, unless PAGE_BYTES ends it earlier.
PAGE_EVENTS = 500
# Queries that may wait. A session has one under way, so only thousands of sessions at once reach this.
QUERIES_LIMIT = 20_000
# Events that one page of `audit` reads: a few milliseconds, however rare those are that it looks for.
AUDIT_ROWS = 1_000
# Entries indexed between two queries, so that a long catch-up of the index delays no query by much.
INDEX_STEP = 2_000
# Steps before a search, so that it finds the newest messages.
INDEX_STEPS_BEFORE_SEARCH = 10
IDLE_SECONDS = 2.0


class Page(NamedTuple):
    """The events of one reply: their JSON, the last sequence number covered, whether more follow."""

    bodies: list[bytes]
    cursor: int
    more: bool


Query = Callable[[LogReader, SearchIndex], Page]
Done = Callable[[Page | ChatdError], None]


class QueryThread:
    """Runs queries in order on read-only connections, so that they never hold up the loop."""

    def __init__(self, data: Path) -> None:
        self._queries: queue.Queue[tuple[Query, Done] | None] = queue.Queue(QUERIES_LIMIT)
        self._results: queue.SimpleQueue[tuple[Done, Page | ChatdError]] = queue.SimpleQueue()
        self._index_failed = False
        self._wake = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        # Opened here, not in the thread: if either fails, the hub does not start.
        connections = (LogReader(data), SearchIndex(data))
        self._thread = threading.Thread(target=self._run, args=connections, name="query", daemon=True)
        self._thread.start()

    def fileno(self) -> int:
        """Readable when there are results."""
        return self._wake

    def submit(self, query: Query, done: Done) -> None:
        """Queue a query; `deliver` calls ``done`` with its result. Raises E501 when too many wait."""
        try:
            self._queries.put_nowait((query, done))
        except queue.Full:
            raise ChatdError("E501", "too many reads are waiting") from None

    def redact(self, seqs: list[int]) -> None:
        """Remove redacted messages from the search index before any later query runs."""

        def query(_: LogReader, index: SearchIndex) -> Page:
            index.redact(seqs)
            return Page([], 0, False)

        self._queries.put((query, lambda result: None))

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
        """End the thread after its current query."""
        self._queries.put(None)
        self._thread.join(timeout=5)

    def _run(self, reader: LogReader, index: SearchIndex) -> None:
        behind = True
        while True:
            try:
                item = self._queries.get(timeout=0.0 if behind else IDLE_SECONDS)
            except queue.Empty:
                behind = self._index_some(index)
                continue
            if item is None:
                return
            query, done = item
            self._results.put((done, _attempt(query, reader, index)))
            os.eventfd_write(self._wake, 1)

    def _index_some(self, index: SearchIndex) -> bool:
        try:
            more = index.catch_up(INDEX_STEP) == INDEX_STEP
        except Exception:
            # Log it once, not every two seconds while a disk is full.
            if not self._index_failed:
                log.exception("index_failed")
            self._index_failed = True
            return False
        self._index_failed = False
        return more


def _attempt(query: Query, reader: LogReader, index: SearchIndex) -> Page | ChatdError:
    try:
        return query(reader, index)
    except ChatdError as error:
        return error
    except Exception:
        log.exception("read_failed")
        return ChatdError("E500")


def resume_query(rooms: Sequence[str], after: int, upto: int) -> Query:
    """Read a page of events with ``after`` < seq <= ``upto``, the head when the request was permitted."""

    def query(reader: LogReader, _: SearchIndex) -> Page:
        chunks = (rooms[start : start + MAX_ROOMS] for start in range(0, len(rooms), MAX_ROOMS))
        merged = heapq.merge(*(reader.page(chunk, after, PAGE_EVENTS, PAGE_BYTES) for chunk in chunks))
        rows = [row for row in islice(merged, PAGE_EVENTS) if row[0] <= upto]
        bodies = fit_page([body for _, body in rows])
        if len(bodies) == len(rows) < PAGE_EVENTS:
            return Page(bodies, upto, True)
        return Page(bodies, rows[len(bodies) - 1][0], True)

    return query


def history_query(room: str, before: int | None, after: int | None, limit: int, upto: int) -> Query:
    """Read a page of one room's events, ascending."""

    def query(reader: LogReader, _: SearchIndex) -> Page:
        ceiling = upto + 1 if before is None else min(before, upto + 1)
        rows = reader.history(room, before=ceiling, after=after, limit=limit + 1, size=PAGE_BYTES)
        if after is not None:
            bodies = fit_page([body for _, body in rows[:limit]])
        else:
            # Keep the newest: fit from the end.
            bodies = fit_page([body for _, body in reversed(rows[-limit:])])[::-1]
        return Page(bodies, upto, len(rows) > len(bodies))

    return query


def search_query(
    text: str, rooms: Sequence[str], limit: int, before: int | None, upto: int, now: int
) -> Query:
    """Find matching messages up to ``upto``, newest first. Raises E411 for a text without words."""

    def query(reader: LogReader, index: SearchIndex) -> Page:
        # Index only the newest now; older entries follow between queries, so nobody waits for a rebuild.
        try:
            for _ in range(INDEX_STEPS_BEFORE_SEARCH):
                if index.catch_up(INDEX_STEP) < INDEX_STEP:
                    break
        except ChatdError as error:
            # On a full disk, search what is indexed already.
            if error.code != "E504":
                raise
        ceiling = upto + 1 if before is None else min(before, upto + 1)
        found = index.search(text, rooms, limit=limit + 1, before=ceiling, now=now)
        entries = (reader.entry(seq) for seq in found[:limit])
        bodies = fit_page(e.body for e in entries if e is not None and e.body)
        return Page(bodies, upto, len(found) > len(bodies))

    return query


def audit_query(
    kinds: Sequence[str], choice: AuditChoice, limit: int, before: int | None, upto: int
) -> Query:
    """Read a page of audited events, newest first.

    Filters are applied to at most `AUDIT_ROWS` events, so a page may be short or empty although more follow;
    the next one continues before its ``cursor``.
    """

    def query(reader: LogReader, _: SearchIndex) -> Page:
        cursor = upto + 1 if before is None else min(before, upto + 1)
        rows = reader.latest(kinds, cursor, AUDIT_ROWS)
        bodies: list[bytes] = []
        size = 0
        for seq, body in rows:
            event = choice.shown(orjson.loads(body))
            if event is not None:
                data = compact(event)
                size += len(data) + 1
                if len(bodies) == limit or (bodies and size > PAGE_BYTES):
                    return Page(bodies, cursor, True)
                bodies.append(data)
            cursor = seq
        return Page(bodies, cursor, len(rows) == AUDIT_ROWS)

    return query


def fit_page(bodies: Iterable[bytes]) -> list[bytes]:
    """Take bodies from the start while they fit one page, at least one. Reads at most one further."""
    size = 0
    page: list[bytes] = []
    for body in bodies:
        size += len(body) + 1
        if size > PAGE_BYTES and page:
            break
        page.append(body)
    return page


def page_frame(request_id: int, page: Page) -> bytes:
    """Build the reply frame of a page from the events' stored JSON."""
    more = b"true" if page.more else b"false"
    events = b",".join(page.bodies)
    return frame(
        b'{"type":"ok","id":%d,"result":{"events":[%b],"cursor":%d,"more":%b}}'
        % (request_id, events, page.cursor, more)
    )


class Asker(NamedTuple):
    """The sender of a request: a worker's session, or the operator, who has no session."""

    link: Link
    sid: int
    session: HubSession | None
    request_id: int

    def reply(self, data: bytes) -> None:
        self.link.send(["reply", self.sid, self.request_id], data)


class Reads:
    """The reads of the current batch, which wait for its commit. Owned by the hub's loop.

    ``refuse`` answers a read that failed.
    """

    def __init__(
        self,
        thread: QueryThread,
        fanout: Fanout,
        sessions: Sessions,
        refuse: Callable[[Asker, ChatdError], None],
    ) -> None:
        self._thread = thread
        self._fanout = fanout
        self._sessions = sessions
        self._refuse = refuse
        self._queued: list[tuple[Query, Done]] = []
        self._staged: list[tuple[Query, Done]] = []
        self._redactions = 0

    def answer(self, asker: Asker, context: Context, request: rq.Request) -> None:
        """Answer a read now or after the commit. Raises the ChatdError that refuses it."""
        authorize.permit(context, request)
        head = context.state.head
        if isinstance(request, rq.Resume):
            if asker.session is None:
                raise ChatdError("E105", "the box itself has no session to resume")
            if self._resume_from_memory(asker, context, request.after):
                return
            query = resume_query(context.readable(), request.after or 0, head)
        elif isinstance(request, rq.History):
            context.member(request.room)
            query = history_query(request.room, request.before, request.after, request.limit, head)
        elif isinstance(request, rq.Search):
            rooms = context.readable()
            query = search_query(request.query, rooms, request.limit, request.before, head, context.now)
        elif isinstance(request, rq.Audit):
            kinds, choice = audit_choice.choose(context, request)
            query = audit_query(kinds, choice, request.limit, request.before, head)
        else:
            raise TypeError(f"{request.type} is not a read")
        self._queue(query, asker)

    def _queue(self, query: Query, asker: Asker) -> None:
        redactions = self._redactions

        def done(result: Page | ChatdError) -> None:
            if isinstance(result, ChatdError):
                self._refuse(asker, result)
            elif asker.session is None or self._sessions.get(asker.link, asker.sid) is asker.session:
                if redactions != self._redactions:
                    # The page may hold a body that was redacted since, and would arrive after the
                    # event that says so: read it again.
                    self._queue(query, asker)
                    return
                asker.reply(page_frame(asker.request_id, result))

        # Not before the commit: ``head`` counts events of this batch, which no reader sees yet.
        self._queued.append((query, done))

    def note_redaction(self) -> None:
        """Make pages read before the current batch's redaction be read again."""
        self._redactions += 1

    def redact(self, seqs: list[int]) -> None:
        """Remove redacted messages from the search index."""
        self._thread.redact(seqs)

    def stage(self) -> None:
        """Tie the reads queued so far to the commit that begins now."""
        self._staged += self._queued
        self._queued.clear()

    def release(self) -> None:
        """Pass the staged reads to the query thread; their batch is durable."""
        for query, done in self._staged:
            try:
                self._thread.submit(query, done)
            except ChatdError as error:
                done(error)
        self._staged.clear()

    def _resume_from_memory(self, asker: Asker, context: Context, after: int | None) -> bool:
        """Answer a resume from the recent events; return False when they do not reach back far enough.

        The session goes live with the reply that brings it up to date.
        """
        head = context.state.head
        start = head if after is None else min(after, head)
        if not context.allows("message.read"):
            start = head  # live events need membership only, earlier ones the permission
        missed = self._fanout.since(start, context.readable())
        if missed is None or asker.session is None:
            return False
        page: list[bytes] = []
        size, cursor = 0, start
        for event in missed:
            size += len(event.body) + 1
            if size > PAGE_BYTES and page:
                break
            page.append(event.body)
            cursor = event.seq
        else:
            cursor = head
            self._fanout.go_live(asker.session)
        asker.reply(page_frame(asker.request_id, Page(page, cursor, cursor < head)))
        return True
