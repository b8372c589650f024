"""Give memory back to the system after many sessions have come or gone.

glibc keeps what is freed for the next allocation, in arenas of each thread: after a busy hour a process would
stay as large as it ever was. malloc_trim(3) returns the free pages of all arenas.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

from chatd.child.libc import trim_memory

# Fewer sessions leave too little behind to be worth the call, which takes milliseconds.
MANY_SESSIONS: Final = 100
# Wait until the rush is over, which would take the memory again at once.
QUIET_SECONDS: Final = 3.0
# Where logins never pause, do not wait longer.
PATIENCE_SECONDS: Final = 60.0


class MemoryReturn:
    """Calls ``release`` some seconds after `MANY_SESSIONS` began or ended. Belongs to a child's loop."""

    def __init__(
        self, release: Callable[[], None] = trim_memory, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._release = release
        self._clock = clock
        self._changes = 0
        self._first = self._last = 0.0

    def note(self) -> None:
        """Note that a session has begun or ended."""
        self._last = self._clock()
        if not self._changes:
            self._first = self._last
        self._changes += 1

    def run(self) -> None:
        """Release memory if it is time; call it at least every few seconds."""
        if self._changes < MANY_SESSIONS:
            return
        now = self._clock()
        if now - self._last >= QUIET_SECONDS or now - self._first >= PATIENCE_SECONDS:
            self._changes = 0
            self._release()
