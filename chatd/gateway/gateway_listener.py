"""Accept HTTPS clients, few at a time: a session gives back its slot once it has logged in."""

from __future__ import annotations

import socket
import socketserver
import ssl
import threading
from collections.abc import Callable
from typing import Any, cast

from chatd.child.attempts import LoginAttempts
from chatd.child.listener import Listener
from chatd.child.login_slots import LoginSlots
from chatd.child.tls import TlsChannel
from chatd.gateway.client_stream import ClientStream
from chatd.gateway.http_exchange import HttpExchange
from chatd.gateway.http_messages import HttpAnswer, HttpRequest, Route
from chatd.gateway.tls_handshake import handshake
from chatd.logs.logger import get_log
from chatd.logs.repeats import Repeats

log_security = get_log("security")

# Connections at a time, in all and from one block of addresses. Silent ones make way for others.
SLOTS = 64
SLOTS_PER_BLOCK = 32
# New connections a second from all blocks together: a handshake costs 2 ms, so that a flood takes a fifth
# of a core. From one block there are as many as at the workers (limits.attempts_per_address).
ATTEMPTS = 100.0
_ALL = ""


class GatewayListener(Listener):
    """``context`` is for new connections; a reload replaces it. One handshake holds ``computing`` at a time
    while it computes."""

    def __init__(
        self,
        sock: socket.socket,
        context: ssl.SSLContext,
        find: Callable[[HttpRequest], Route | HttpAnswer],
        repeats: Repeats,
        computing: threading.Lock,
        attempts_per_block: float,
    ) -> None:
        slots = LoginSlots(SLOTS, SLOTS_PER_BLOCK)
        super().__init__(sock, GatewayConnection, slots, LoginAttempts(attempts_per_block), repeats)
        self.context = context
        self.find = find
        self.computing = computing
        self._attempts_of_all = LoginAttempts(ATTEMPTS)

    def verify_request(self, request: Any, client_address: Any) -> bool:
        """Whether a connection may go on: by its block first, so that a block costs the others nothing."""
        if not super().verify_request(request, client_address):
            return False
        if self._attempts_of_all.allow(_ALL):
            return True
        self.slots.release(request)
        self.note(log_security.warning, "too_many_attempts", client_address[0])
        return False


class GatewayConnection(socketserver.BaseRequestHandler):
    """Serves one client on its thread, then gives back its slot; closes the socket unless it is kept."""

    _kept = False

    def handle(self) -> None:
        listener, sock = cast(GatewayListener, self.server), self.request
        slot = listener.slots.find(sock)
        if slot is None:
            return
        channel = TlsChannel(listener.context, server_side=True)
        try:
            handshake(sock, channel, slot, listener.computing)
            first = channel.receive(b"")
        except (OSError, ssl.SSLError):
            return
        stream = ClientStream(sock, channel, self.client_address[0], slot)
        self._kept = HttpExchange(stream, listener.find).serve(first)

    def finish(self) -> None:
        listener = cast(GatewayListener, self.server)
        # First the slot: whoever drops it uses the descriptor, which must still be this connection's.
        listener.slots.release(self.request)
        if not self._kept:
            listener.shutdown_request(self.request)
