"""A connection's threads: one logs in and ends, one reads until the end and writes nothing.

The handshakes and the RSA of a login touch four times the stack that reading needs, and a thread keeps
what it has touched: hence a thread for each (docs/lab/performance-journal.md).
"""

from __future__ import annotations

import itertools
import socket
import socketserver
import ssl
import threading
import time
from typing import Any

from chatd.crashpoints import crash_point
from chatd.errors import ChatdError
from chatd.logs.logger import get_log
from chatd.proto.events import bye_frame
from chatd.proto.frames import encode
from chatd.worker.dispatch import Dispatcher
from chatd.worker.listener import Listener
from chatd.worker.login import Credentials, LoggedIn, Login
from chatd.worker.session import Session
from chatd.worker.worker import Loop

log = get_log("connections")
log_security = get_log("security")
log_errors = get_log("errors")

# Set aside for each connection for as long as it waits; a message is far smaller.
RECEIVE_BYTES = 4 * 1024
# What the kernel may hold for a reader that has stopped; without it, it takes about 3.3 MB.
SEND_BUFFER_BYTES = 256 * 1024

_sids = itertools.count(1)


class ChatListener(Listener):
    """The listener and what its connections need."""

    def __init__(
        self,
        sock: socket.socket,
        loop: Loop,
        credentials: Credentials,
        *,
        handshake_seconds: float,
        in_flight: int,
        per_address: int,
    ) -> None:
        super().__init__(sock, Connection, in_flight, per_address)
        self.loop = loop
        self.dispatcher = Dispatcher(loop)
        self.credentials = credentials
        self.handshake_seconds = handshake_seconds
        # Not data: logins compute one at a time (see `Login`).
        self.login_turn = threading.Lock()


class Connection(socketserver.BaseRequestHandler):
    """Runs in threads of its own (see `Listener.process_request`)."""

    request: socket.socket
    server: Any

    def handle(self) -> None:
        """From accept to close."""
        listener: ChatListener = self.server
        crash_point("worker.login.accepted")
        address = str(self.client_address[0])
        try:
            logged_in = self._log_in(listener, address)
        finally:
            listener.handshake_over(self.client_address[0])
        if logged_in is None:
            self.request.close()
            return
        sock = self.request
        sock.settimeout(None)
        session = Session(next(_sids), sock, *logged_in, address)
        crash_point("worker.login.done")
        try:
            listener.start_thread(address, self._converse, session, listener)
        except RuntimeError:
            log_errors.error("no_thread", address=address)
            sock.close()

    def _converse(self, session: Session, listener: ChatListener) -> None:
        """From the login to the end."""
        listener.loop.start(session)
        try:
            self._read(session, listener)
        finally:
            listener.loop.ended(session)

    def _log_in(self, listener: ChatListener, address: str) -> LoggedIn | None:
        sock = self.request
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER_BYTES)
        deadline = time.monotonic() + listener.handshake_seconds
        try:
            return Login(sock, listener.credentials, deadline, listener.login_turn).run()
        except TimeoutError:
            log.info("handshake_timeout", address=address)
        except ssl.SSLError as error:
            # The reason is OpenSSL's own constant ("CERTIFICATE_VERIFY_FAILED"), not the peer's text.
            why = getattr(error, "verify_message", "") or error.reason or "TLS failure"
            log_security.warning("tls_refused", address=address, why=why)
        except ChatdError as error:
            if error.code == "E104":
                listener.loop.crypto_errors += 1
            log_security.warning("login_failed", address=address, code=error.code, why=error.reason)
        except OSError:
            log.info("handshake_cut", address=address)
        return None

    def _read(self, session: Session, listener: ChatListener) -> None:
        channel, opener, loop = session.channel, session.opener, listener.loop
        try:
            # The client may have sent its first record together with the end of the login.
            data = b""
            while not session.gone.is_set():
                plain = channel.receive(data)
                if channel.wants_to_send:
                    loop.flush_soon(session)
                if plain:
                    listener.dispatcher.records(session, opener.feed(plain))
                if opener.closed:
                    return
                data = session.sock.recv(RECEIVE_BYTES)
                if not data:
                    log.debug("cut", user=session.name.user, device=session.name.device)
                    return
                session.heard = time.monotonic()
        except ChatdError as error:
            if error.code == "E104":
                loop.crypto_errors += 1
            log_security.warning(
                "protocol_violation",
                user=session.name.user,
                device=session.name.device,
                code=error.code,
                why=error.reason,
            )
            # One word for every broken record: details are for security.log only.
            public = ChatdError("E104" if error.code == "E104" else "E100")
            loop.farewell(session, encode(bye_frame(public, retry=False)))
            session.gone.wait(1.0)
        except (ssl.SSLError, OSError):
            return
