"""How busy a process is: the share of the time in which it used a core or waited for one.

Waiting counts, because a process that shares its cores is short of them although it uses little.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

# How often to measure.
SAMPLE_SECONDS: Final = 0.25
# The share is a mean of about so many seconds. Who acts on it changes it, and learns of that a second later.
MEAN_SECONDS: Final = 2.0
_SCHEDSTAT: Final = Path("/proc/self/schedstat")


class Busyness:
    """The ``share`` of one process. ``wanted`` returns the seconds of CPU that it has used or waited for."""

    def __init__(
        self,
        wanted: Callable[[], float] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.share = 0.0
        self._wanted = wanted or _wanted_seconds
        self._clock = clock
        self._measured = clock()
        self._before = self._wanted()

    def measure(self) -> bool:
        """Measure if it is time; return whether it was. Call it at least every few seconds."""
        now = self._clock()
        passed = now - self._measured
        if passed < SAMPLE_SECONDS:
            return False
        wanted = self._wanted()
        self._measured = now
        share = max(0.0, wanted - self._before) / passed
        self._before = wanted
        self.share += (min(share, 1.0) - self.share) * -math.expm1(-passed / MEAN_SECONDS)
        return True


def _wanted_seconds() -> float:
    return time.process_time() + _waited_seconds()


def _waited_seconds() -> float:
    """Return how long the main thread, which is a child's loop, has waited for a core (proc(5))."""
    try:
        return int(_SCHEDSTAT.read_text("ascii").split()[1]) / 1e9
    except (OSError, ValueError, IndexError):
        return 0.0  # a kernel without schedstat
