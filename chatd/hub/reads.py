"""Answering resume, history and search: from memory where that reaches, else by the read thread."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from chatd.errors import ChatdError
from chatd.hub import reading
from chatd.hub.fanout import Fanout
from chatd.hub.links import Link
from chatd.hub.reading import Done, Job, Page, ReadThread
from chatd.hub.sessions import Session, Sessions
from chatd.hub.state import authorize
from chatd.hub.state.context import Context
from chatd.proto import requests as rq


class Asked(NamedTuple):
    """Who waits for an answer: a session of a worker, or the operator (no session)."""

    link: Link
    sid: int
    session: Session | None
    label: int


Refuse = Callable[[Asked, ChatdError], None]


class Reads:
    """Reads of one batch wait here until its commit. Owned by the hub's loop."""

    def __init__(self, reader: ReadThread, fanout: Fanout, sessions: Sessions, refuse: Refuse) -> None:
        self._reader = reader
        self._fanout = fanout
        self._sessions = sessions
        self._refuse = refuse
        self._waiting: list[tuple[Job, Done]] = []
        self._held: list[tuple[Job, Done]] = []
        self._redactions = 0

    def answer(self, asked: Asked, context: Context, request: rq.Resume | rq.History | rq.Search) -> None:
        """Answer now or later. Raises what refuses the request."""
        authorize.permit(context, request)
        head = context.state.head
        if isinstance(request, rq.Resume):
            if asked.session is None:
                raise ChatdError("E105", "the box itself has no session to resume")
            if self._from_memory(asked.session, context, request):
                return
            job = reading.resume_job(context.readable(), request.after or 0, head)
        elif isinstance(request, rq.History):
            context.member(request.room)
            job = reading.history_job(request.room, request.before, request.after, request.limit, head)
        else:
            job = reading.search_job(
                request.query, context.readable(), request.limit, request.before, head, context.now
            )

        self._wait(job, asked)

    def _wait(self, job: Job, asked: Asked) -> None:
        redactions = self._redactions

        def done(result: Page | ChatdError) -> None:
            if isinstance(result, ChatdError):
                self._refuse(asked, result)
            elif asked.session is None or self._sessions.get(asked.link, asked.sid) is asked.session:
                if redactions != self._redactions:
                    # The page may have what was erased since, and would come after the event that says so.
                    self._wait(job, asked)
                    return
                asked.link.send(["reply", asked.sid, asked.label], reading.page_frame(asked.label, result))

        # Not before the commit: ``head`` counts events of this batch, which a reader cannot see yet.
        self._waiting.append((job, done))

    def redacted(self) -> None:
        """The batch that grows erases something: pages asked for before are read after its commit."""
        self._redactions += 1

    def hold(self) -> None:
        """The reads so far wait for the commit that begins now, those from now on for a later one."""
        self._held += self._waiting
        self._waiting.clear()

    def release(self) -> None:
        """That batch is committed: hand its reads to the thread."""
        for job, done in self._held:
            try:
                self._reader.submit(job, done)
            except ChatdError as error:
                done(error)
        self._held.clear()

    def redact(self, seqs: list[int]) -> None:
        """Erased messages leave the search index."""
        self._reader.redact(seqs)

    def _from_memory(self, session: Session, context: Context, request: rq.Resume) -> bool:
        """Answer a resume from the recent events and go live; False when they do not reach back."""
        head = context.state.head
        after = head if request.after is None else min(request.after, head)
        if not context.allows("message.read"):
            after = head  # what happens from now on is membership; what was before is history
        missed = self._fanout.since(after, context.readable())
        if missed is None:
            return False
        page: list[bytes] = []
        size, cursor = 0, head
        for recent in missed:
            size += len(recent.body) + 1
            if size > reading.PAGE_BYTES and page:
                break
            page.append(recent.body)
            cursor = recent.seq
        else:
            cursor = head
            self._fanout.go_live(session)
        result = Page(page, cursor, cursor < head)
        session.link.send(["reply", session.sid, request.id], reading.page_frame(request.id, result))
        return True
