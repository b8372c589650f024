"""The rate limit of each user over all sessions and workers. Owned by the hub's loop.

A worker holds a session back by the session's own bucket, which costs the hub nothing. The hub counts what
arrives from all of them. Once a user owes tokens, it tells the worker of each session that sends more.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from chatd.config.sections import RoleLimits
from chatd.hub.sessions import HubSession, Sessions
from chatd.policy.ratelimit import TokenBucket
from chatd.proto.frames import JsonObject

# A debt up to this is not told: a single session at its full rate may seem a message too early, because
# its requests do not all take equally long to arrive.
UNTOLD_DEBT = 1.0
# How often the full buckets of users without a session are dropped.
SWEEP_SECONDS = 60.0


class UserRates:
    """One bucket for each user who has a session, or has not got all tokens back since."""

    def __init__(self, sessions: Sessions, clock: Callable[[], float] = time.monotonic) -> None:
        self._sessions = sessions
        self._clock = clock
        self._buckets: dict[str, TokenBucket] = {}
        self._next_sweep = 0.0

    def __len__(self) -> int:
        return len(self._buckets)

    def of_user(self, user: str, limits: RoleLimits) -> TokenBucket:
        """Return a user's bucket; ``limits`` are those of the user's present role."""
        now = self._clock()
        if now >= self._next_sweep:
            self._sweep(now)
        rate, burst = limits.messages_per_second, limits.burst
        bucket = self._buckets.get(user)
        if bucket is None:
            bucket = self._buckets[user] = TokenBucket(rate, burst)
        bucket.change(now, rate, burst)
        return bucket

    def terms(self, bucket: TokenBucket) -> JsonObject:
        """Return what a worker has to know to hold a session of the bucket's user back."""
        tokens = bucket.level(self._clock())
        return {"rate": bucket.rate, "burst": bucket.burst, "tokens": round(tokens, 3)}

    def charge(self, session: HubSession, cost: float) -> None:
        """Charge a request; tell the session's worker if its user owes tokens."""
        if session.bucket.charge(self._clock(), cost) < -UNTOLD_DEBT:
            session.link.send(["rate", session.sid, self.terms(session.bucket)])

    def _sweep(self, now: float) -> None:
        self._next_sweep = now + SWEEP_SECONDS
        for user, bucket in list(self._buckets.items()):
            # A session refers to its user's bucket, so that an online user's must stay.
            if bucket.level(now) >= bucket.burst and not self._sessions.sessions_of(user)[0]:
                del self._buckets[user]
