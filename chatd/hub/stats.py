"""The reply to the stats request: counters of the hub, the workers and the supervisor."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Final

from chatd import __version__
from chatd.hub.sessions import Sessions
from chatd.hub.state.context import Context
from chatd.proto.frames import JsonObject

# More processes would not fit one reply.
PROCESSES_LIMIT = 128


# What workers report: counters since their start, and what they hold at present.
WORKER_COUNTERS: Final = ("delivered", "slow_consumers", "crypto_errors")
WORKER_LEVELS: Final = ("outbox_bytes", "busy_permille")


# Upper bounds of a commit's duration in seconds: from an idle SSD to a disk that hangs.
COMMIT_BOUNDS: Final = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0)


class Durations:
    """Counts durations by `COMMIT_BOUNDS`; cumulative, as OpenMetrics defines a histogram."""

    def __init__(self) -> None:
        self._counts = [0] * (len(COMMIT_BOUNDS) + 1)
        self._seconds = 0.0

    def note(self, seconds: float) -> None:
        """Count one duration."""
        self._counts[bisect_left(COMMIT_BOUNDS, seconds)] += 1
        self._seconds += seconds

    def report(self) -> JsonObject:
        """Return {"buckets": [[bound, so many took at most that], ...], "count", "seconds"}."""
        total, buckets = 0, []
        for bound, count in zip(COMMIT_BOUNDS, self._counts, strict=False):
            total += count
            buckets.append([bound, total])
        return {"buckets": buckets, "count": total + self._counts[-1], "seconds": self._seconds}


class WorkerTotals:
    """Sums over all workers since the hub's start; a worker's death takes nothing away."""

    def __init__(self) -> None:
        self._reports: dict[str, Mapping[str, int]] = {}
        self._ended: Counter[str] = Counter()

    def note(self, worker: str, report: Mapping[str, int]) -> None:
        """Take a worker's report. A counter that has fallen shows that the process is another one."""
        last = self._reports.get(worker, {})
        if any(report.get(name, 0) < last.get(name, 0) for name in WORKER_COUNTERS):
            self._ended.update({name: last.get(name, 0) for name in WORKER_COUNTERS})
        self._reports[worker] = report

    def lost(self, worker: str) -> None:
        """Note that a worker's link has ended: it holds nothing more."""
        if worker in self._reports:
            self._reports[worker] = {**self._reports[worker], **dict.fromkeys(WORKER_LEVELS, 0)}

    @property
    def busiest_share(self) -> float:
        """See `chatd.child.busyness`: that of the busiest worker."""
        return max((report.get("busy_permille", 0) for report in self._reports.values()), default=0) / 1000

    def __getitem__(self, name: str) -> int:
        return self._ended[name] + sum(report.get(name, 0) for report in self._reports.values())


class HubStats:
    """Counters since the hub's start (``started``: ms since 1970).

    ``processes`` is the supervisor's latest report on the processes and the box.
    """

    def __init__(self, started: int) -> None:
        self.counters: Counter[str] = Counter()
        # Refused requests by error code; as many as there are codes.
        self.refusals: Counter[str] = Counter()
        self.workers = WorkerTotals()
        self.commits = Durations()
        self.processes: JsonObject = {}
        # the part of the cluster; a server alone has none.
        self.cluster: Callable[[], JsonObject] | None = None
        self._started = started

    def report(self, context: Context, sessions: Sessions) -> JsonObject:
        """Return the reply's result."""
        settings, state = context.rules.settings, context.state
        return {
            "server": settings.server.name,
            "version": __version__,
            "uptime": (context.now - self._started) // 1000,
            "head": state.head,
            "writable": context.writable,
            "connections": {
                "now": len(sessions),
                "total": sessions.opened_total,
                "limit": settings.server.max_connections,
            },
            "messages": {
                "accepted": self.counters["accepted"],
                "delivered": self.workers["delivered"],
                "filtered": self.counters["filtered"],
                "refused": self.counters["refused"],
            },
            "crypto_errors": self.workers["crypto_errors"],
            "rooms": state.room_count,
            "users": len(state.users),
            "processes": self.processes.get("processes", [])[:PROCESSES_LIMIT],
            "box": self.processes.get("box", {}),
            **({} if self.cluster is None else {"cluster": self.cluster()}),
        }
