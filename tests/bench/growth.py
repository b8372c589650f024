"""What one log with several nodes carries, by calculation from measured costs: python -m tests.bench.growth.

A model, not a measurement: it says which of the costs in docs/performance.md is reached first, and when.
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterator
from typing import Final, NamedTuple

# docs/performance.md: memory of an idle connection, CPU of a delivery in a busy room, CPU of a login.
CONNECTION_BYTES: Final = 58_000
DELIVERY_SECONDS: Final = 20e-6
LOGIN_SECONDS: Final = 3.5e-3
# Deliveries of 8,400 messages a second in a room of 50 fill two CPUs; a third of that is the hub's.
HUB_MESSAGES: Final = 8_000
# A session that begins or ends is told to each other node: some 100 bytes, 20 microseconds of its hub.
PRESENCE_SECONDS: Final = 20e-6

# Assumptions about people: at most so many are connected, each writes so often, each session lasts so long.
CONNECTED: Final = 0.3
MESSAGES_PER_HOUR: Final = 6.0
SESSION_SECONDS: Final = 4 * 3600.0
# A room has 5 to 1,000 members; half of the messages are in rooms of less than 30.
ROOM_MEDIAN: Final = 30.0
ROOM_SPREAD: Final = 1.2
ROOM_LARGEST: Final = 1_000
SAMPLES: Final = 100_000


class Load(NamedTuple):
    """The load of each of ``nodes`` nodes, and of the hub that leads."""

    users: int
    nodes: int
    connections: int
    memory_gb: float
    deliveries: int
    cores: float
    messages: int
    hub_share: float
    presence_share: float


def mean_audience() -> float:
    """Return how many connected people get a message, on average; the same at each call."""
    draw = random.Random(1)
    rooms = (
        min(draw.lognormvariate(math.log(ROOM_MEDIAN), ROOM_SPREAD), ROOM_LARGEST) for _ in range(SAMPLES)
    )
    return sum(rooms) / SAMPLES * CONNECTED


def load_of(users: int, nodes: int) -> Load:
    """Return the load of a cluster at the busiest hour."""
    connected = users * CONNECTED
    messages = connected * MESSAGES_PER_HOUR / 3600
    deliveries = messages * mean_audience()
    changes = 2 * connected / SESSION_SECONDS
    cores = (deliveries * DELIVERY_SECONDS + changes / 2 * LOGIN_SECONDS) / nodes
    return Load(
        users,
        nodes,
        round(connected / nodes),
        connected / nodes * CONNECTION_BYTES / 1e9,
        round(deliveries / nodes),
        cores,
        round(messages),
        messages / HUB_MESSAGES,
        changes * PRESENCE_SECONDS,
    )


def table() -> Iterator[str]:
    """The lines of a Markdown table."""
    yield "| Users | Nodes | Connections per node | GB | Deliveries/s per node | Cores | Messages/s | Hub |"
    yield "|---|---|---|---|---|---|---|---|"
    for users, nodes in ((10_000, 3), (100_000, 3), (1_000_000, 3), (1_000_000, 5)):
        load = load_of(users, nodes)
        yield (
            f"| {load.users:,} | {load.nodes} | {load.connections:,} | {load.memory_gb:.1f} | "
            f"{load.deliveries:,} | {load.cores:.2f} | {load.messages:,} | {load.hub_share:.0%} |"
        )


if __name__ == "__main__":
    print("\n".join(table()))
