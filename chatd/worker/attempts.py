"""How many connections a second may try to log in from one block of addresses. For the accept thread only."""

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

    def __init__(self, per_second: int, clock: Callable[[], float] = time.monotonic) -> None:
        self.per_second = per_second
        self._clock = clock
        # The block that has been silent for longest comes first.
        self._buckets: OrderedDict[str, TokenBucket] = OrderedDict()

    def allow(self, block: str) -> bool:
        """Count one attempt; return whether it may go on."""
        now, burst = self._clock(), self.per_second * BURST_SECONDS
        bucket = self._buckets.get(block)
        if bucket is None:
            if len(self._buckets) >= BLOCKS:
                self._buckets.popitem(last=False)
            bucket = self._buckets[block] = TokenBucket(self.per_second, burst)
        elif bucket.rate != self.per_second:
            bucket.change(now, self.per_second, burst)
        self._buckets.move_to_end(block)
        return bucket.take(now) == 0
