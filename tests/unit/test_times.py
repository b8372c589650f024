"""Times in UTC, in the local zone, and both: days, summer time, and what a person types."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime

import pytest

from chatctl.model import times as times_module
from chatctl.model.conversation import Conversation, TimelineRow
from chatctl.model.times import Times
from chatctl.window.timeline import SAME_HEADING_LINES, blocks

UseZone = Callable[[str], None]


def ms(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp() * 1000)


@pytest.fixture
def use_zone(monkeypatch: pytest.MonkeyPatch) -> Iterator[UseZone]:
    """Return a function that sets this process's zone; the test's end restores it."""

    def use(zone: str) -> None:
        monkeypatch.setenv("TZ", zone)
        time.tzset()
        times_module._day.cache_clear()

    yield use
    monkeypatch.undo()
    time.tzset()
    times_module._day.cache_clear()


def test_the_three_ways_to_show_a_time(use_zone: UseZone) -> None:
    use_zone("Europe/Berlin")
    at = ms("2026-11-23T23:30:11")
    assert Times.UTC.when(at) == "2026-11-23 23:30:11Z"
    assert Times.LOCAL.when(at) == "2026-11-24 00:30:11"
    assert Times.BOTH.when(at) == "2026-11-24 00:30:11 23:30:11Z"
    assert Times.BOTH.clock(at, seconds=False) == "00:30 23:30Z"


@pytest.mark.parametrize(
    ("zone", "before", "after", "moment"),
    [
        ("Europe/Berlin", "01:59:59", "03:00:00", "2026-03-29T00:59:59"),
        ("Europe/Berlin", "02:59:59", "02:00:00", "2026-10-25T00:59:59"),
        ("Australia/Lord_Howe", "01:59:59", "01:30:00", "2026-04-04T14:59:59"),
        ("Asia/Kathmandu", "05:44:59", "05:45:00", "2026-11-22T23:59:59"),
    ],
)
def test_each_time_has_the_offset_of_its_own_moment(
    use_zone: UseZone, zone: str, before: str, after: str, moment: str
) -> None:
    use_zone(zone)
    assert Times.LOCAL.clock(ms(moment)) == before
    assert Times.LOCAL.clock(ms(moment) + 1000) == after


@pytest.mark.parametrize(
    "zone",
    ["UTC", "Europe/Berlin", "America/St_Johns", "Asia/Kathmandu", "Pacific/Chatham", "Pacific/Apia"],
)
def test_days_change_at_local_midnight(use_zone: UseZone, zone: str) -> None:
    use_zone(zone)
    begin = ms("2026-10-24T00:00:00")
    for minute in range(0, 3 * 24 * 60, 5):
        at = begin + minute * 60_000
        assert Times.LOCAL.day(at) == datetime.fromtimestamp(at / 1000).strftime("%Y-%m-%d")


def test_a_time_is_found_as_it_is_shown_and_a_z_says_utc(use_zone: UseZone) -> None:
    use_zone("Europe/Berlin")
    at = ms("2026-11-23T14:02:40")
    for typed in ("14:02", "[14:02:40Z]", "14:02Z"):
        assert Times.UTC.matches(at, typed)
    for times in (Times.LOCAL, Times.BOTH):
        assert times.matches(at, "15:02:40")
        assert times.matches(at, "14:02:40Z")
        assert not times.matches(at, "14:02:40")
    assert not Times.LOCAL.matches(at, "15")


@pytest.mark.parametrize("at", [2**53, -(2**53), -62135596800000, 253402300799999])
def test_any_integer_of_a_server_is_a_time(use_zone: UseZone, at: int) -> None:
    for zone in ("Pacific/Auckland", "America/Los_Angeles"):
        use_zone(zone)
        for times in Times:
            assert times.when(at)


def rows_at(*moments: str) -> Conversation:
    conversation = Conversation("#lobby", has_older=True)
    for seq, moment in enumerate(moments, 1):
        conversation.add(TimelineRow((seq, 0), "message", f"m{seq}", ms(moment), "bob"))
    return conversation


def test_the_windows_day_lines_are_in_the_zone_of_its_times(use_zone: UseZone) -> None:
    use_zone("Europe/Berlin")
    conversation = rows_at("2026-11-23T22:00:00", "2026-11-23T23:30:00", "2026-11-24T01:00:00")

    def days(times: Times) -> list[tuple[str, int]]:
        found, day = [], ""
        for block in blocks(conversation, "alice", times=times):
            if block.parts[0][0] == "day":
                day = block.parts[0][1].strip()
            else:
                found.append((day, block.seq))
        return found

    assert days(Times.UTC) == [("2026-11-23", 1), ("2026-11-23", 2), ("2026-11-24", 3)]
    assert days(Times.LOCAL) == [("2026-11-23", 1), ("2026-11-24", 2), ("2026-11-24", 3)]


def test_the_author_stands_there_again_after_some_lines_and_some_minutes() -> None:
    conversation = rows_at(*["2026-11-23T22:00:00"] * 25, "2026-11-23T22:05:00")
    people = [block.seq for block in blocks(conversation, "alice") if block.person]
    assert people == [1, 1 + SAME_HEADING_LINES, 1 + 2 * SAME_HEADING_LINES, 26]
