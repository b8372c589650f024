"""A connection's threads: the first logs in, then another reads until the connection ends.

A login touches four times the stack that reading needs, and a thread keeps the stack it has touched; hence
two threads (docs/lab/performance-journal.md).
"""

from __future__ import annotations

import socket
import socketserver
import ssl
import threading
import time
from typing import Any

from chatd.child.attempts import LoginAttempts
from chatd.child.listener import Listener
from chatd.child.login_slots import LoginSlots
from chatd.crashpoints import crash_point
from chatd.errors import ChatdError
from chatd.logs.logger import get_log
from chatd.worker.enrol_door import EnrolDoor
from chatd.worker.login import Credentials, Login, LoginResult
from chatd.worker.session_reader import SessionReader, open_session
from chatd.worker.worker import Worker

log = get_log("connections")
log_security = get_log("security")
log_audit = get_log("audit")
log_errors = get_log("errors")

# Bounds what the kernel buffers for a client that stops reading; the default is about 3.3 MB.
SEND_BUFFER_BYTES = 256 * 1024


class ChatListener(Listener):
    """The listener, with the objects that its connections share."""

    def __init__(
        self,
        sock: socket.socket,
        worker: Worker,
        credentials: Credentials,
        *,
        handshake_seconds: float,
        slots: LoginSlots,
        attempts: LoginAttempts,
        enrol: EnrolDoor | None = None,
    ) -> None:
        super().__init__(sock, Connection, slots, attempts, worker.repeats)
        self.worker = worker
        self.reader = SessionReader(worker)
        self.credentials = credentials
        self.handshake_seconds = handshake_seconds
        self.enrol = enrol or EnrolDoor(None)
        # Protects no data: lets one login compute at a time (see `Login`).
        self.login_lock = threading.Lock()


class Connection(socketserver.BaseRequestHandler):
    """Handles one connection, in threads of its own (see `Listener.process_request`)."""

    request: socket.socket
    server: Any

    def handle(self) -> None:
        """Log in, then start the reader thread."""
        listener: ChatListener = self.server
        crash_point("worker.login.accepted")
        address = str(self.client_address[0])
        try:
            logged_in = self._log_in(listener, address)
        finally:
            listener.slots.release(self.request)
        if logged_in is None:
            self.request.close()
            return
        sock = self.request
        sock.settimeout(None)
        session = open_session(sock, logged_in, address)
        crash_point("worker.login.done")
        try:
            listener.start_thread(address, listener.reader.serve, session)
        except RuntimeError:
            listener.note(log_errors.error, "no_thread", address)
            sock.close()

    def _log_in(self, listener: ChatListener, address: str) -> LoginResult | None:
        sock = self.request
        slot = listener.slots.find(sock)
        if slot is None:
            return None  # dropped before this thread began
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER_BYTES)
        deadline = time.monotonic() + listener.handshake_seconds
        try:
            result = Login(sock, listener.credentials, deadline, listener.login_lock, slot).run()
            if isinstance(result, LoginResult):
                return result
            if why := listener.enrol.hand_over(sock, address, result.first):
                listener.note(log.warning, "enrol_not_possible", address, why=why)
        except TimeoutError:
            listener.note(log.info, "handshake_timeout", address)
        except ssl.SSLError as error:
            # OpenSSL's own constant ("CERTIFICATE_VERIFY_FAILED"), not text from the peer.
            why = getattr(error, "verify_message", "") or error.reason or "TLS failure"
            listener.note(log_security.warning, "tls_refused", address, why=why)
        except ChatdError as error:
            if error.code == "E104":
                listener.worker.crypto_errors += 1
            listener.note(log_security.warning, "login_failed", address, code=error.code, why=error.reason)
        except OSError:
            listener.note(log.info, "handshake_cut", address)
        return None
