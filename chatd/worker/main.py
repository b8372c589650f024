"""The worker process: load credentials, start the accept thread, run the loop."""

from __future__ import annotations

import socket
import sys
import threading
from collections.abc import Mapping

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, load_pem_private_key

from chatd.child.attempts import LoginAttempts
from chatd.child.login_slots import LoginSlots
from chatd.child.sandbox import Sandbox
from chatd.child.supervised import EXIT_CONFIG, Supervised
from chatd.config.schema import Settings
from chatd.crashpoints import crash_point
from chatd.errors import ChatdError
from chatd.logs.logger import get_log
from chatd.pki.contexts import server_context_from
from chatd.proto.alpn import ALPN_ENVELOPE, ALPN_PLAIN
from chatd.worker.enrol_door import EnrolDoor
from chatd.worker.hub_link import HubLink
from chatd.worker.login import Credentials
from chatd.worker.reader import ChatListener
from chatd.worker.worker import Worker

log = get_log("server")
log_errors = get_log("errors")

# While hundreds of threads log in, the loop would wait 5 ms for the interpreter, again and again.
SWITCH_SECONDS = 0.0005


def main() -> int:
    """Run a worker; the exit code tells the supervisor whether to start it again."""
    child = Supervised.attach(Sandbox())
    try:
        _serve(child)
    except ChatdError as error:
        log_errors.error("worker_ended", code=error.code, why=error.reason, fix=error.fix)
        print(error, file=sys.stderr, flush=True)
        return EXIT_CONFIG if error.code in ("E600", "E601", "E606") else 1
    return 0


def _serve(child: Supervised) -> None:
    sys.setswitchinterval(SWITCH_SECONDS)
    settings = child.settings

    def credentials() -> Credentials:
        # A reload uses renewed certificates; another name or envelope setting needs a restart.
        loaded = load_credentials(
            child.read_files(), settings.server.name, settings.security.encryption_enabled
        )
        worker.hooks.authorities.take(loaded.roots)
        return loaded

    hub = HubLink(child.home / "run" / "hub.sock")
    worker = Worker(settings, hub, child)
    slots = LoginSlots(settings.limits.handshakes, settings.limits.handshakes_per_address)
    attempts = LoginAttempts(settings.limits.attempts_per_address)
    listener = ChatListener(
        socket.socket(fileno=child.fd("listener")),
        worker,
        credentials(),
        handshake_seconds=settings.server.handshake_timeout,
        slots=slots,
        attempts=attempts,
        enrol=EnrolDoor(child.fd("enrol_out") if settings.server.enrol else None),
    )

    listener.shared = settings.workers.count != 1

    def apply(changed: Settings) -> None:
        listener.handshake_seconds = changed.server.handshake_timeout
        slots.limit = changed.limits.handshakes
        slots.per_block = changed.limits.handshakes_per_address
        attempts.per_second = changed.limits.attempts_per_address
        try:
            listener.credentials = credentials()
        except ChatdError as error:
            # Keep the old ones: a worker without credentials could serve nobody.
            log_errors.error("certificates_kept", code=error.code, why=error.reason)

    def surplus(sessions: int) -> None:
        listener.surplus = sessions

    accepting = threading.Thread(target=listener.serve_forever, name="accept", daemon=True)
    worker.hooks.reload = apply
    worker.hooks.surplus = surplus
    worker.hooks.admitted = slots.logged_in
    # shutdown() waits for serve_forever, so it must not run on the loop's thread.
    worker.hooks.drain = lambda: threading.Thread(target=listener.shutdown, daemon=True).start()
    crash_point("worker.start.before_accept")
    accepting.start()
    child.ready()
    crash_point("worker.start.ready")
    worker.run()


def load_credentials(files: Mapping[str, bytes], instance: str, envelope: bool) -> Credentials:
    """Load the server's certificates and keys from the contents of their files. Raises ChatdError E606."""
    try:
        context = server_context_from(files, alpn=ALPN_ENVELOPE if envelope else ALPN_PLAIN)
        roots = x509.load_pem_x509_certificates(files["ca.pem"])
        server = x509.load_pem_x509_certificate(files["server.pem"])
        sealed = x509.load_pem_x509_certificate(files["envelope.pem"])
        # Validating an RSA key takes 0.2 s at each start; `chatd check` does it. The comparison below finds a
        # key of another certificate, with which every handshake would fail.
        pem = files["envelope.key"]
        key = load_pem_private_key(pem, None, unsafe_skip_rsa_key_validation=True)
    except (OSError, ValueError) as error:
        raise ChatdError("E606", f"the server's certificates cannot be read: {error}") from None
    if not isinstance(key, RSAPrivateKey):
        raise ChatdError("E606", "certs/envelope.key is not an RSA key")
    if key.public_key() != sealed.public_key():
        raise ChatdError("E606", "certs/envelope.key is not the key of certs/envelope.pem")
    return Credentials(
        context=context,
        server_leaf=server.public_bytes(Encoding.DER),
        roots=tuple(roots),
        envelope_certificate=sealed.public_bytes(Encoding.DER),
        envelope_key=key,
        instance=instance,
        envelope=envelope,
    )
