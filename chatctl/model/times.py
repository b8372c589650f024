"""How times are shown: in UTC as the server tells them, in this computer's zone, or both."""

from __future__ import annotations

from datetime import UTC, datetime
from enum import Enum
from functools import lru_cache

# Every zone's days begin, and its clock changes, at a quarter of an hour.
_QUARTER_MS = 15 * 60_000


class Times(Enum):
    """The zone of the times that a client shows. Days are local ones unless only UTC is shown."""

    UTC = "utc"
    LOCAL = "local"
    BOTH = "both"

    def day(self, at: int) -> str:
        """The day of a time in ms since 1970: "2026-11-23"."""
        return _day(self is Times.UTC, at // _QUARTER_MS)

    def clock(self, at: int, *, seconds: bool = True) -> str:
        """The time of day: "14:02:11Z" in UTC, "15:02:11" in the local zone, or both."""
        form = "%H:%M:%S" if seconds else "%H:%M"
        utc = f"{_moment(at):{form}}Z"
        if self is Times.UTC:
            return utc
        local = f"{_local(at):{form}}"
        return local if self is Times.LOCAL else f"{local} {utc}"

    def when(self, at: int) -> str:
        """The day and the time of day: "2026-11-23 14:02:11Z"."""
        return f"{self.day(at)} {self.clock(at)}"

    def matches(self, at: int, typed: str) -> bool:
        """Whether a person means a time by what is typed: "14:02", "[14:02:40Z]". A Z says UTC."""
        clock = typed.strip("[]")
        utc = self is Times.UTC or clock.endswith("Z")
        shown = f"{_moment(at) if utc else _local(at):%H:%M:%S}"
        return ":" in clock and shown.startswith(clock.removesuffix("Z"))


@lru_cache(maxsize=4096)
def _day(utc: bool, quarter: int) -> str:
    at = quarter * _QUARTER_MS
    return f"{_moment(at) if utc else _local(at):%Y-%m-%d}"


def _local(at: int) -> datetime:
    try:
        # The offset of that moment, not of now: summer time.
        return _moment(at).astimezone()
    except (ValueError, OverflowError, OSError):
        return _moment(0)


def _moment(at: int) -> datetime:
    try:
        return datetime.fromtimestamp(at / 1000, UTC)
    except (ValueError, OverflowError, OSError):
        # A server can send any integer.
        return datetime.fromtimestamp(0, UTC)
