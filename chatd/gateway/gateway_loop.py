"""The gateway's loop: the supervisor's messages, the heartbeat, the link to the hub."""

from __future__ import annotations

import selectors
import time

from chatd.child.supervised import Supervised
from chatd.errors import ChatdError
from chatd.gateway.gateway_listener import GatewayListener
from chatd.gateway.metrics_desk import MetricsDesk
from chatd.gateway.routes import Routes
from chatd.link.hub_desk import HubDesk
from chatd.logs.logger import get_log
from chatd.logs.repeats import Repeats
from chatd.pki.contexts import gateway_context_from

log_errors = get_log("errors")

TICK_SECONDS = 1.0
# Pause between two attempts to reach the hub.
RECONNECT_SECONDS = 0.05


class GatewayLoop:
    """Serves until the supervisor says drain. The listener and the connections have threads of their own."""

    def __init__(
        self,
        child: Supervised,
        hub: HubDesk,
        metrics: MetricsDesk,
        listener: GatewayListener,
        routes: Routes,
        repeats: Repeats,
    ) -> None:
        self._child = child
        self._hub = hub
        self._listener = listener
        self._routes = routes
        self._repeats = repeats
        self._next_connect = 0.0
        self._running = True
        self._selector = selectors.DefaultSelector()
        self._selector.register(child, selectors.EVENT_READ, self._supervisor)
        self._selector.register(metrics, selectors.EVENT_READ, metrics.take)

    def run(self) -> None:
        """Return when the supervisor says drain: no request takes long, and each may be sent again."""
        while self._running:
            self._connect_hub()
            for key, _ in self._selector.select(TICK_SECONDS if self._hub.connected else RECONNECT_SECONDS):
                key.data()
            self._repeats.flush()
        self._listener.shutdown()
        self._repeats.flush(now=True)

    def _connect_hub(self) -> None:
        now = time.monotonic()
        if not self._hub.connected and now >= self._next_connect:
            self._next_connect = now + RECONNECT_SECONDS
            if self._hub.connect():
                self._selector.register(self._hub, selectors.EVENT_READ, self._receive_hub)

    def _receive_hub(self) -> None:
        if not self._hub.receive():
            self._selector.unregister(self._hub)
            self._hub.disconnect()

    def _supervisor(self) -> None:
        for message in self._child.receive():
            if message["type"] == "drain":
                self._running = False
            elif message["type"] == "reload":
                self._reload()

    def _reload(self) -> None:
        try:
            files = self._child.read_files()
            self._listener.context = gateway_context_from(files)
            self._routes.reload(self._child.settings, files)
        except ChatdError as error:
            log_errors.error("certificates_kept", code=error.code, why=error.reason)
