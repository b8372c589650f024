"""Answer resume, history, search and audit: from memory if it reaches back far enough, else in threads."""

from __future__ import annotations

import heapq
import os
import queue
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import orjson

from chatd.errors import ChatdError
from chatd.hub.changed_entries import ChangedEntries
from chatd.hub.fanout import Fanout
from chatd.hub.index_thread import IndexThread
from chatd.hub.lane import Done, Lane
from chatd.hub.links import Link
from chatd.hub.pages import PAGE_BYTES as PAGE_BYTES
from chatd.hub.pages import Page, fit_page, page_frame
from chatd.hub.reading import messages_query, unread_query
from chatd.hub.sessions import HubSession, Sessions
from chatd.hub.state import audit_choice, authorize
from chatd.hub.state.audit_choice import AuditChoice
from chatd.hub.state.context import Context
from chatd.proto import requests as rq
from chatd.proto.frames import compact
from chatd.proto.search_query import parse
from chatd.store.log_reader import MAX_ROOMS, LogReader
from chatd.store.search_index import SearchIndex
from chatd.store.searcher import Searcher

# Events in one page of a resume, unless PAGE_BYTES ends it earlier.
PAGE_EVENTS = 500
# Queries that may wait. A session has one under way, so only thousands of sessions at once reach this.
QUERIES_LIMIT = 20_000
# Events that one page of `audit` reads: a few milliseconds, however rare those are that it looks for.
AUDIT_ROWS = 1_000
# Searches of one user under way, the running one included. Each takes up to a second, and a person has few
# clients.
SEARCHES_PER_USER = 5

Query = Callable[[LogReader], Page]


class SearchSource(NamedTuple):
    """Where the searching thread looks."""

    reader: LogReader
    searcher: Searcher
    index_thread: IndexThread


SearchQuery = Callable[[SearchSource], Page]


class QueryThreads:
    """Run queries on read-only connections, so that they never hold up the loop.

    Searches have one thread, all other reads another, and the index a third.
    """

    def __init__(self, data: Path) -> None:
        self._results: queue.SimpleQueue[tuple[Done, Page | ChatdError]] = queue.SimpleQueue()
        # Opened here, not in the threads: if one fails, the hub does not start.
        reader, search_reader, index = LogReader(data), LogReader(data), SearchIndex(data)
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

    def submit_search(self, user: str, query: SearchQuery, done: Done) -> None:
        """Queue a search; `deliver` calls ``done`` with its result, or E414, E501."""
        self._searches.submit(user, query, done)

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

    def _report(self, done: Done, result: Page | ChatdError) -> None:
        self._results.put((done, result))
        os.eventfd_write(self._wake, 1)


def resume_query(rooms: Mapping[str, int], after: int, upto: int, viewer: str = "") -> Query:
    """Read a page of events with ``after`` < seq <= ``upto``, the head when the request was permitted.

    ``rooms``: room -> the seq after which its events begin.
    """
    names = list(rooms)

    def query(reader: LogReader) -> Page:
        chunks = (names[start : start + MAX_ROOMS] for start in range(0, len(names), MAX_ROOMS))
        pages = (reader.page(chunk, after, PAGE_EVENTS, PAGE_BYTES, rooms, viewer=viewer) for chunk in chunks)
        merged = heapq.merge(*pages)
        rows = [row for row in islice(merged, PAGE_EVENTS) if row[0] <= upto]
        bodies = fit_page([body for _, body in rows])
        if len(bodies) == len(rows) < PAGE_EVENTS:
            return Page(bodies, upto, True)
        return Page(bodies, rows[len(bodies) - 1][0], True)

    return query


def history_query(
    room: str,
    before: int | None,
    after: int | None,
    limit: int,
    upto: int,
    begin: int = 0,
    viewer: str = "",
) -> Query:
    """Read a page of one room's events, ascending, all after seq ``begin``."""

    def query(reader: LogReader) -> Page:
        ceiling = upto + 1 if before is None else min(before, upto + 1)
        rows = reader.history(
            room,
            before=ceiling,
            after=after,
            limit=limit + 1,
            size=PAGE_BYTES,
            begin=begin,
            viewer=viewer,
        )
        if after is not None:
            bodies = fit_page([body for _, body in rows[:limit]])
        else:
            # Keep the newest: fit from the end.
            bodies = fit_page([body for _, body in reversed(rows[-limit:])])[::-1]
        return Page(bodies, upto, len(rows) > len(bodies))

    return query


def search_query(
    text: str,
    rooms: Mapping[str, int],
    floors: Mapping[str, int],
    limit: int,
    before: int | None,
    upto: int,
    now: int,
    viewer: str = "",
    unknown: ChatdError | None = None,
) -> SearchQuery:
    """Find matching messages up to ``upto``, newest first. Raises E411 for a text without words.

    ``rooms``: room -> the seq after which its events begin. ``floors``: that of rooms of which the asker
    reads only a part. ``unknown`` is raised if nothing is found.
    """

    def query(source: SearchSource) -> Page:
        indexed = source.index_thread.reach(upto)
        ceiling = upto + 1 if before is None else min(before, upto + 1)
        found = source.searcher.search(
            text, list(rooms), limit=limit + 1, before=ceiling, now=now, floors=floors, viewer=viewer
        )
        if unknown is not None and not found.seqs:
            raise unknown
        messages = source.reader.found(found.seqs[:limit], viewer, PAGE_BYTES)
        # The index is only derived: the log has the last word on the room.
        bodies = fit_page(body for seq, room, body in messages if seq > rooms.get(room, seq))
        return Page(bodies, upto, len(found.seqs) > len(bodies), found.partial or not indexed)

    return query


