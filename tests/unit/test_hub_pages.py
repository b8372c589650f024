"""Pages of history and resume: complete, in order and without duplicates, for many rooms and large events."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from chatd.hub.lane import Page
from chatd.hub.page_queries import history_query, resume_query
from chatd.hub.pages import PAGE_BYTES
from chatd.hub.query_threads import Query
from chatd.store.entry import Entry
from chatd.store.event_log import EventLog
from chatd.store.log_reader import MAX_ROOMS, LogReader
from tests.support.storelog import NOW, entry

# More rooms than one SQL statement can name.
ROOMS = [f"#r{number:03}" for number in range(MAX_ROOMS + 50)]
# A few messages in each of many rooms, then runs of large ones in the first and the last room.
SIZES = [(ROOMS[n % len(ROOMS)], 40) for n in range(300)]
SIZES += (
    [(ROOMS[2], 50_000)] * 3 + [(ROOMS[0], 9_000)] * 20 + [(ROOMS[-1], 9_000)] * 20 + [(ROOMS[7], 30)] * 700
)


def _entry(seq: int, room: str, size: int) -> Entry:
    return entry(seq, kind="message", room=room, text=f"{seq} ".ljust(size, "x"))


@pytest.fixture(scope="module")
def written() -> list[Entry]:
    return [_entry(seq, *what) for seq, what in enumerate(SIZES, 1)]


@pytest.fixture(scope="module")
def reader(tmp_path_factory: pytest.TempPathFactory, written: list[Entry]) -> Iterator[LogReader]:
    data = tmp_path_factory.mktemp("pages") / "data"
    log = EventLog.open(data, now=NOW)
    log.append(written)
    opened = LogReader(data)
    yield opened
    opened.close()
    log.close()


def _page(query: Query, reader: LogReader) -> Page:
    return query(reader)


def _fits(page: Page) -> bool:
    return sum(len(body) + 1 for body in page.bodies) <= PAGE_BYTES


@pytest.mark.parametrize("upto", [len(SIZES), 310, 325, 1])
def test_resume_returns_every_event_once(reader: LogReader, written: list[Entry], upto: int) -> None:
    bodies: list[bytes] = []
    after = 0
    while after < upto:
        page = _page(resume_query(dict.fromkeys(ROOMS, 0), after, upto), reader)
        assert page.cursor > after
        assert _fits(page)
        bodies += page.bodies
        after = page.cursor
    assert bodies == [e.body for e in written[:upto]]


@pytest.mark.parametrize("limit", [1, 3, 499, 500])
@pytest.mark.parametrize("room", [ROOMS[0], ROOMS[7], ROOMS[-1]])
def test_history_forwards_returns_every_event_once(
    reader: LogReader, written: list[Entry], room: str, limit: int
) -> None:
    seqs = {e.body: e.seq for e in written}
    wanted = [e.body for e in written if e.room == room]
    bodies: list[bytes] = []
    more = True
    while more:
        page = _page(history_query(room, None, seqs[bodies[-1]] if bodies else 0, limit, len(SIZES)), reader)
        assert _fits(page)
        assert len(page.bodies) <= limit
        bodies += page.bodies
        more = page.more
    assert bodies == wanted


@pytest.mark.parametrize("limit", [1, 3, 499, 500])
@pytest.mark.parametrize("room", [ROOMS[0], ROOMS[7], ROOMS[-1]])
def test_history_backwards_returns_every_event_once(
    reader: LogReader, written: list[Entry], room: str, limit: int
) -> None:
    seqs = {e.body: e.seq for e in written}
    wanted = [e.body for e in written if e.room == room]
    bodies: list[bytes] = []
    more = True
    while more:
        page = _page(
            history_query(room, seqs[bodies[0]] if bodies else None, None, limit, len(SIZES)), reader
        )
        assert _fits(page)
        bodies = page.bodies + bodies
        more = page.more
    assert bodies == wanted


class OversizedEvents(LogReader):
    """A log in which every event is larger than a page."""

    def __init__(self) -> None:
        pass

    def page(
        self,
        rooms: Any,
        after: int,
        limit: int,
        size: int | None = None,
        begins: Any = None,
        *,
        viewer: str = "",
        upto: int | None = None,
    ) -> Any:
        assert size == PAGE_BYTES
        return [(seq, b"x" * (PAGE_BYTES + 1)) for seq in (after + 1, after + 2)]


def test_an_event_larger_than_a_page_fills_a_page_alone() -> None:
    page = _page(resume_query({"#lobby": 0}, 5, 100), OversizedEvents())
    assert (len(page.bodies), page.cursor, page.more) == (1, 6, True)
