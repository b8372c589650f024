"""Let browsers in: a WebSocket, a login, and then a session like any other of a worker's."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from typing import NamedTuple

from cryptography import x509
from wsproto.frame_protocol import CloseReason, Opcode

from chatd.child.listener import Listener
from chatd.errors import ChatdError
from chatd.gateway import browser_login
from chatd.gateway.client_stream import ClientStream
from chatd.gateway.http_messages import HttpRequest, Route
from chatd.gateway.websocket import WebSocketOpener, WebSocketSealer, compose, compose_close
from chatd.gateway.ws_upgrade import websocket_route
from chatd.logs.logger import get_log
from chatd.pki.profiles import DeviceCertificate
from chatd.proto.events import bye_frame
from chatd.proto.frames import FRAME_LIMIT, JsonObject, compact
from chatd.worker.login import LoginResult
from chatd.worker.reader import SEND_BUFFER_BYTES
from chatd.worker.session_reader import SessionReader, open_session

log = get_log("connections")
log_security = get_log("security")
log_errors = get_log("errors")

SUBPROTOCOL = "chatd.1"
# Frames before the login, besides the one that logs in: pings of a program that waits for a person.
_FRAMES_BEFORE_LOGIN = 100


class Access(NamedTuple):
    """What logins are judged by. Replaced as a whole when certificates or settings change.

    ``required``: only a TLS client certificate logs in.
    """

    roots: tuple[x509.Certificate, ...]
    instance: str
    login_seconds: float
    required: bool


class BrowserDoor:
    """Serves the route /session. ``listener`` is set once there is one."""

    listener: Listener

    def __init__(self, reader: SessionReader, access: Access, computing: threading.Lock) -> None:
        self.access = access
        self._reader = reader
        # Held by one login at a time while it computes, so that the loop is not starved.
        self._computing = computing

    def route(self) -> Route:
        return websocket_route(SUBPROTOCOL, self._serve)

    def _serve(self, request: HttpRequest, stream: ClientStream, first: bytes) -> bool:
        """Log in and start the session; return whether it has the socket."""
        stream.allow(self.access.login_seconds)
        opener = WebSocketOpener(stream.channel, Opcode.TEXT, browser_login.LOGIN_BYTES)
        try:
            device = self._log_in(request, stream, opener, first)
        except TimeoutError:
            self._note(log.info, "handshake_timeout", stream)
        except ChatdError as error:
            self._note(log_security.warning, "login_failed", stream, code=error.code, why=error.reason)
            _refuse(stream, error)
        except (OSError, ssl.SSLError):
            self._note(log.info, "handshake_cut", stream)
        else:
            return device is not None and self._start(stream, opener, device)
        return False

    def _log_in(
        self, request: HttpRequest, stream: ClientStream, opener: WebSocketOpener, first: bytes
    ) -> DeviceCertificate | None:
        """Return the device that has logged in; None if the client has closed."""
        access, nonce = self.access, browser_login.make_nonce()
        presented = bool(request.certificate)
        _send(stream, browser_login.challenge(nonce, access.instance, certificate=presented))
        message = _next_message(stream, opener, first)
        if message is None:
            return None
        with self._computing:
            if presented:
                return browser_login.device_by_certificate(request.certificate, access.roots, access.instance)
            if access.required:
                raise ChatdError("E200", "this server asks for a client certificate")
            origin, now = request.headers["origin"], datetime.now(UTC)
            return browser_login.device_by_signature(
                message, nonce, origin, access.roots, access.instance, now
            )

    def _start(self, stream: ClientStream, opener: WebSocketOpener, device: DeviceCertificate) -> bool:
        sock = stream.sock
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER_BYTES)
        sock.settimeout(None)
        opener.kind, opener.limit = Opcode.BINARY, FRAME_LIMIT
        result = LoginResult(stream.channel, WebSocketSealer(), opener, *device)
        session = open_session(sock, result, stream.address)
        try:
            self.listener.start_thread(stream.address, self._reader.serve, session)
        except RuntimeError:
            self._note(log_errors.error, "no_thread", stream)
            return False
        return True

    def _note(self, write: Callable[..., None], event: str, stream: ClientStream, **reason: str) -> None:
        self.listener.note(write, event, stream.address, **reason)


def _next_message(stream: ClientStream, opener: WebSocketOpener, data: bytes) -> bytes | None:
    """Return the next message; None if the client has closed. Raises TimeoutError, ChatdError."""
    while (message := opener.next_message(data)) is None:
        if opener.closed:
            return None
        if opener.parts > _FRAMES_BEFORE_LOGIN:
            raise ChatdError("E100", "too many frames before the login")
        if stream.channel.outgoing_bytes:
            stream.sock.sendall(stream.channel.take_outgoing())
        data = stream.receive()
        if not data:
            return None
    return message


def _send(stream: ClientStream, message: JsonObject) -> None:
    stream.send(compose(Opcode.TEXT, compact(message)))


def _refuse(stream: ClientStream, error: ChatdError) -> None:
    try:
        _send(stream, bye_frame(error, retry=False))
        stream.send(compose_close(CloseReason.POLICY_VIOLATION))
        stream.close()
    except (OSError, ssl.SSLError):
        return
