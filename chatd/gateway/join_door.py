"""Let browsers redeem invites: bytes to and from the enrol process, through a WebSocket.

The enrol process bounds what an enrolment may cost: attempts, bytes, time. It ends the connection.
"""

from __future__ import annotations

import select
import socket
import ssl
from collections.abc import Callable

from wsproto.frame_protocol import CloseReason, Opcode

from chatd.child.listener import Listener
from chatd.errors import ChatdError
from chatd.gateway.client_stream import WRITE_SECONDS, ClientStream
from chatd.gateway.http_messages import HttpRequest, Route
from chatd.gateway.websocket import WebSocketOpener, compose, compose_close
from chatd.gateway.ws_upgrade import websocket_route
from chatd.logs.logger import get_log
from chatd.proto.events import bye_frame
from chatd.proto.frames import compact

log = get_log("connections")
log_security = get_log("security")

SUBPROTOCOL = "chatd-join.1"
# Frames of one enrolment; `chat join` needs a handful.
_FRAMES_LIMIT = 256
_RECEIVE_BYTES = 16 * 1024


class JoinDoor:
    """Serves the route /join. ``open_enrolment`` connects to the enrol process for a client's address.
    ``listener`` is set once there is one."""

    listener: Listener

    def __init__(self, open_enrolment: Callable[[str], socket.socket]) -> None:
        self._open_enrolment = open_enrolment

    def route(self) -> Route:
        return websocket_route(SUBPROTOCOL, self._serve)

    def _serve(self, _: HttpRequest, stream: ClientStream, first: bytes) -> bool:
        opener = WebSocketOpener(stream.channel, Opcode.BINARY)
        try:
            with self._open_enrolment(stream.address) as enrolment:
                # The enrol process counts this client now, and lets it wait for an admin's decision.
                self.listener.slots.release(stream.sock)
                _pipe(stream, opener, enrolment, first)
        except ChatdError as error:
            self.listener.note(
                log_security.warning, "enrol_not_possible", stream.address, code=error.code, why=error.reason
            )
            _end(stream, compose(Opcode.TEXT, compact(bye_frame(error, retry=False))))
        except (OSError, ssl.SSLError):
            self.listener.note(log.info, "handshake_cut", stream.address)
        return False


def _pipe(stream: ClientStream, opener: WebSocketOpener, enrolment: socket.socket, first: bytes) -> None:
    """Pass bytes on until either side closes. Raises OSError, ssl.SSLError, ChatdError."""
    sock = stream.sock
    sock.settimeout(WRITE_SECONDS)
    enrolment.settimeout(WRITE_SECONDS)
    _to_enrolment(stream, opener, enrolment, first)
    poll = select.poll()
    poll.register(sock, select.POLLIN)
    poll.register(enrolment, select.POLLIN)
    while not opener.closed:
        ready = [fd for fd, _ in poll.poll()]
        if enrolment.fileno() in ready:
            data = enrolment.recv(_RECEIVE_BYTES)
            if not data:
                _end(stream, b"")
                return
            stream.send(compose(Opcode.BINARY, data))
        if sock.fileno() in ready:
            data = sock.recv(_RECEIVE_BYTES)
            if not data:
                return
            _to_enrolment(stream, opener, enrolment, stream.channel.receive(data))


def _to_enrolment(
    stream: ClientStream, opener: WebSocketOpener, enrolment: socket.socket, data: bytes
) -> None:
    for message in opener.feed(data):
        enrolment.sendall(message)
    if opener.parts > _FRAMES_LIMIT:
        raise ChatdError("E100", "too many frames for an enrolment")
    if stream.channel.outgoing_bytes:
        stream.sock.sendall(stream.channel.take_outgoing())


def _end(stream: ClientStream, last: bytes) -> None:
    try:
        reason = CloseReason.POLICY_VIOLATION if last else CloseReason.NORMAL_CLOSURE
        stream.send(last + compose_close(reason))
        stream.close()
    except (OSError, ssl.SSLError):
        return
