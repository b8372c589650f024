"""Read a session's requests, in a thread of its own, until its connection ends."""

from __future__ import annotations

import itertools
import socket
import ssl
import time

from chatd.errors import ChatdError
from chatd.logs.logger import get_log
from chatd.proto.events import bye_frame
from chatd.proto.frames import encode
from chatd.worker.dispatch import Dispatcher
from chatd.worker.login import LoginResult
from chatd.worker.session import SessionPhase, WorkerSession
from chatd.worker.worker import Worker

log = get_log("connections")
log_security = get_log("security")
log_audit = get_log("audit")

# Allocated for each waiting connection; most messages are far smaller.
RECEIVE_BYTES = 4 * 1024

_sids = itertools.count(1)


def open_session(sock: socket.socket, logged_in: LoginResult, address: str) -> WorkerSession:
    """Make the session of a connection that has logged in."""
    return WorkerSession(next(_sids), sock, *logged_in, address)


class SessionReader:
    """Reads the sessions of ``worker``."""

    def __init__(self, worker: Worker) -> None:
        self._worker = worker
        self._dispatcher = Dispatcher(worker)

    def serve(self, session: WorkerSession) -> None:
        """Read until the connection ends. Runs in the session's own thread."""
        self._worker.start(session)
        try:
            self._read(session)
        finally:
            self._worker.finish(session)

    def _read(self, session: WorkerSession) -> None:
        opener, worker = session.opener, self._worker
        try:
            # The first record may have arrived with the end of the login.
            data = b""
            while not session.ended.is_set():
                # After the bye, discard unread: nothing is accepted any more, and closing a socket with
                # unread bytes would reset the connection and lose the bye.
                if session.phase is not SessionPhase.CLOSING:
                    self._take(session, data)
                    if opener.closed:
                        return
                data = session.sock.recv(RECEIVE_BYTES)
                if not data:
                    log.debug("cut", user=session.who.user, device=session.who.device)
                    return
                session.last_heard = time.monotonic()
        except ChatdError as error:
            if error.code == "E104":
                worker.crypto_errors += 1
            worker.repeats.note(
                # A session that the hub has not admitted may be a banned user's.
                (log_security if session.phase is SessionPhase.OPENING else log_audit).warning,
                "protocol_violation",
                session.who.device,
                {"device": session.who.device},
                user=session.who.user,
                code=error.code,
                why=error.reason,
            )
            # Tell the peer nothing about a broken record; the log has the details.
            public = ChatdError("E104" if error.code == "E104" else "E100")
            worker.close_gracefully(session, encode(bye_frame(public, retry=False)))
            session.ended.wait(1.0)
        except (ssl.SSLError, OSError):
            return

    def _take(self, session: WorkerSession, data: bytes) -> None:
        """Handle received bytes. Charges TLS records and WebSocket frames without a request, which nothing
        else limits: a client that reads no answers to key updates and pings pays no more for them."""
        channel, opener = session.channel, session.opener
        records_before, parts_before = channel.records_received, opener.parts
        plain = channel.receive(data)
        # At first, too: the opener may hold what came with the login.
        frames = self._dispatcher.records(session, opener.feed(plain)) if plain or not data else 0
        if channel.outgoing_bytes:
            self._worker.flush_soon(session)
        if data and not opener.closed:
            parts = max(channel.records_received - records_before, opener.parts - parts_before)
            self._dispatcher.charge(session, parts - frames)
