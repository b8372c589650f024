"""Pages for resume and history, and verification during writes."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import accumulate
from pathlib import Path

import apsw
import pytest

from chatd.errors import ChatdError
from chatd.store.event_log import EventLog
from chatd.store.log_reader import MAX_ROOMS, LogReader
from chatd.store.verifier import verify
from tests.support.storelog import NOW, ROOMS, entries, entry, filled, order

HEAD = 120


@pytest.fixture
def log(tmp_path: Path) -> Iterator[EventLog]:
    opened = filled(tmp_path / "data", HEAD)
    yield opened
    opened.close()


@pytest.fixture
def reader(log: EventLog, tmp_path: Path) -> Iterator[LogReader]:
    opened = LogReader(tmp_path / "data")
    yield opened
    opened.close()


def _in(rooms: list[str | None], after: int, limit: int) -> list[tuple[int, bytes]]:
    wanted = [entry(seq) for seq in range(after + 1, HEAD + 1)]
    return [(e.seq, e.body) for e in wanted if e.room in rooms][:limit]


@pytest.mark.parametrize(
    ("rooms", "after", "limit"),
    [
        (["#lobby"], 0, 5),
        (["#lobby", "#war"], 10, 7),
        ([None], 0, 3),
        ([None, "#war"], 100, 50),
        (list(ROOMS), 0, 1000),
        (["#lobby", "#lobby"], 0, 5),
        (["#nowhere"], 0, 5),
        (["#lobby"], HEAD, 5),
        (["#lobby"], 0, 0),
        ([], 0, 5),
        (["#lobby", *(f"#empty{n}" for n in range(MAX_ROOMS - 1))], 0, 100),
    ],
)
def test_a_page_has_the_next_events_of_the_rooms(
    reader: LogReader, rooms: list[str | None], after: int, limit: int
) -> None:
    assert reader.page(rooms, after, limit) == _in(rooms, after, limit)


def test_a_page_of_too_many_rooms_is_refused(reader: LogReader) -> None:
    with pytest.raises(ValueError, match="201 rooms"):
        reader.page([f"#{n}" for n in range(MAX_ROOMS + 1)], 0, 1)


def test_history_returns_the_events_before_and_after_a_seq(reader: LogReader) -> None:
    lobby = _in(["#lobby"], 0, HEAD)
    assert reader.history("#lobby", limit=3) == lobby[-3:]
    assert reader.history("#lobby", before=lobby[5][0], limit=3) == lobby[2:5]
    assert reader.history("#lobby", after=lobby[5][0], limit=3) == lobby[6:9]
    assert reader.history("#lobby", after=lobby[2][0], before=lobby[5][0], limit=9) == lobby[3:5]
    assert reader.history("#lobby", after=0, limit=2) == lobby[:2]
    assert reader.history("#lobby", before=1, limit=3) == []
    assert reader.history("#lobby", limit=0) == []


@pytest.mark.parametrize("size", [0, 1, 130, 700])
def test_a_page_stops_after_exceeding_its_size(reader: LogReader, size: int) -> None:
    """A page has at least two events, or one large event would look like the last page."""
    lobby = _in(["#lobby"], 0, HEAD)

    def first_page(events: list[tuple[int, bytes]]) -> list[tuple[int, bytes]]:
        totals = list(accumulate(len(body) + 1 for _, body in events))
        return events[: max(2, 1 + sum(total <= size for total in totals))]

    assert reader.history("#lobby", after=0, limit=HEAD, size=size) == first_page(lobby)
    assert reader.history("#lobby", limit=HEAD, size=size) == first_page(lobby[::-1])[::-1]
    assert reader.page(["#lobby"], 0, HEAD, size) == first_page(lobby)
    assert len(reader.page(["#lobby"], 0, 1, size)) == 1


def test_a_short_page_leaves_no_statement_open(log: EventLog, reader: LogReader) -> None:
    reader.page(["#lobby"], 0, HEAD, 0)
    log.append(entries(HEAD + 1, 1))
    assert reader.head() == HEAD + 1


def test_entry_and_head_follow_appends(log: EventLog, reader: LogReader) -> None:
    assert reader.head() == HEAD
    assert reader.entry(17) == entry(17)
    assert reader.entry(HEAD + 1) is None
    log.append(entries(HEAD + 1, 1))
    assert reader.head() == HEAD + 1


def test_the_chain_verifies_after_a_redaction(tmp_path: Path, log: EventLog, reader: LogReader) -> None:
    log.append([order(HEAD + 1, "redacted", "#lobby", target=4)], {4: HEAD + 1})
    assert verify(tmp_path / "data", full=True).ok
    assert reader.entry(4) == entry(4)._replace(digest=None, body=b"")
    assert [seq for seq, _ in reader.history("#lobby", after=0, limit=2)] == [8, 12]
    assert [seq for seq, _body in reader.page(["#lobby"], 0, 2)] == [8, 12]


@pytest.mark.parametrize("body", ["NULL", "x'7b7d'", "zeroblob(64)"])
def test_a_damaged_body_is_never_served(tmp_path: Path, log: EventLog, reader: LogReader, body: str) -> None:
    writer = apsw.Connection(str(tmp_path / "data" / "events.db"))
    writer.execute(f"UPDATE events SET body = {body} WHERE seq = 20")  # noqa: S608
    writer.close()
    for read in (
        lambda: reader.entry(20),
        lambda: reader.page(["#lobby"], 0, 100),
        lambda: reader.history("#lobby", limit=100),
        lambda: list(log.state_entries(0)),
    ):
        with pytest.raises(ChatdError, match="E610"):
            read()


def test_a_missing_log_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(ChatdError, match="E504"):
        LogReader(tmp_path)


@pytest.mark.parametrize("running", [True, False])
def test_verify_checks_all_entries_or_those_since_the_snapshot(
    tmp_path: Path, log: EventLog, running: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("chatd.store.chain._PROGRESS_EVERY", 50)
    log.save_snapshot(100, b"state")
    if not running:
        log.close()
        for name in ("events.db-wal", "events.db-shm"):  # a restored backup has neither file
            (tmp_path / "data" / name).unlink(missing_ok=True)
    seen: list[int] = []
    report = verify(tmp_path / "data", full=True, progress=seen.append)
    assert report == (True, HEAD, HEAD, None, "")
    assert seen == [50, 100]
    assert verify(tmp_path / "data", full=False) == (True, HEAD, 20, None, "")


def test_verify_reports_a_missing_log(tmp_path: Path) -> None:
    report = verify(tmp_path, full=True)
    assert not report.ok
    assert "missing" in report.reason


def test_open_verifies_only_new_entries(tmp_path: Path, log: EventLog) -> None:
    """A start stays fast with a million entries; only the full verification checks the old ones."""
    log.save_snapshot(100, b"state")
    log.close()
    writer = apsw.Connection(str(tmp_path / "data" / "events.db"))
    writer.execute("UPDATE events SET at = 1 WHERE seq = 50")
    writer.close()
    EventLog.open(tmp_path / "data", now=NOW).close()
    assert verify(tmp_path / "data", full=True).bad_seq == 50
