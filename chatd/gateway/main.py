"""The gateway process: load the certificate, listen, then serve until the supervisor says drain."""

from __future__ import annotations

import socket
import threading

from chatd.child.sandbox import Sandbox
from chatd.child.supervised import Supervised, ended
from chatd.child.unix_socket import connect_unix
from chatd.errors import ChatdError
from chatd.gateway.est import Est
from chatd.gateway.gateway_listener import GatewayListener
from chatd.gateway.gateway_loop import GatewayLoop
from chatd.gateway.metrics_desk import MetricsDesk
from chatd.gateway.monitoring import Monitoring
from chatd.gateway.plain_enrolment import PlainEnrolments
from chatd.gateway.routes import Routes
from chatd.link.hub_desk import HubDesk
from chatd.logs.repeats import Repeats
from chatd.pki.contexts import gateway_context_from


def main() -> int:
    """Run the gateway process; the exit code tells the supervisor whether to start it again."""
    child = Supervised.attach(Sandbox())
    try:
        files = child.read_files()
        path = child.home / "run" / "hub.sock"
        hub = HubDesk(lambda: connect_unix(path))
        metrics = MetricsDesk(hub)
        monitoring = Monitoring(metrics.ask, files)
        enrolments = PlainEnrolments(child.fd("enrol_out") if child.settings.server.enrol else None)
        est = Est(enrolments, files)
        routes = Routes(child.settings, monitoring.routes() | est.routes())
        repeats = Repeats()
        sock = socket.socket(fileno=child.fd("gateway_listener"))
        listener = GatewayListener(sock, gateway_context_from(files), routes.find, repeats)

        def reload() -> None:
            changed = child.read_files()
            listener.context = gateway_context_from(changed)
            monitoring.reload(changed)
            est.reload(changed)
            routes.reload(child.settings)

        loop = GatewayLoop(child, hub, metrics, listener, reload, repeats)
        threading.Thread(target=listener.serve_forever, name="accept", daemon=True).start()
        child.ready()
        loop.run()
    except ChatdError as error:
        return ended("gateway_ended", error)
    return 0
