"""The answer to the stats request: what the hub, the workers and the supervisor have counted."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from chatd import __version__
from chatd.proto.frames import JsonObject

if TYPE_CHECKING:
    from chatd.hub.hub import Hub

# More processes than this do not fit one reply, and nobody runs them.
PROCESSES_LIMIT = 128


def overview(hub: Hub, now: int) -> JsonObject:
    """Counters since each process's start; process figures as of the supervisor's last sample."""
    workers: Counter[str] = Counter()
    for link in hub.links.values():
        workers.update(link.counts)
    processes = hub.processes.get("processes", [])
    return {
        "server": hub.rules.settings.server.name,
        "version": __version__,
        "uptime": (now - hub.started) // 1000,
        "head": hub.state.head,
        "writable": hub.writable,
        "connections": {
            "now": len(hub.sessions),
            "total": hub.sessions.opened_total,
            "limit": hub.rules.settings.server.max_connections,
        },
        "messages": {
            "accepted": hub.counters["accepted"],
            "delivered": workers["delivered"],
            "filtered": hub.counters["filtered"],
            "refused": hub.counters["refused"],
        },
        "crypto_errors": workers["crypto_errors"],
        "rooms": sum(name[0] == "#" for name in hub.state.rooms),
        "users": len(hub.state.users),
        "processes": processes[:PROCESSES_LIMIT],
        "box": hub.processes.get("box", {}),
    }
