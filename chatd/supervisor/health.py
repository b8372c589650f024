"""When to restart a child and when to give up on it. Callers pass in the time."""

from __future__ import annotations

import signal
from collections.abc import Callable
from enum import Enum
from typing import Final

from chatd.child.supervised import EXIT_CONFIG, EXIT_INTEGRITY
from chatd.errors import ChatdError

FINAL_EXITS: Final = {
    EXIT_INTEGRITY: "no restart, to avoid damage",
    EXIT_CONFIG: "it cannot run with these settings or files",
}

FIRST_DELAY: Final = 0.05
"""About the cost of a start (ADR 16), so a crash loop begins at half a core and soon takes less."""
LONGEST_DELAY: Final = 30.0
MAX_DOUBLINGS: Final = 10  # 0.05 s * 2^10 exceeds the longest delay
HEALTHY_SECONDS_PER_FAILURE: Final = 1.0
"""Each healthy second cancels one failure. If a good child is killed every few seconds it is still replaced
promptly, while a child that dies right after its start waits longer each time."""
NO_DELAY_AFTER_SECONDS: Final = 5.0
"""A run that was ready this long, with every failure cancelled, is followed by an immediate restart."""
MAX_BOOT_FAILURES: Final = 7  # about three seconds of retries

PING_SECONDS: Final = 1.0
PINGS_PER_TIMEOUT: Final = 4
"""Pings are sent more often if heartbeat_timeout is short, so that several fit into it."""
BOOT_SECONDS: Final = 30.0
"""Abort a child that is silent for this long before it is ready. Work that may take longer, such as a
migration of millions of entries, tells of its progress (`chatd.child.boot_progress`): it would only be begun
again after a restart."""
DUMP_SECONDS: Final = 1.0
"""From SIGABRT, which makes faulthandler write the stacks, to SIGKILL, which also ends a stopped process."""


def given_up(name: str, exit_code: object, reason: str) -> ChatdError:
    """Return the error of a child that was given up: E610 for a damaged log, else E609."""
    code = "E610" if exit_code == EXIT_INTEGRITY else "E609"
    # The child's last words may have the code and a fix of their own.
    reason, _, fix = reason.partition(f" ({code}). ")
    return ChatdError(code, f"{name}: {reason}", fix)


class RestartPolicy:
    """The delay before each restart: min(30 s, 0.05 s * 2^n) * random(0.5..1), 0 after a good run."""

    def __init__(self, random: Callable[[], float]) -> None:
        self._random = random
        self._failures = 0
        self.boot_failures = 0

    def delay(self, healthy_seconds: float) -> float:
        """Seconds to wait after a run that was ready for ``healthy_seconds`` (0: never ready)."""
        self._failures = max(0, self._failures - int(healthy_seconds / HEALTHY_SECONDS_PER_FAILURE))
        if not self._failures and healthy_seconds >= NO_DELAY_AFTER_SECONDS:
            self._failures = 1
            return 0.0
        delay = min(LONGEST_DELAY, FIRST_DELAY * (1 << self._failures))
        self._failures = min(self._failures + 1, MAX_DOUBLINGS)
        return delay * (0.5 + self._random() / 2)

    def reason_to_give_up(self, code: int | None, reason: str) -> str:
        """Why a child that ended with ``code`` is not restarted; "" if it is."""
        if code in FINAL_EXITS:
            return reason
        if self.boot_failures >= MAX_BOOT_FAILURES:
            return f"did not become ready {self.boot_failures} times in a row; {reason}"
        return ""


class Verdict(Enum):
    FINE = "fine"
    ABORT = "abort"
    KILL = "kill"


class Heartbeat:
    """Whether one run of a child still answers. Times are seconds on one monotonic clock."""

    def __init__(self, now: float) -> None:
        self._heard_at = now
        self._pinged_at = now
        self._aborted_at: float | None = None

    def heard(self, now: float) -> None:
        """Note that the child sent a message."""
        self._heard_at = now

    def extend(self, seconds: float) -> None:
        """Do not count ``seconds`` in which the supervisor itself was suspended."""
        self._heard_at += seconds

    def ping_due(self, now: float, timeout: float) -> bool:
        """Return True once a second, or more often if ``timeout`` is only a few seconds."""
        if now - self._pinged_at < min(PING_SECONDS, timeout / PINGS_PER_TIMEOUT):
            return False
        self._pinged_at = now
        return True

    def judge(self, now: float, timeout: float) -> Verdict:
        """Return ABORT once after ``timeout`` seconds of silence, and KILL from DUMP_SECONDS later on."""
        if self._aborted_at is not None:
            return Verdict.KILL if now - self._aborted_at >= DUMP_SECONDS else Verdict.FINE
        if now - self._heard_at < timeout:
            return Verdict.FINE
        self._aborted_at = now
        return Verdict.ABORT


def describe_exit(code: int) -> str:
    """Put an exit code of subprocess into words; negative codes are signals."""
    if code >= 0:
        return f"exit code {code}" + (f": {FINAL_EXITS[code]}" if code in FINAL_EXITS else "")
    try:
        return f"killed by {signal.Signals(-code).name}"
    except ValueError:
        return f"killed by signal {-code}"
