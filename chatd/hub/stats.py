"""The reply to the stats request: counters of the hub, the workers and the supervisor."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping

from chatd import __version__
from chatd.hub.sessions import Sessions
from chatd.hub.state.context import Context
from chatd.proto.frames import JsonObject

# More processes would not fit one reply.
PROCESSES_LIMIT = 128


class HubStats:
    """Counters since the hub's start (``started``: ms since 1970).

    ``processes`` is the supervisor's latest report on the processes and the box.
    """

    def __init__(self, started: int) -> None:
        self.counters: Counter[str] = Counter()
        self.processes: JsonObject = {}
        self._started = started

    def report(
        self, context: Context, sessions: Sessions, workers: Iterable[Mapping[str, int]]
    ) -> JsonObject:
        """Return the reply's result; ``workers``: each worker's counters."""
        total: Counter[str] = Counter()
        for counters in workers:
            total.update(counters)
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
                "delivered": total["delivered"],
                "filtered": self.counters["filtered"],
                "refused": self.counters["refused"],
            },
            "crypto_errors": total["crypto_errors"],
            "rooms": state.room_count,
            "users": len(state.users),
            "processes": self.processes.get("processes", [])[:PROCESSES_LIMIT],
            "box": self.processes.get("box", {}),
        }
