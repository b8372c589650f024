"""The queries behind resume, history, search and audit: each reads one page."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Mapping, Sequence
from itertools import islice
from typing import Any

import orjson

from chatd.errors import ChatdError
from chatd.hub.pages import PAGE_BYTES as PAGE_BYTES
from chatd.hub.pages import Page, fit_page
from chatd.hub.query_threads import IndexQuery, Query, SearchSource
from chatd.hub.reading import messages_query, reactions_query, unread_query
from chatd.hub.state import audit_choice
from chatd.hub.state.audit_choice import AuditChoice
from chatd.hub.state.context import Context
from chatd.proto import requests as rq
from chatd.proto.frames import compact
from chatd.proto.search_query import SearchQuery, parse
from chatd.store.log_reader import MAX_ROOMS, LogReader

# Events in one page of a resume, unless PAGE_BYTES ends it earlier.
PAGE_EVENTS = 500
# Events of a room that one turn of `history` looks at, those that are gone included: some 10 ms.
LOOKED_EVENTS = 5_000
# Seqs that one page of `resume` looks at: a tenth of a second if all are of the user's rooms and gone.
RESUME_SEQS = 50_000
# Events that one page of `audit` reads: a few milliseconds, however rare those are that it looks for.
AUDIT_ROWS = 1_000


def resume_query(rooms: Mapping[str, int], after: int, upto: int, viewer: str = "") -> Query:
    """Read a page of events with ``after`` < seq <= ``upto``, the head when the request was permitted.

    ``rooms``: room -> the seq after which its events begin.
    """
    names = list(rooms)

    def query(reader: LogReader) -> Page:
        chunks = (names[start : start + MAX_ROOMS] for start in range(0, len(names), MAX_ROOMS))
        end = min(upto, after + RESUME_SEQS)
        pages = (
            reader.page(chunk, after, PAGE_EVENTS, PAGE_BYTES, rooms, viewer=viewer, upto=end)
            for chunk in chunks
        )
        rows = list(islice(heapq.merge(*pages), PAGE_EVENTS))
        bodies = fit_page([body for _, body in rows])
        if len(bodies) == len(rows) < PAGE_EVENTS:
            return Page(bodies, end, True)
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
        floor = max(begin, after or 0)
        # What was redacted takes long to pass over: a read looks at so many events, and `rest` goes on.
        edge = reader.nth(room, LOOKED_EVENTS, after=floor, before=ceiling, newest=after is None)
        if edge is not None:
            floor, ceiling = (edge, ceiling) if after is None else (floor, edge)
        rows = reader.history(
            room,
            before=ceiling,
            after=None if after is None else floor,
            limit=limit + 1,
            size=PAGE_BYTES,
            begin=floor,
            viewer=viewer,
        )
        if after is not None:
            bodies = fit_page([body for _, body in rows[:limit]])
        else:
            # Keep the newest: fit from the end.
            bodies = fit_page([body for _, body in reversed(rows[-limit:])])[::-1]
        if rows or edge is None:
            return Page(bodies, upto, edge is not None or len(rows) > len(bodies))
        below, above = (edge + 1, None) if after is None else (before, edge - 1)
        return Page([], upto, True, rest=history_query(room, below, above, limit, upto, begin, viewer))

    return query


def search_query(
    wanted: SearchQuery,
    rooms: Mapping[str, int],
    floors: Mapping[str, int],
    limit: int,
    before: int | None,
    upto: int,
    viewer: str,
    unknown: ChatdError | None = None,
) -> IndexQuery:
    """Find matching messages up to ``upto``, newest first.

    ``rooms``: room -> the seq after which its events begin. ``floors``: that of rooms of which the asker
    reads only a part. ``unknown`` is raised if nothing is found.
    """

    def query(source: SearchSource) -> Page:
        indexed = source.index_thread.reach(upto)
        ceiling = upto + 1 if before is None else min(before, upto + 1)
        found = source.searcher.search(wanted, list(rooms), limit=limit + 1, before=ceiling, floors=floors)
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


def search_of(context: Context, request: rq.Search) -> IndexQuery:
    """Raises E404 or E301 for in:#room, E405 for in:@name, as if that was looked at; E411.

    A name in from: that the asker may not know of is refused only if nothing is found: somebody who has left
    may have written in rooms of the asker.
    """
    me = context.who.user
    wanted = parse(request.query, context.now, me)
    if wanted.room is not None and wanted.room.startswith("@"):
        for name in {*wanted.room[1:].split(",")} - {me}:
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
        wanted,
        context.readable(),
        context.floors(),
        request.limit,
        request.before,
        context.state.head,
        me,
        unknown,
    )


def _audit(context: Context, request: rq.Audit) -> Query:
    kinds, choice = audit_choice.choose(context, request)
    return audit_query(kinds, choice, request.limit, request.before, context.state.head)


# Reads from the log alone -> their queries. Each raises the ChatdError that refuses it.
QUERIES: dict[type[rq.Request], Callable[[Context, Any], Query]] = {
    rq.History: _history,
    rq.Messages: messages_query,
    rq.Unread: unread_query,
    rq.Reactions: reactions_query,
    rq.Audit: _audit,
}
