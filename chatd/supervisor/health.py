"""When to start a child again, and when to stop believing in it. No clock of its own."""

from __future__ import annotations

import signal
from collections.abc import Callable
from enum import Enum
from typing import Final

from chatd.child import EXIT_CONFIG, EXIT_INTEGRITY

FINAL_EXITS: Final = {
    EXIT_INTEGRITY: "the event log is damaged; it is not started again so that nothing gets worse",
    EXIT_CONFIG: "it cannot run with these settings or files",
}

FIRST_DELAY: Final = 0.05
"""About what a start costs (ADR 16): what dies again and again takes half a core for a moment, then less."""
LONGEST_DELAY: Final = 30.0
MAX_DOUBLINGS: Final = 10  # 0.05 s * 2^10 is past the longest delay
FORGIVE_SECONDS: Final = 1.0
"""Each healthy second takes one failure back. Forgiving bit by bit, and not all after 60 s, keeps the
replacement prompt when somebody kills a good child every few seconds, while a child that dies right
after its start still waits longer each time."""
WELL_SECONDS: Final = 5.0
"""After a run that was ready so long, and without failures left to forgive, there is nothing to wait for:
the delay is against children that die again and again."""
MAX_BOOT_FAILURES: Final = 7  # three seconds of trying

PING_SECONDS: Final = 1.0
PINGS_PER_PATIENCE: Final = 4
"""A short heartbeat_timeout is not used up by waiting for the next ping."""
BOOT_SECONDS: Final = 30.0
"""A child that is not ready yet may be silent this long (a hub that recovers calls receive() meanwhile)."""
DUMP_SECONDS: Final = 1.0
"""From SIGABRT, which makes faulthandler write the stacks, to SIGKILL, which also ends a stopped process."""


class Backoff:
    """The delay before the next start: min(30 s, 0.05 s * 2^n) * random(0.5..1); none after a good run."""

    def __init__(self, random: Callable[[], float]) -> None:
        self._random = random
        self._failures = 0

    def delay(self, healthy_seconds: float) -> float:
        """Seconds to wait after a run that was ready for ``healthy_seconds`` (0: never)."""
        self._failures = max(0, self._failures - int(healthy_seconds / FORGIVE_SECONDS))
        if not self._failures and healthy_seconds >= WELL_SECONDS:
            self._failures = 1
            return 0.0
        delay = min(LONGEST_DELAY, FIRST_DELAY * (1 << self._failures))
        self._failures = min(self._failures + 1, MAX_DOUBLINGS)
        return delay * (0.5 + self._random() / 2)


class Verdict(Enum):
    FINE = "fine"
    ABORT = "abort"
    KILL = "kill"


class Heartbeat:
    """Whether one run of a child still answers. Times are seconds of one monotonic clock."""

    def __init__(self, now: float) -> None:
        self._heard = now
        self._pinged = now
        self._aborted: float | None = None

    def heard(self, now: float) -> None:
        """The child gave a sign of life."""
        self._heard = now

    def forgive(self, seconds: float) -> None:
        """The supervisor itself stood still so long (it was stopped, or the box was asleep)."""
        self._heard += seconds

    def ping_due(self, now: float, patience: float) -> bool:
        """True once a second, or oftener when ``patience`` is only a few seconds."""
        if now - self._pinged < min(PING_SECONDS, patience / PINGS_PER_PATIENCE):
            return False
        self._pinged = now
        return True

    def judge(self, now: float, patience: float) -> Verdict:
        """ABORT once when nothing was heard for ``patience`` seconds, KILL ever after its grace."""
        if self._aborted is not None:
            return Verdict.KILL if now - self._aborted >= DUMP_SECONDS else Verdict.FINE
        if now - self._heard < patience:
            return Verdict.FINE
        self._aborted = now
        return Verdict.ABORT


def describe_exit(code: int) -> str:
    """What an exit code as of subprocess (negative: a signal) means, in words."""
    if code >= 0:
        return f"exit code {code}" + (f": {FINAL_EXITS[code]}" if code in FINAL_EXITS else "")
    try:
        return f"killed by {signal.Signals(-code).name}"
    except ValueError:
        return f"killed by signal {-code}"
