"""Answer resume, history, search and audit: from memory if it reaches back far enough, else in threads."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection
from functools import partial
from typing import NamedTuple

from chatd.errors import ChatdError
from chatd.hub.changed_entries import ChangedEntries
from chatd.hub.fanout import Fanout
from chatd.hub.lane import Done
from chatd.hub.links import Link
from chatd.hub.page_queries import QUERIES, resume_query, search_of
from chatd.hub.pages import PAGE_BYTES as PAGE_BYTES
from chatd.hub.pages import Page, page_frame
from chatd.hub.query_threads import Query, QueryThreads
from chatd.hub.sessions import HubSession, Sessions
from chatd.hub.state import authorize
from chatd.hub.state.context import OPERATOR, Context, Principal
from chatd.proto import requests as rq

# How often a read is repeated because what it found was changed meanwhile. Whoever edits all the time must
# not keep others from reading: the last time it is read in the loop, where nothing changes meanwhile.
REPEATS_LIMIT = 3


# Queues one read; its result goes to the argument.
Submit = Callable[[Done], None]


class Asker(NamedTuple):
    """The sender of a request: a worker's session, or the operator, who has no session."""

    link: Link
    sid: int
    session: HubSession | None
    request_id: int

    @property
    def who(self) -> Principal:
        return self.session.who if self.session else self.link.operator or OPERATOR

    def reply(self, data: bytes) -> None:
        self.link.send(["reply", self.sid, self.request_id], data)

    def reply_at_once(self, data: bytes) -> None:
        """Reply before everything that is not durable yet."""
        self.link.send_at_once(["reply", self.sid, self.request_id], data)


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
        # Reads that were repeated often enough: one is made in the loop at each commit.
        self._last: deque[tuple[Asker, Query]] = deque()
        self._changes = ChangedEntries()

    def answer(self, asker: Asker, context: Context, request: rq.Request) -> None:
        """Answer a read now or after the commit. Raises the ChatdError that refuses it."""
        authorize.permit(context, request)
        head = context.state.head
        user = context.who.user
        if isinstance(request, rq.Search):
            search = search_of(context, request)
            self._queue(partial(self._threads.submit_search, user, search), asker, None)
            return
        if isinstance(request, rq.Resume):
            if asker.session is None:
                raise ChatdError("E105", "the box itself has no session to resume")
            if self._resume_from_memory(asker, context, request.after):
                return
            query = resume_query(context.readable(), request.after or 0, head, user)
        else:
            query = QUERIES[type(request)](context, request)
        self._queue(partial(self._threads.submit, user, query), asker, query)

    def _queue(self, submit: Submit, asker: Asker, query: Query | None, repeats: int = 0) -> None:
        """Queue a read; ``query`` is for the loop, None for a search, which takes too long there."""
        changes = self._changes.count

        def done(result: Page | ChatdError) -> None:
            if isinstance(result, ChatdError):
                self._refuse(asker, result)
            elif result.rest is not None:
                self._queue_rest(asker, result.rest)
            elif self._waits(asker):
                # A page that holds a body that was changed since would arrive after the event that says
                # so: read it again. Changes of other messages must not keep anybody waiting.
                if not self._is_outdated(result, changes):
                    asker.reply(page_frame(asker.request_id, result))
                elif repeats < REPEATS_LIMIT:
                    self._queue(submit, asker, query, repeats + 1)
                elif query is not None:
                    self._last.append((asker, query))
                else:
                    bodies = [body for body in result.bodies if not self._changes.concern((body,), changes)]
                    asker.reply(page_frame(asker.request_id, result._replace(bodies=bodies, partial=True)))

        # Not before the commit: ``head`` counts events of this batch, which no reader sees yet.
        self._queued.append((submit, done))

    def _queue_rest(self, asker: Asker, query: Query) -> None:
        if self._waits(asker):
            user = asker.session.who.user if asker.session else ""
            self._queue(partial(self._threads.submit, user, query), asker, query)

    def _waits(self, asker: Asker) -> bool:
        return asker.session is None or self._sessions.get(asker.link, asker.sid) is asker.session

    def _is_outdated(self, page: Page, since: int) -> bool:
        if page.about is not None:
            return self._changes.concern_entry(page.about, since)
        return page.key == b"events" and self._changes.concern(page.bodies, since)

    @property
    def in_loop(self) -> bool:
        """Whether a read waits to be made in the loop."""
        return bool(self._last)

    def note_changes(self, seqs: Collection[int]) -> None:
        """Make pages with these entries that were read before the current batch be read again."""
        self._changes.note(seqs)

    def redact(self, seqs: Collection[int]) -> None:
        """Remove redacted messages from the search index."""
        self._threads.redact(list(seqs))

    def stage(self) -> None:
        """Tie the reads queued so far to the commit that begins now."""
        self._staged += self._queued
        self._queued.clear()

    def release(self) -> None:
        """Pass the staged reads to the query threads, and make one in the loop; their batch is durable.

        The links have released what the batch has caused, and nothing of the next one.
        """
        for submit, done in self._staged:
            submit(done)
        self._staged.clear()
        if self._last:
            self._read_in_loop(*self._last.popleft())

    def _read_in_loop(self, asker: Asker, query: Query) -> None:
        if not self._waits(asker):
            return
        try:
            page = self._threads.read_now(query)
            if page.rest is not None:
                self._queue_rest(asker, page.rest)
            else:
                asker.reply_at_once(page_frame(asker.request_id, page))
        except ChatdError as error:
            self._refuse(asker, error)

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
