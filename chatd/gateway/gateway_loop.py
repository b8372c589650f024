"""The gateway's loop: the supervisor's messages, the heartbeat, the link to the hub."""

from __future__ import annotations

import selectors
from collections.abc import Callable

from chatd.child.supervised import Supervised
from chatd.errors import ChatdError
from chatd.gateway.gateway_listener import GatewayListener
from chatd.gateway.metrics_desk import MetricsDesk
from chatd.link.hub_desk import HubDesk
from chatd.logs.logger import get_log
from chatd.logs.repeats import Repeats

log_errors = get_log("errors")

TICK_SECONDS = 1.0


class GatewayLoop:
    """Serves until the supervisor says drain. The listener and the connections have threads of their own.

    ``reload`` takes changed settings and files, or raises ChatdError.
    """

    def __init__(
        self,
        child: Supervised,
        hub: HubDesk,
        metrics: MetricsDesk,
        listener: GatewayListener,
        reload: Callable[[], None],
        repeats: Repeats,
    ) -> None:
        self._child = child
        self._hub = hub
        self._listener = listener
        self._take_changes = reload
        self._repeats = repeats
        self._running = True
        self._selector = selectors.DefaultSelector()
        self._selector.register(child, selectors.EVENT_READ, self._supervisor)
        self._selector.register(metrics, selectors.EVENT_READ, metrics.take)

    def run(self) -> None:
        """Return when the supervisor says drain: no request takes long, and each may be sent again."""
        while self._running:
            timeout = self._hub.keep_connected(self._selector, TICK_SECONDS)
            for key, _ in self._selector.select(timeout):
                key.data()
            self._repeats.flush()
        self._listener.shutdown()
        self._repeats.flush(now=True)

    def _supervisor(self) -> None:
        for message in self._child.receive():
            if message["type"] == "drain":
                self._running = False
            elif message["type"] == "reload":
                self._reload()

    def _reload(self) -> None:
        try:
            self._take_changes()
        except ChatdError as error:
            log_errors.error("certificates_kept", code=error.code, why=error.reason)
