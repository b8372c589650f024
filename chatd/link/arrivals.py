"""When arrivals pause: gathering longer would gain nothing."""

from __future__ import annotations

from typing import Final

# A silence of so many mean gaps is a pause. With arrivals at random, one gap in 55 is as long.
PAUSE_GAPS: Final = 4.0
# The shortest silence that counts as a pause: what a thread or process needs to get its turn.
SHORTEST_PAUSE_SECONDS: Final = 0.0002
# A longer gap counts as this one, so that a quiet hour does not hide what the next second is like.
LONGEST_GAP_SECONDS: Final = 0.1
# The mean is that of about so many arrivals.
MEMORY: Final = 32


class Arrivals:
    """The mean of the gaps between arrivals. Times are those of one monotonic clock."""

    def __init__(self, shortest_pause: float = SHORTEST_PAUSE_SECONDS) -> None:
        self._shortest_pause = shortest_pause
        self._mean = LONGEST_GAP_SECONDS
        # Where the next gap begins.
        self._counted: float | None = None
        self._last = float("inf")

    def arrived(self, count: int, now: float) -> None:
        """Note ``count`` arrivals since the last call."""
        if self._counted is not None:
            gap = min((now - self._counted) / count, LONGEST_GAP_SECONDS)
            self._mean += (gap - self._mean) * min(1.0, count / MEMORY)
        self._counted = self._last = now

    def answered(self) -> None:
        """Do not count the gap before the next arrival: senders may have waited for an answer."""
        self._counted = None

    def seen(self, now: float) -> None:
        """Note that something has arrived that cannot be counted yet."""
        self._last = now

    @property
    def pause_at(self) -> float:
        """When arrivals have paused, if nothing arrives before."""
        return self._last + max(PAUSE_GAPS * self._mean, self._shortest_pause)
