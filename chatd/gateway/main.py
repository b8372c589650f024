"""The gateway process: load the certificate, listen, then run the loop of the browsers' sessions."""

from __future__ import annotations

import socket
import ssl
import sys
import threading
from collections.abc import Mapping
from pathlib import PurePath

from cryptography import x509

from chatd.child.sandbox import Sandbox
from chatd.child.supervised import Supervised, ended
from chatd.config.schema import Settings
from chatd.errors import ChatdError
from chatd.gateway.browser_door import Access, BrowserDoor
from chatd.gateway.est import Est
from chatd.gateway.gateway_listener import GatewayListener
from chatd.gateway.hook_door import HookDoor
from chatd.gateway.hub_questions import HubQuestions
from chatd.gateway.join_door import JoinDoor
from chatd.gateway.metrics_desk import MetricsDesk
from chatd.gateway.monitoring import Monitoring
from chatd.gateway.page_files import page_routes
from chatd.gateway.plain_enrolment import PlainEnrolments
from chatd.gateway.routes import Routes
from chatd.logs.logger import get_log
from chatd.pki.contexts import gateway_context_from
from chatd.worker.hub_link import HubLink
from chatd.worker.main import SWITCH_SECONDS
from chatd.worker.session_reader import SessionReader
from chatd.worker.worker import Worker

log_errors = get_log("errors")


def main() -> int:
    """Run the gateway process; the exit code tells the supervisor whether to start it again."""
    child = Supervised.attach(Sandbox())
    try:
        _serve(child)
    except ChatdError as error:
        return ended("gateway_ended", error)
    return 0


def _serve(child: Supervised) -> None:
    sys.setswitchinterval(SWITCH_SECONDS)
    settings, files = child.settings, child.read_files()
    link = HubLink(child.home / "run" / "hub.sock")
    worker = Worker(settings, link, child)
    questions = HubQuestions(link)
    computing = threading.Lock()
    monitoring = Monitoring(MetricsDesk(lambda: questions.ask("metrics")).ask, files)
    browsers = BrowserDoor(SessionReader(worker), _access(settings, files), computing)
    enrolments = PlainEnrolments(child.fd("enrol_out") if settings.server.enrol else None)
    est = Est(enrolments, files)
    joins = JoinDoor(enrolments.open_plain_enrolment)
    hooks = HookDoor(questions.ask, settings, worker.repeats)
    sock = socket.socket(fileno=child.fd("gateway_listener"))
    table = {
        **monitoring.routes(),
        **est.routes(),
        **hooks.routes(),
        **page_routes(),
        "/session": browsers.route(),
        "/join": joins.route(),
    }
    routes = Routes(settings, table, sock.getsockname()[1])
    listener = GatewayListener(
        sock,
        _context(settings, files),
        routes.find,
        worker.repeats,
        computing,
        settings.limits.attempts_per_address,
    )
    browsers.listener = joins.listener = listener

    def apply(changed: Settings) -> None:
        try:
            files = child.read_files()
            browsers.access = _access(changed, files)
            listener.context = _context(changed, files)
            monitoring.reload(files)
            est.reload(files)
            worker.hooks.authorities.take(browsers.access.roots)
        except ChatdError as error:
            # Keep the old ones: a gateway without certificates could serve nobody.
            log_errors.error("certificates_kept", code=error.code, why=error.reason)
        routes.reload(changed)
        hooks.reload(changed)
        listener.attempts.per_second = changed.limits.attempts_per_address

    worker.hooks.authorities.take(browsers.access.roots)
    worker.hooks.reload = apply
    worker.hooks.admitted = listener.slots.logged_in
    worker.hooks.answer = questions.answered
    worker.hooks.hub_lost = questions.lost
    # shutdown() waits for serve_forever, so it must not run on the loop's thread.
    worker.hooks.drain = lambda: threading.Thread(target=listener.shutdown, daemon=True).start()
    threading.Thread(target=listener.serve_forever, name="accept", daemon=True).start()
    child.ready()
    worker.run()


def _context(settings: Settings, files: Mapping[str, bytes]) -> ssl.SSLContext:
    if named := settings.gateway.files:
        certificate, key = (files[PurePath(path).name] for path in named)
        files = {**files, "server.pem": certificate, "server.key": key}
    return gateway_context_from(files, ask_certificates=settings.gateway.client_certificates != "off")


def _access(settings: Settings, files: Mapping[str, bytes]) -> Access:
    return Access(
        roots=tuple(x509.load_pem_x509_certificates(files["ca.pem"])),
        instance=settings.server.name,
        login_seconds=settings.server.handshake_timeout,
        required=settings.gateway.client_certificates == "required",
    )
