"""The gateway process: load the certificate, listen, then serve until the supervisor says drain."""

from __future__ import annotations

import socket
import sys
import threading

from chatd.child.sandbox import Sandbox
from chatd.child.supervised import EXIT_CONFIG, Supervised
from chatd.child.unix_socket import connect_unix
from chatd.errors import ChatdError
from chatd.gateway.gateway_listener import GatewayListener
from chatd.gateway.gateway_loop import GatewayLoop
from chatd.gateway.metrics_desk import MetricsDesk
from chatd.gateway.routes import Routes
from chatd.link.hub_desk import HubDesk
from chatd.logs.logger import get_log
from chatd.logs.repeats import Repeats
from chatd.pki.contexts import gateway_context_from

log_errors = get_log("errors")


def main() -> int:
    """Run the gateway process; the exit code tells the supervisor whether to start it again."""
    child = Supervised.attach(Sandbox())
    try:
        files = child.read_files()
        path = child.home / "run" / "hub.sock"
        hub = HubDesk(lambda: connect_unix(path))
        metrics = MetricsDesk(hub)
        routes = Routes(metrics.ask, child.settings, files)
        repeats = Repeats()
        sock = socket.socket(fileno=child.fd("gateway_listener"))
        listener = GatewayListener(sock, gateway_context_from(files), routes.answer, repeats)
        loop = GatewayLoop(child, hub, metrics, listener, routes, repeats)
        threading.Thread(target=listener.serve_forever, name="accept", daemon=True).start()
        child.ready()
        loop.run()
    except ChatdError as error:
        log_errors.error("gateway_ended", code=error.code, why=error.reason, fix=error.fix)
        print(error, file=sys.stderr, flush=True)
        return EXIT_CONFIG if error.code in ("E600", "E601", "E606") else 1
    return 0
