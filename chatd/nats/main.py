"""The nats process: start nats-server, then watch it until the supervisor says drain."""

from __future__ import annotations

import select
from functools import partial
from typing import TYPE_CHECKING

from chatd.child.supervised import Supervised, ended
from chatd.cluster.joining_note import joining_of
from chatd.cluster.nats_address import read_address
from chatd.errors import ChatdError
from chatd.nats.nats_server import NatsServer

if TYPE_CHECKING:
    from chatd.nats.log_fetch import LogFetch

TICK_SECONDS = 0.5


def main() -> int:
    """Run the nats process; the exit code tells the supervisor whether to start it again."""
    # No sandbox: it would hold for nats-server, too, which needs more than a child of chatd.
    child = Supervised.attach()
    try:
        server = NatsServer.start(child.home, child.settings)
        return _watch(child, server)
    except ChatdError as error:
        return ended("nats_ended", error)


def _watch(child: Supervised, server: NatsServer) -> int:
    """Serve until nats-server ends. Raises E606, E609, E623."""
    others: _AmongOthers | None = None
    ready = draining = False
    while server.is_alive():
        if not ready and server.announce():
            ready = True
            child.ready()
            others = _AmongOthers(child) if child.settings.cluster.others else None
        if others is not None:
            others.tick()
        select.select([child], [], [], TICK_SECONDS if ready else 0.02)
        if any(message["type"] == "drain" for message in child.receive()) and not draining:
            draining = True
            server.stop()
    if draining:
        return 0
    why = server.why_ended()
    reason = f"nats-server has ended: {why}" if why else "nats-server has ended"
    raise ChatdError("E609", reason, f"see {server.log}")


class _AmongOthers:
    """What a node does for the others: its status, copies of the log from it and to it."""

    def __init__(self, child: Supervised) -> None:
        from chatd.nats.former_servers import FormerServers  # nats-py is an optional dependency
        from chatd.nats.node_desk import NodeDesk

        self._home, self._node = child.home, child.settings.cluster.node
        self._address = partial(read_address, child.home)
        self._desk = NodeDesk(self._home, self._node, self._address)
        self._fetch: LogFetch | None = None
        self._former = FormerServers(frozenset(child.settings.cluster.members), self._address)

    def tick(self) -> None:
        """Begin to copy the log if the home waits for it. Raises E606, E623."""
        self._former.tick()
        if self._fetch is not None and self._fetch.is_running():
            return
        if self._fetch is not None and self._fetch.refusal is not None:
            raise self._fetch.refusal
        try:
            joining = joining_of(self._home)
        except OSError as error:
            raise ChatdError("E606", str(error)) from None
        self._fetch = None
        if joining is not None:
            from chatd.nats.log_fetch import LogFetch  # loaded when needed: most starts need none

            self._fetch = LogFetch(self._home, self._node, joining, self._address)