def audit_query(
    kinds: Sequence[str], choice: AuditChoice, limit: int, before: int | None, upto: int
) -> Query:
    """Read a page of audited events, newest first.

    Filters are applied to at most `AUDIT_ROWS` events, so a page may be short or empty although more follow;
    the next one continues before its ``cursor``.
    """

    def query(reader: LogReader) -> Page:
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


# Queues one read; its result goes to the argument.
Submit = Callable[[Done], None]


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
        threads: QueryThreads,
        fanout: Fanout,
        sessions: Sessions,
        refuse: Callable[[Asker, ChatdError], None],
    ) -> None:
        self._threads = threads
        self._fanout = fanout
        self._sessions = sessions
        self._refuse = refuse
        self._queued: list[tuple[Submit, Done]] = []
        self._staged: list[tuple[Submit, Done]] = []
        self._changes = ChangedEntries()

    def answer(self, asker: Asker, context: Context, request: rq.Request) -> None:
        """Answer a read now or after the commit. Raises the ChatdError that refuses it."""
        authorize.permit(context, request)
        head = context.state.head
        user = context.who.user
        if isinstance(request, rq.Search):
            search = _search(context, request)
            self._queue(partial(self._threads.submit_search, user, search), asker)
            return
        if isinstance(request, rq.Resume):
            if asker.session is None:
                raise ChatdError("E105", "the box itself has no session to resume")
            if self._resume_from_memory(asker, context, request.after):
                return
            query = resume_query(context.readable(), request.after or 0, head, user)
        else:
            query = _QUERIES[type(request)](context, request)
        self._queue(partial(self._threads.submit, user, query), asker)

    def _queue(self, submit: Submit, asker: Asker) -> None:
        changes = self._changes.count

        def done(result: Page | ChatdError) -> None:
            if isinstance(result, ChatdError):
                self._refuse(asker, result)
            elif asker.session is None or self._sessions.get(asker.link, asker.sid) is asker.session:
                if result.key == b"events" and self._changes.concern(result.bodies, changes):
                    # The page holds a body that was changed since, and would arrive after the event
                    # that says so: read it again. Changes of other messages must not keep anybody waiting.
                    self._queue(submit, asker)
                    return
                asker.reply(page_frame(asker.request_id, result))

        # Not before the commit: ``head`` counts events of this batch, which no reader sees yet.
        self._queued.append((submit, done))

    def note_changes(self, seqs: Collection[int]) -> None:
        """Make pages with these entries that were read before the current batch be read again."""
        self._changes.note(seqs)

    def redact(self, seqs: list[int]) -> None:
        """Remove redacted messages from the search index."""
        self._threads.redact(seqs)

    def stage(self) -> None:
        """Tie the reads queued so far to the commit that begins now."""
        self._staged += self._queued
        self._queued.clear()

    def release(self) -> None:
        """Pass the staged reads to the query threads; their batch is durable."""
        for submit, done in self._staged:
            submit(done)
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


def _history(context: Context, request: rq.History) -> Query:
    begin = context.member(request.room).begin(context.who.user)
    return history_query(
        request.room,
        request.before,
        request.after,
        request.limit,
        context.state.head,
        begin,
        context.who.user,
    )


def _search(context: Context, request: rq.Search) -> SearchQuery:
    """Raises E404 or E301 for in:#room, E405 for in:@name, as if that was looked at; E411.

    A name in from: that the asker may not know of is refused only if nothing is found: somebody who has left
    may have written in rooms of the asker.
    """
    wanted = parse(request.query, context.now)
    if wanted.room is not None and wanted.room.startswith("@"):
        for name in set(wanted.room[1:].split(",")):
            context.acquaintance(name)
    elif wanted.room is not None:
        context.member(wanted.room)
    unknown = None
    if wanted.author is not None:
        try:
            context.acquaintance(wanted.author)
        except ChatdError as error:
            unknown = error
    return search_query(
        request.query,
        context.readable(),
        context.floors(),
        request.limit,
        request.before,
        context.state.head,
        context.now,
        context.who.user,
        unknown,
    )


def _audit(context: Context, request: rq.Audit) -> Query:
    kinds, choice = audit_choice.choose(context, request)
    return audit_query(kinds, choice, request.limit, request.before, context.state.head)


# Reads from the log alone -> their queries. Each raises the ChatdError that refuses it.
_QUERIES: dict[type[rq.Request], Callable[[Context, Any], Query]] = {
    rq.History: _history,
    rq.Messages: messages_query,
    rq.Unread: unread_query,
    rq.Audit: _audit,
}
