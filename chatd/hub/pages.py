"""Pages: the replies of reads, each of which fits one frame."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import NamedTuple

from chatd.proto.frames import frame
from chatd.store.log_reader import LogReader

# Bytes of events' JSON in one reply; the rest of the frame (64 KiB) is for the reply around them.
PAGE_BYTES = 56 * 1024
_FLAGS = {False: b"false", True: b"true"}


class Page(NamedTuple):
    """The events of one reply: their JSON, the last sequence number covered, whether more follow.

    ``partial``: whether a search has not seen all messages; None for other reads. ``key``: their name in the
    reply. ``about``: the seq of the message that they all concern, if there is one. ``rest``: the read that
    goes on, if this one has found nothing in as much as one read may look at.
    """

    bodies: list[bytes]
    cursor: int
    more: bool
    partial: bool | None = None
    key: bytes = b"events"
    about: int | None = None
    rest: Callable[[LogReader], Page] | None = None


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
    events = b",".join(page.bodies)
    partial = b"" if page.partial is None else b',"partial":%b' % _FLAGS[page.partial]
    return frame(
        b'{"type":"ok","id":%d,"result":{"%b":[%b],"cursor":%d,"more":%b%b}}'
        % (request_id, page.key, events, page.cursor, _FLAGS[page.more], partial)
    )
