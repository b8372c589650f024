"""Reads for those who catch up: messages by their seqs, reactions to one, unread counts."""

from __future__ import annotations

from collections.abc import Callable

from chatd.hub.pages import PAGE_BYTES, Page, fit_page
from chatd.hub.state.context import Context
from chatd.hub.state.redaction import no_message, removed_message
from chatd.proto import requests as rq
from chatd.proto.frames import compact
from chatd.store.log_reader import LogReader

# Events counted of one room: a larger count tells a person nothing more.
COUNTED_EVENTS = 1_000
# Events looked at for one page of counts, those that are gone included: some 10 ms of the reading thread.
PAGE_COUNTED_EVENTS = 5_000
# Rooms in one page of counts.
PAGE_ROOMS = 100


def messages_query(context: Context, request: rq.Messages) -> Callable[[LogReader], Page]:
    """Read messages of a room by their seqs, ascending. Raises E404, E301 as history does."""
    begin, head = context.member(request.room).begin(context.who.user), context.state.head
    viewer = context.who.user
    seqs = sorted({seq for seq in request.seqs if begin < seq <= head})

    def query(reader: LogReader) -> Page:
        found = reader.messages(request.room, seqs, viewer, PAGE_BYTES)
        bodies = fit_page(found)
        return Page(bodies, head, len(bodies) < len(found))

    return query


def reactions_query(context: Context, request: rq.Reactions) -> Callable[[LogReader], Page]:
    """List the reactions to a message. Raises E404, E301; the query raises E410 for no such message."""
    begin, head = context.member(request.room).begin(context.who.user), context.state.head

    def query(reader: LogReader) -> Page:
        found = reader.reactors(request.room, request.seq) if begin < request.seq <= head else None
        if found is None:
            entry = reader.entry(request.seq) if begin < request.seq <= head else None
            known = entry is not None and (entry.kind, entry.room) == ("message", request.room)
            raise (removed_message if known else no_message)(request.room, request.seq)
        return Page([compact(one) for one in found], head, False, key=b"reactions", about=request.seq)

    return query


def unread_query(context: Context, request: rq.Unread) -> Callable[[LogReader], Page]:
    """Count the messages of others after each of the asker's read markers.

    Counts stop at `COUNTED_EVENTS` events of a room, and a page at `PAGE_COUNTED_EVENTS`.
    """
    name, head = context.who.user, context.state.head
    user = context.state.users.get(name)
    markers = (
        [(room, seq) for room, seq in sorted(user.markers.items()) if room > request.after] if user else []
    )
    page = [
        (room, max(seq, context.state.rooms[room].begin(name), context.state.rooms[room].expired), seq)
        for room, seq in markers[:PAGE_ROOMS]
    ]

    def query(reader: LogReader) -> Page:
        bodies: list[bytes] = []
        looked = 0
        for room, after, seq in page:
            if looked >= PAGE_COUNTED_EVENTS:
                break
            left = PAGE_COUNTED_EVENTS - looked
            count = reader.count_others(room, name, after=after, upto=head, limit=COUNTED_EVENTS, look=left)
            if count.looked_at == left and bodies:
                break  # the next page looks further into this room
            looked += count.looked_at
            bodies.append(compact({"room": room, "seq": seq, "unread": count.messages, "more": count.more}))
        return Page(bodies, head, len(bodies) < len(markers), key=b"rooms")

    return query
