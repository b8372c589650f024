"""Rate limits."""

from __future__ import annotations

from collections import deque


class TokenBucket:
    """Refills ``rate`` tokens a second and holds at most ``burst``; less than none is a debt.

    Times are monotonic seconds. Not locked: any thread may call `change`, one thread everything else.
    """

    __slots__ = ("_changes", "_seen", "_tokens", "burst", "rate")

    def __init__(self, rate: float, burst: float) -> None:
        self.rate = rate
        self.burst = burst
        self._tokens = float(burst)
        self._seen = float("-inf")
        # The last change that is not in force yet. The ends of a deque are safe without a lock.
        self._changes: deque[tuple[float, float, float, float]] = deque(maxlen=1)

    def change(self, now: float, rate: float, burst: float, at_most: float = float("inf")) -> None:
        """Set another rate and burst; leave ``at_most`` so many tokens.

        A larger burst is filled at once. A debt gets no larger, and takes no longer to pay back.
        """
        self._changes.append((now, rate, burst, at_most))

    def take(self, now: float, tokens: float = 1.0) -> float:
        """Take ``tokens`` and return 0, or take none and return the seconds to wait."""
        level = self.level(now)
        wanted = min(tokens, self.burst)
        if level >= wanted:
            self._tokens = level - wanted
            return 0.0
        return (wanted - level) / self.rate

    def charge(self, now: float, tokens: float) -> float:
        """Take ``tokens``, at most a burst, although there may be fewer; return what is left."""
        level = self.level(now)
        self._tokens = level - (tokens if tokens < self.burst else self.burst)
        return self._tokens

    def level(self, now: float) -> float:
        """Return the tokens there are."""
        # The hub asks for each request, so that each call counts.
        if self._changes:
            self._apply(*self._changes.popleft())
        if now > self._seen:
            tokens = self._tokens + (now - self._seen) * self.rate
            self._tokens = tokens if tokens < self.burst else self.burst
            self._seen = now
        return self._tokens

    def _apply(self, at: float, rate: float, burst: float, at_most: float) -> None:
        self.level(at)
        if self._tokens < 0:
            self._tokens *= min(1.0, rate / self.rate)
        elif burst > self.burst:
            self._tokens += burst - self.burst
        self._tokens = min(self._tokens, burst, at_most)
        self.rate, self.burst = rate, burst
