"""The nats process: start nats-server, then watch it until the supervisor says drain."""

from __future__ import annotations

import select

from chatd.child.supervised import Supervised, ended
from chatd.errors import ChatdError
from chatd.nats.nats_server import NatsServer

TICK_SECONDS = 0.5


def main() -> int:
    """Run the nats process; the exit code tells the supervisor whether to start it again."""
    # No sandbox: it would hold for nats-server, too, which needs more than a child of chatd.
    child = Supervised.attach()
    try:
        server = NatsServer.start(child.home, child.settings)
    except ChatdError as error:
        return ended("nats_ended", error)
    ready = draining = False
    while server.is_alive():
        if not ready and server.announce():
            ready = True
            child.ready()
        select.select([child], [], [], TICK_SECONDS if ready else 0.02)
        if any(message["type"] == "drain" for message in child.receive()) and not draining:
            draining = True
            server.stop()
    if draining:
        return 0
    return ended("nats_ended", ChatdError("E609", "nats-server has ended", f"see {server.log}"))
