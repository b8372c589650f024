"""Leave a server that is cut off from its cluster for another address of the identity.

The engine asks `ServerChoice` where to connect first, and whether to leave. All times are monotonic seconds.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

# A server that is cut off is tried after the others for so long, and left once in that time.
AVOID_SECONDS = 600.0
# Its clients leave within so long, not all at once: each costs the next server a login.
SPREAD_SECONDS = 2.0


class ServerChoice:
    """The servers that said that they are cut off. ``random`` gives a number 0 <= x < 1."""

    def __init__(self, random: Callable[[], float]) -> None:
        self._random = random
        # Server -> until when it is avoided.
        self._avoided: dict[str, float] = {}
        self._due = math.inf
        # Why the server of the session is cut off.
        self.reason = ""

    def order(self, servers: Sequence[str], now: float) -> list[str]:
        """Return the servers to try, those that are not cut off first."""
        return sorted(servers, key=lambda one: self._avoids(one, now))

    def welcomed(self, server: str, reason: str, servers: Sequence[str], now: float) -> bool:
        """Note the ``reason`` of a welcome; return whether to go on to another server instead."""
        self.reason = reason
        self._due = math.inf
        if not reason:
            self._avoided.pop(server, None)
            return False
        if self._avoids(server, now):
            self._avoid(servers, now)  # none of the others could be reached
        self._avoid([server], now)
        if any(not self._avoids(one, now) for one in servers):
            return True
        self._due = now + AVOID_SECONDS
        return False

    def told(self, reason: str, now: float) -> None:
        """Note why the server is cut off, as it says during the session; "" if it is not any more."""
        self.reason = reason
        self._due = now + self._random() * SPREAD_SECONDS if reason else math.inf

    def seconds(self, now: float) -> float:
        """The seconds until `leaves` must be asked."""
        return max(self._due - now, 0.0)

    def leaves(self, server: str, servers: Sequence[str], now: float) -> bool:
        """Whether to leave now."""
        if now < self._due:
            return False
        self._due = math.inf
        # What the others said is as old as the session.
        self._avoided.clear()
        self._avoid([server], now)
        return len(servers) > 1

    def _avoid(self, servers: Sequence[str], now: float) -> None:
        self._avoided.update(dict.fromkeys(servers, now + AVOID_SECONDS))

    def _avoids(self, server: str, now: float) -> bool:
        return self._avoided.get(server, -math.inf) > now
