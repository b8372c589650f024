"""Who may try an invite now: judged before anything is computed for a connection."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable

from chatd.child.address_blocks import block_of
from chatd.child.attempts import LoginAttempts
from chatd.child.login_slots import LoginSlot, LoginSlots

# Connections at a time, in all and from one block of addresses. Silent ones make way for others.
SLOTS = 64
SLOTS_PER_BLOCK = 32
# Attempts a second, and how many seconds' worth may come at once. A team behind one address joins within a
# minute. Each costs 5 ms (docs/lab/enrolment.md), so that all together take a twentieth of a core.
ATTEMPTS, ATTEMPTS_BURST_SECONDS = 10.0, 20.0
ATTEMPTS_PER_BLOCK, ATTEMPTS_PER_BLOCK_BURST_SECONDS = 2.0, 50.0
# Codes that the server does not know. A mistyped one is found by its checksum and never gets here, so that
# hardly anybody honest needs a second attempt.
FAILURES, FAILURES_BURST_SECONDS = 1.0, 60.0
FAILURES_PER_BLOCK, FAILURES_PER_BLOCK_BURST_SECONDS = 0.1, 100.0
_ALL = ""


class Admission:
    """Bounds connections, attempts and wrong codes, in all and for each block of addresses."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._attempts = LoginAttempts(ATTEMPTS, clock, ATTEMPTS_BURST_SECONDS)
        self._attempts_per_block = LoginAttempts(ATTEMPTS_PER_BLOCK, clock, ATTEMPTS_PER_BLOCK_BURST_SECONDS)
        self._failures = LoginAttempts(FAILURES, clock, FAILURES_BURST_SECONDS)
        self._failures_per_block = LoginAttempts(FAILURES_PER_BLOCK, clock, FAILURES_PER_BLOCK_BURST_SECONDS)
        self._slots = LoginSlots(SLOTS, SLOTS_PER_BLOCK, clock)

    def admit(self, sock: socket.socket, address: str) -> LoginSlot | None:
        """Take a slot for a connection; None if it may not go on. `leave` gives the slot back."""
        block = block_of(address)
        if not (self._failures.would_allow(_ALL) and self._failures_per_block.would_allow(block)):
            return None
        if not (self._attempts_per_block.would_allow(block) and self._attempts.would_allow(_ALL)):
            return None
        # Whoever finds no slot is told to come back, which costs nothing and is no attempt.
        if not self._slots.take(sock, address):
            return None
        self._attempts_per_block.allow(block)
        self._attempts.allow(_ALL)
        return self._slots.find(sock)

    def leave(self, sock: socket.socket) -> None:
        """Give a connection's slot back."""
        self._slots.release(sock)

    def note_failure(self, address: str) -> None:
        """Count a code that the server does not know."""
        self._failures.allow(_ALL)
        self._failures_per_block.allow(block_of(address))
