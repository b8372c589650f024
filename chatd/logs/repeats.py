"""Few lines for many events: whoever causes events at will must not rotate other lines out of the logs."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable

# A period's repeats become one line for each reason.
PERIOD_SECONDS = 1.0
# Limits of one period. Together they bound the memory, and the lines of a process to about 40 a second:
# some hours of the default files in the worst case, days in all others.
FIRST_LINES = 10
REASONS = 20
SOURCES = 64
# The most frequent sources that a line names.
SHOWN_SOURCES = 5
OTHERS = "others"

# The log's method, the event and its reason.
_Group = tuple[Callable[..., None], str, tuple[tuple[str, str], ...]]


class Repeats:
    """Logs the first event with a reason from a source at once, and counts those that follow.

    Call `flush` at least once in `PERIOD_SECONDS`. It logs a line for each reason that was repeated, with
    ``count``, ``seconds`` and the most frequent ``sources``. A source is one that may cause many events: a
    block of addresses or a user. For any thread.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._began = clock()
        # Protects everything below.
        self._lock = threading.Lock()
        self._first_lines = FIRST_LINES
        # Repeats by source in this period; 0 for a source whose first event was logged in it.
        self._counts: dict[_Group, Counter[str]] = {}
        self._last_counts: dict[_Group, Counter[str]] = {}

    def note(
        self,
        write: Callable[..., None],
        event: str,
        source: str,
        details: dict[str, object] | None = None,
        **reason: str,
    ) -> None:
        """Log or count an event. ``write`` is a method of `Log`; only a first line has the ``details``."""
        group = (write, event, tuple(reason.items()))
        with self._lock:
            if not self._is_first(group, source):
                self._count(group, source)
                return
            self._first_lines -= 1
            self._counts.setdefault(group, Counter())[source] = 0
        write(event, **(details or {}), **reason)

    def flush(self, *, now: bool = False) -> None:
        """Log the repeats of a period that has ended, or all with ``now``."""
        seconds = self._clock() - self._began
        if seconds < PERIOD_SECONDS and not now:
            return
        with self._lock:
            self._began += seconds
            self._first_lines = FIRST_LINES
            self._counts, self._last_counts = {}, self._counts
            counts = self._last_counts
        for (write, event, reason), sources in counts.items():
            if count := sources.total():
                shown = {source: n for source, n in sources.most_common(SHOWN_SOURCES) if n}
                write(event, **dict(reason), count=count, seconds=round(seconds, 1), sources=shown)

    def _is_first(self, group: _Group, source: str) -> bool:
        seen = source in self._counts.get(group, ()) or source in self._last_counts.get(group, ())
        return not seen and self._first_lines > 0

    def _count(self, group: _Group, source: str) -> None:
        if group not in self._counts and len(self._counts) >= REASONS:
            group = (group[0], group[1], (("why", OTHERS),))
        sources = self._counts.setdefault(group, Counter())
        if source not in sources and len(sources) >= SOURCES:
            source = OTHERS
        sources[source] += 1
