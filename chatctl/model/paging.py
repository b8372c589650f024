"""Requests with replies in pages: lists of users and rooms, and a conversation's history.

``request`` is `Client.request`, or anything like it: it waits for the reply and raises the refusal.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

from chatd.errors import ChatdError
from chatd.proto.events import Logged, Message, parse_from_server
from chatd.proto.frames import JsonObject
from chatd.proto.request_bounds import PAGE_LIMIT, SEQS_LIMIT

RequestFunction = Callable[..., JsonObject]
# Bounds what a server can make a client keep; a page has up to 200 entries.
LIST_PAGES_LIMIT = 500


class HistoryPage(NamedTuple):
    """Events, oldest first; ``more``: the server has others beyond them."""

    events: list[Logged]
    more: bool


def list_all(request: RequestFunction, kind: str, key: str, by: str, **fields: Any) -> list[JsonObject]:
    """All entries of a paged list: those under ``key``, each identified by its field ``by``."""
    found: list[JsonObject] = []
    after: str | None = None
    for _ in range(LIST_PAGES_LIMIT):
        page = request(kind, after=after, **fields)
        entries = _objects(page.get(key))
        found += entries
        # A server that has looked through much without finding anything says where to go on.
        after = str(page.get("next") or (entries[-1].get(by, "") if entries else ""))
        if not page.get("more") or not after:
            break
    return found


def history(
    request: RequestFunction,
    room: str,
    *,
    count: int = sys.maxsize,
    before: int | None = None,
    after: int | None = None,
) -> HistoryPage:
    """Up to ``count`` events; several pages where needed, because one reply holds at most 64 KiB."""
    found: list[Logged] = []
    more = True
    while len(found) < count and more:
        page = history_page(
            request, room, limit=min(PAGE_LIMIT, count - len(found)), before=before, after=after
        )
        events = page.get("events")
        seqs = [seq for event in _objects(events) if isinstance(seq := event.get("seq"), int)]
        more = bool(page.get("more") and seqs)
        if after is None:
            found[:0] = typed(events)
            before = min(seqs, default=None)
        else:
            found += typed(events)
            after = max(seqs, default=after)
    return HistoryPage(found, more)


def history_page(request: RequestFunction, room: str, **page: Any) -> JsonObject:
    """One page; an empty one for two users who have not written to each other. Raises E404 for no user."""
    try:
        return request("history", room=room, **page)
    except ChatdError as error:
        if error.code != "E404" or not room.startswith("@"):
            raise
        for user in room[1:].split(","):
            request("whois", user=user)
        return {"events": [], "more": False}


def unread(request: RequestFunction) -> list[JsonObject]:
    """All entries of ``unread``, each with the ``cursor`` of its page.

    An older server and a role that may not read have none.
    """
    found: list[JsonObject] = []
    for _ in range(LIST_PAGES_LIMIT):
        try:
            page = request("unread", after=str(found[-1].get("room", "")) if found else None)
        except ChatdError as error:
            if error.code in ("E103", "E300"):
                break
            raise
        entries = _objects(page.get("rooms"))
        found += [{**entry, "cursor": page.get("cursor")} for entry in entries]
        if not page.get("more") or not entries:
            break
    return found


def quoted(request: RequestFunction, room: str, seqs: Iterable[int]) -> dict[int, Message | None]:
    """Messages of a room that others reply to; None for those that are deleted or not readable."""
    found: dict[int, Message | None] = {}
    wanted = sorted(set(seqs))
    while wanted:
        batch = wanted[:SEQS_LIMIT]
        page = request("messages", room=room, seqs=batch)
        events = [event for event in typed(page.get("events")) if isinstance(event, Message)]
        # A full page ends before the batch does.
        last = max((event.seq for event in events), default=batch[-1]) if page.get("more") else batch[-1]
        last = max(last, batch[0])
        found |= dict.fromkeys((seq for seq in batch if seq <= last), None)
        found |= {event.seq: event for event in events if event.seq in found}
        wanted = [seq for seq in wanted if seq > last]
    return found


def replied_to(events: Sequence[Logged]) -> set[int]:
    """The seqs that messages reply to and that are not among the events."""
    replies = {event.reply_to for event in events if isinstance(event, Message)}
    return {seq for seq in replies if seq is not None} - {event.seq for event in events}


def typed(events: object) -> list[Logged]:
    """The events of a reply, without those of a type this client does not know."""
    parsed = map(parse_from_server, _objects(events))
    return [event for event in parsed if isinstance(event, Logged)]


def _objects(items: object) -> list[JsonObject]:
    return [item for item in items if isinstance(item, dict)] if isinstance(items, list) else []
