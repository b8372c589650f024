"""Accept connections: `socketserver` with its pitfalls avoided (docs/architecture.md, "Accepting")."""

from __future__ import annotations

import errno
import os
import socket
import socketserver
import threading
import time
from _thread import start_new_thread
from collections.abc import Callable
from typing import Any

from chatd.child.address_blocks import block_of
from chatd.child.attempts import LoginAttempts
from chatd.child.login_slots import LoginSlots
from chatd.logs.logger import get_log
from chatd.logs.repeats import Repeats

log = get_log("connections")
log_security = get_log("security")
log_errors = get_log("errors")

# A thread's stack; the deepest path (JSON, OpenSSL, logging) was measured at under 100 KiB.
THREAD_STACK_BYTES = 256 * 1024
# Pause in accepting when no descriptor is left: long enough not to spin, short for a user.
EXHAUSTED_PAUSE_SECONDS = 0.2
# A worker with more sessions than the others waits before it accepts, for each of them so long, and an idle
# one takes the connection meanwhile. Short: where all are busy, 200 accepts a second are still more than the
# logins that a worker computes.
SURPLUS_PAUSE_SECONDS, SURPLUS_PAUSE_LIMIT = 0.0005, 0.005
# The counts of two workers differ by this much when they take turns.
SURPLUS_ALLOWED = 1
# The hub knows of a session only after its login, and a burst of connections is accepted before that. So a
# worker also waits for each of its logins in progress: it computes one at a time. Shorter, because peers that
# keep silent count as well.
LOGIN_PAUSE_SECONDS, LOGIN_PAUSE_LIMIT = 0.0005, 0.002
LOGINS_ALLOWED = 1
_EXHAUSTED = frozenset((errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM))

Address = Any


def accept_pause(surplus: int, logins: int) -> float:
    """Return for how many seconds a worker lets the others accept.

    ``surplus``: its sessions above the mean of all workers; ``logins``: those in progress here.
    """
    pause = 0.0
    if surplus > SURPLUS_ALLOWED:
        pause = min(surplus * SURPLUS_PAUSE_SECONDS, SURPLUS_PAUSE_LIMIT)
    if logins > LOGINS_ALLOWED:
        pause += min(logins * LOGIN_PAUSE_SECONDS, LOGIN_PAUSE_LIMIT)
    return pause


class Listener(socketserver.ThreadingTCPServer):
    """Accepts on a socket that the supervisor bound; starts a thread for each connection.

    ``handler`` runs in that thread, owns the socket and releases its slot of ``slots``. Connections for
    which there is none, or that are more ``attempts`` than allowed, are closed before they cost a thread.
    """

    daemon_threads = True
    block_on_close = False
    # Of the socket that the base class makes and `__init__` closes: the sandbox permits no other family.
    address_family = socket.AF_UNIX

    def __init__(
        self,
        sock: socket.socket,
        handler: type[socketserver.BaseRequestHandler],
        slots: LoginSlots,
        attempts: LoginAttempts,
        repeats: Repeats,
    ) -> None:
        super().__init__(sock.getsockname()[:2], handler, bind_and_activate=False)
        # Replace the base class's socket by the inherited one.
        self.socket.close()
        sock.setblocking(False)
        self.socket = sock
        self.slots = slots
        self.attempts = attempts
        self.repeats = repeats
        # Whether other processes accept on the same socket.
        self.shared = False
        # Sessions of this worker above the mean of all workers, as the hub counts.
        self.surplus = 0
        # Closed when no other descriptor is left, to accept and close a waiting connection.
        self._spare = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
        threading.stack_size(THREAD_STACK_BYTES)

    def get_request(self) -> tuple[socket.socket, Address]:
        """Accept a connection; the base class would swallow errors and spin (EMFILE)."""
        if self.shared and (pause := accept_pause(self.surplus, self.slots.in_use)):
            time.sleep(pause)
        try:
            return self.socket.accept()
        except OSError as error:
            # Other errors: another worker was faster, or the peer has gone.
            if error.errno in _EXHAUSTED:
                self._exhausted(error)
            raise

    def verify_request(self, request: Any, client_address: Address) -> bool:
        """Whether the address may try to log in now, and there is a slot for one more login."""
        address = client_address[0]
        if not self.attempts.allow(self.slots.key_of(address)):
            self.note(log_security.warning, "too_many_attempts", address)
            return False
        if self.slots.take(request, address):
            return True
        self.note(log.warning, "turned_away", address)
        return False

    def note(self, write: Callable[..., None], event: str, address: str, **reason: str) -> None:
        """Log an event that an unknown peer can cause at will."""
        self.repeats.note(write, event, block_of(address), {"address": address}, **reason)

    def process_request(self, request: Any, client_address: Address) -> None:
        """Start the connection's thread. The base class would walk a list of all threads."""
        try:
            self.start_thread(client_address[0], self.finish_request, request, client_address)
        except RuntimeError:
            self.slots.release(request)
            self.note(log_errors.error, "no_thread", client_address[0])
            self.shutdown_request(request)

    def start_thread(self, address: str, target: Callable[..., None], *arguments: Any) -> None:
        """Run ``target`` in a new thread. Raises RuntimeError when no thread can be started."""

        def run() -> None:
            try:
                target(*arguments)
            except Exception:  # noqa: BLE001 - logged with its traceback
                self.note(log_errors.exception, "connection_failed", address)

        # A threading.Thread would keep 2.5 KB for as long as the connection lives.
        start_new_thread(run, ())

    def handle_error(self, request: Any, client_address: Address) -> None:
        """Log an error; the base class would print a traceback to stderr."""
        self.note(log_errors.exception, "accept_failed", str(client_address[0]))

    def shutdown_request(self, request: Any) -> None:
        """Close without lingering."""
        try:
            request.close()
        except OSError:
            pass

    def _exhausted(self, error: OSError) -> None:
        self.repeats.note(log_errors.error, "cannot_accept", "listener", why=os.strerror(error.errno or 0))
        if self._spare >= 0:
            os.close(self._spare)
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
