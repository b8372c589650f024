"""Rate limits."""

from __future__ import annotations


class TokenBucket:
    """Refills ``rate`` tokens a second and holds at most ``burst``.

    Times are monotonic seconds. Not locked: one thread calls `take`, any thread `change`.
    """

    __slots__ = ("_burst", "_rate", "_seen", "_tokens")

    def __init__(self, rate: float, burst: float) -> None:
        self._rate = rate
        self._burst = burst
        self._tokens = float(burst)
        self._seen: float | None = None

    def change(self, rate: float, burst: float) -> None:
        """Set another rate and burst; a larger burst is filled at once."""
        if burst > self._burst:
            self._tokens += burst - self._burst
        self._rate, self._burst = rate, burst

    def take(self, now: float, tokens: float = 1.0) -> float:
        """Take ``tokens`` and return 0, or take none and return the seconds to wait."""
        if self._seen is not None:
            self._tokens = min(self._burst, self._tokens + max(0.0, now - self._seen) * self._rate)
        self._seen = now
        wanted = min(tokens, self._burst)
        if self._tokens >= wanted:
            self._tokens -= wanted
            return 0.0
        return (wanted - self._tokens) / self._rate
