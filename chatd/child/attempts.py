"""How many attempts a second there may be from one block of addresses. For one thread only."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable

from chatd.policy.ratelimit import TokenBucket

# So many seconds' worth of attempts may come at once: after a restart everybody behind one address comes
# back within the first seconds.
BURST_SECONDS = 10
# How many blocks are remembered. One that was not heard of for `BURST_SECONDS` has its whole burst again,
# so that forgetting it gives nothing away unless more blocks than this are active.
BLOCKS = 4096


class LoginAttempts:
    """At most ``per_second`` attempts from one block in the long run."""

    def __init__(
        self,
        per_second: float,
        clock: Callable[[], float] = time.monotonic,
        burst_seconds: float = BURST_SECONDS,
    ) -> None:
        self.per_second = per_second
        self._clock = clock
        self._burst_seconds = burst_seconds
        # The block that has been silent for longest comes first.
        self._buckets: OrderedDict[str, TokenBucket] = OrderedDict()

    def allow(self, block: str) -> bool:
        """Count one attempt; return whether it may go on."""
        return self._bucket(block).take(self._clock()) == 0

    def would_allow(self, block: str) -> bool:
        """Whether `allow` would let an attempt go on now."""
        return self._bucket(block).level(self._clock()) >= 1

    def _bucket(self, block: str) -> TokenBucket:
        now, burst = self._clock(), self.per_second * self._burst_seconds
        bucket = self._buckets.get(block)
        if bucket is None:
            if len(self._buckets) >= BLOCKS:
                self._buckets.popitem(last=False)
            bucket = self._buckets[block] = TokenBucket(self.per_second, burst)
        elif bucket.rate != self.per_second:
            bucket.change(now, self.per_second, burst)
        self._buckets.move_to_end(block)
        return bucket
