"""The accepting side: `socketserver` with its traps closed (docs/architecture.md, "Accepting")."""

from __future__ import annotations

import errno
import os
import socket
import socketserver
import threading
import time
from _thread import start_new_thread
from collections import Counter
from collections.abc import Callable
from typing import Any

from chatd.logs.logger import get_log

log = get_log("connections")
log_errors = get_log("errors")

# A thread's stack; the deepest path (JSON, OpenSSL, logging) was measured at under 100 KiB.
THREAD_STACK_BYTES = 256 * 1024
# How long not to accept when descriptors are used up: long enough not to spin, short for a user.
EXHAUSTED_PAUSE_SECONDS = 0.2
_EXHAUSTED = frozenset((errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM))

# `socketserver` names these; a handler is called with (socket, address, server).
Address = Any


class Listener(socketserver.ThreadingTCPServer):
    """One thread per connection on a listening socket that the supervisor bound.

    ``handler`` runs in the connection's own thread and owns the socket. At most ``in_flight``
    connections may be in their handshake at once, ``per_address`` of them from one address; more
    are turned away before they cost a thread.
    """

    daemon_threads = True
    block_on_close = False

    def __init__(
        self,
        sock: socket.socket,
        handler: type[socketserver.BaseRequestHandler],
        in_flight: int,
        per_address: int,
    ) -> None:
        super().__init__(sock.getsockname()[:2], handler, bind_and_activate=False)
        # The inherited descriptor takes the place of the socket that the base class has made.
        self.socket.close()
        sock.setblocking(False)
        self.socket = sock
        self.in_flight = in_flight
        self.per_address = per_address
        self.turned_away = 0
        self._told_at = float("-inf")
        # Protects _handshakes.
        self._lock = threading.Lock()
        self._handshakes: Counter[str] = Counter()
        # Given back when none is left, to accept and close what waits instead of leaving it hanging.
        self._spare = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
        threading.stack_size(THREAD_STACK_BYTES)

    def get_request(self) -> tuple[socket.socket, Address]:
        """Accept one; the base class would swallow errors and spin (EMFILE)."""
        try:
            return self.socket.accept()
        except OSError as error:
            # Another worker was faster, or the peer has gone: nothing to do.
            if error.errno in _EXHAUSTED:
                self._exhausted(error)
            raise

    def verify_request(self, request: Any, client_address: Address) -> bool:
        """Whether there is room for one more handshake from this address."""
        address = client_address[0]
        with self._lock:
            full = self._handshakes.total() >= self.in_flight or self._handshakes[address] >= self.per_address
            if not full:
                self._handshakes[address] += 1
        if full:
            self.turned_away += 1
            self._tell_turned_away(address)
        return not full

    def _tell_turned_away(self, address: str) -> None:
        # One line a second: a flood must not rotate what else happened out of the log.
        now = time.monotonic()
        if now >= self._told_at + 1.0:
            self._told_at = now
            log.warning("turned_away", address=address, total=self.turned_away)

    def process_request(self, request: Any, client_address: Address) -> None:
        """Start the connection's thread. Not the base class's: it lists all threads each time."""
        try:
            self.start_thread(client_address[0], self.finish_request, request, client_address)
        except RuntimeError:
            self.handshake_over(client_address[0])
            log_errors.error("no_thread", address=client_address[0])
            self.shutdown_request(request)

    def start_thread(self, address: str, target: Callable[..., None], *arguments: Any) -> None:
        """Run ``target`` in a thread of a connection from ``address``.

        Raises RuntimeError when there can be no more.
        """

        def run() -> None:
            try:
                target(*arguments)
            except Exception:
                log_errors.exception("connection_failed", address=address)

        # Not threading.Thread, whose object keeps 2.5 KB for as long as the connection lives.
        start_new_thread(run, ())

    def handshake_over(self, address: str) -> None:
        """The handler calls this once, when the handshake has succeeded or failed."""
        with self._lock:
            self._handshakes[address] -= 1
            if self._handshakes[address] <= 0:
                del self._handshakes[address]

    def handle_error(self, request: Any, client_address: Address) -> None:
        """Errors while accepting; the base class prints a traceback to stderr."""
        log_errors.exception("accept_failed", address=str(client_address[0])[:64])

    def shutdown_request(self, request: Any) -> None:
        """Close without lingering."""
        try:
            request.close()
        except OSError:
            pass

    def _exhausted(self, error: OSError) -> None:
        log_errors.error("cannot_accept", why=os.strerror(error.errno or 0))
        if self._spare >= 0:
            os.close(self._spare)
            # Somebody else may have the number from here on.
            self._spare = -1
        try:
            sock, _ = self.socket.accept()
            sock.close()
        except OSError:
            pass
        try:
            self._spare = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            pass
        time.sleep(EXHAUSTED_PAUSE_SECONDS)
