"""The nats process: start nats-server, then watch it until the supervisor says drain."""

from __future__ import annotations

import select
import time
from functools import partial
from typing import TYPE_CHECKING

from chatd.child.supervised import EXIT_STORAGE, Supervised, ended
from chatd.cluster.joining_note import joining_of
from chatd.cluster.nats_address import read_address
from chatd.errors import ChatdError
from chatd.logs.logger import get_log
from chatd.nats.nats_server import NatsServer
from chatd.nats.store_watch import StoreWatch, has_space

if TYPE_CHECKING:
    from chatd.nats.log_fetch import LogFetch

TICK_SECONDS = 0.5
# A store of a few GB takes seconds.
SLOW_SECONDS = 30.0
SLOW_FIX = "if it stays so, replace this node: see docs/cluster.md, When something fails"

log_errors = get_log("errors")


def main() -> int:
    """Run the nats process; the exit code tells the supervisor whether to start it again."""
    # No sandbox: it would hold for nats-server, too, which needs more than a child of chatd.
    child = Supervised.attach()
    try:
        return _Service(child).run()
    except ChatdError as error:
        code = ended("nats_ended", error)
        # Files that cannot be written for lack of space can be later.
        return EXIT_STORAGE if error.code == "E606" and not has_space(child.home) else code


class _Service:
    """nats-server, and what a node does for the others, until the supervisor says drain."""

    def __init__(self, child: Supervised) -> None:
        self._child = child
        self._server = NatsServer.start(child.home, child.settings)
        self._store = StoreWatch(child.home)
        self._others: _AmongOthers | None = None
        # Whether the server has said where it listens; and why it was told to end.
        self._announced = self._again = self._draining = False
        self._slow_at = time.monotonic() + SLOW_SECONDS

    def run(self) -> int:
        """Serve. Raises E606, E609, E622, E623."""
        while self._server.is_alive() or self._starts_again():
            if not self._announced and self._server.announce():
                self._announce()
            self._tell_if_slow()
            if self._others is not None:
                self._others.tick()
            select.select([self._child], [], [], TICK_SECONDS if self._announced else 0.02)
            if any(message["type"] == "drain" for message in self._child.receive()):
                self._draining = self._stops(self._draining)
            elif self._announced and not self._draining and self._store.wants_restart():
                self._again = self._stops(self._again)
        if self._draining:
            return 0
        why = self._server.why_ended()
        reason = f"nats-server has ended: {why}" if why else "nats-server has ended"
        raise ChatdError("E609", reason, f"see {self._server.log}")

    def _tell_if_slow(self) -> None:
        """Tell once that the server does not serve yet: a damaged store can keep it from that for good."""
        if self._announced or time.monotonic() < self._slow_at:
            return
        self._slow_at = float("inf")
        what = f"nats-server has read its store for {SLOW_SECONDS:g} seconds: the store may be damaged"
        log_errors.error("stream_store_slow", code="E621", what=what, fix=SLOW_FIX)

    def _announce(self) -> None:
        self._announced = True
        if self._others is None:
            self._child.ready()
            self._others = _AmongOthers(self._child) if self._child.settings.cluster.others else None

    def _stops(self, stopping: bool) -> bool:
        """Tell the server to end, once."""
        if not stopping:
            self._server.stop()
        return True

    def _starts_again(self) -> bool:
        """Start the server again if it has ended for the sake of its store."""
        if self._draining or not self._again:
            return False
        self._announced = self._again = False
        self._server = NatsServer.start(self._child.home, self._child.settings)
        return True


class _AmongOthers:
    """What a node does for the others: its status, copies of the log from it and to it."""

    def __init__(self, child: Supervised) -> None:
        from chatd.cluster.nats_thread import NatsThread  # nats-py is an optional dependency
        from chatd.nats.former_servers import FormerServers
        from chatd.nats.node_desk import NodeDesk

        self._home, self._node = child.home, child.settings.cluster.node
        self._address = partial(read_address, child.home)
        link = NatsThread(self._address)
        members = frozenset(child.settings.cluster.members)
        self._former = FormerServers(self._node, members, self._address, link)
        self._desk = NodeDesk(self._home, self._node, link, self._take_members)
        self._fetch: LogFetch | None = None

    def _take_members(self, members: frozenset[str]) -> None:
        self._former.members = members

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
