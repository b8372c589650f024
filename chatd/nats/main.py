"""The nats process: start nats-server, then watch it until the supervisor says drain."""

from __future__ import annotations

import select
import time
from typing import TYPE_CHECKING

from chatd.child.supervised import EXIT_STORAGE, Supervised, ended
from chatd.errors import ChatdError
from chatd.logs.logger import get_log
from chatd.nats.nats_server import NatsServer
from chatd.nats.store_watch import StoreWatch, has_space

if TYPE_CHECKING:
    from chatd.nats.among_others import AmongOthers

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
        if child.settings.cluster.nats:
            from chatd.nats.outside_service import OutsideService  # nats-py is an optional dependency

            return OutsideService(child).run()
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
        self._others: AmongOthers | None = None
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
            if self._child.settings.cluster.others:
                from chatd.nats.among_others import AmongOthers  # nats-py is an optional dependency

                self._others = AmongOthers(self._child)

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
