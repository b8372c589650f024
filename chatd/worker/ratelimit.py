"""How much in how much time."""

from __future__ import annotations


class TokenBucket:
    """A rate with a burst: ``rate`` tokens a second flow in, ``burst`` fit. Clock readings come in as
    arguments (monotonic seconds). Not locked: one thread takes, `change` may come from another.
    """

    __slots__ = ("_burst", "_rate", "_seen", "_tokens")

    def __init__(self, rate: float, burst: float) -> None:
        self._rate = rate
        self._burst = burst
        self._tokens = float(burst)
        self._seen: float | None = None

    def change(self, rate: float, burst: float) -> None:
        """Use another rate and burst from now on; a larger burst is full at once."""
        if burst > self._burst:
            self._tokens += burst - self._burst
        self._rate, self._burst = rate, burst

    def take(self, now: float, tokens: float = 1.0) -> float:
        """Take ``tokens`` and return 0, or take none and return how many seconds to wait."""
        if self._seen is not None:
            self._tokens = min(self._burst, self._tokens + max(0.0, now - self._seen) * self._rate)
        self._seen = now
        wanted = min(tokens, self._burst)
        if self._tokens >= wanted:
            self._tokens -= wanted
            return 0.0
        return (wanted - self._tokens) / self._rate
