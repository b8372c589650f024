"""Try again by itself where a server is busy: with growing pauses and jitter, for a bounded time."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, TypeVar

from chatd.errors import ChatdError

Result = TypeVar("Result")

# A hundred people behind one address are let in within this (chatd.enrol.admission).
PATIENCE_SECONDS: Final = 60.0
FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 0.25, 4.0
# The server turns clients away at the moment, its process that redeems invites is being replaced, or its
# cluster has no leader.
PASSING: Final = frozenset({"E218", "E502", "E503", "E506"})


class CutError(ChatdError):
    """The connection was cut after it was made: a client made way for others, or the server restarts."""


@dataclass(frozen=True)
class Patience:
    """A bound on trying again. ``told`` gets a sentence before the first pause.

    ``pause`` sleeps, ``clock`` is monotonic, and ``rand`` returns 0 to 1.
    """

    seconds: float = PATIENCE_SECONDS
    told: Callable[[str], None] = lambda text: None
    pause: Callable[[float], None] = time.sleep
    clock: Callable[[], float] = time.monotonic
    rand: Callable[[], float] = random.random

    def until_done(self, attempt: Callable[[], Result]) -> Result:
        """Repeat ``attempt`` while its error passes. Raises its last error when the time is over."""
        deadline, step, silent = self.clock() + self.seconds, FIRST_PAUSE_SECONDS, True
        while True:
            try:
                return attempt()
            except ChatdError as error:
                # Half to one and a half of the step, so that those who came at once do not come back at once.
                wait = step * (0.5 + self.rand())
                if not _passes(error) or self.clock() + wait > deadline:
                    raise
                if silent:
                    self.told(f"{error.reason} ({error.code}); trying again for up to {self.seconds:.0f} s")
                    silent = False
            self.pause(wait)
            step = min(2 * step, LONGEST_PAUSE_SECONDS)


def _passes(error: ChatdError) -> bool:
    return error.code in PASSING or isinstance(error, CutError)
