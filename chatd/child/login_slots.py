"""The logins in progress: how many may run at once, and which of them make way for newcomers."""

from __future__ import annotations

import socket
import threading
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress

from chatd.child.address_blocks import block_of

# A login whose peer has been silent for longer may be dropped when its slot is wanted. A client answers
# within one round trip, and TCP repeats a lost segment within a second.
STALLED_SECONDS = 1.0
# One in this many slots is kept for addresses that logged in lately, so that nobody else can take all.
KNOWN_SHARE = 4
# How many addresses are remembered, and for how long: users come back the next day.
KNOWN_ADDRESSES = 4096
KNOWN_SECONDS = 86_400.0


class LoginSlot:
    """One login in progress. Its connection thread calls `wait_begins` and `wait_ends`."""

    __slots__ = ("_heard", "_silent_since", "key", "known", "sock")

    def __init__(self, sock: socket.socket, key: str, known: bool, now: float) -> None:
        self.sock = sock
        self.key = key
        self.known = known
        self._heard = False
        # None while the server computes: then the peer is the one that waits.
        self._silent_since: float | None = now

    def wait_begins(self, now: float) -> None:
        self._silent_since = now

    def wait_ends(self) -> None:
        """Note that the peer has sent something."""
        self._heard = True
        self._silent_since = None

    def may_drop(self, now: float) -> bool:
        """Whether the peer has sent nothing at all, or nothing for `STALLED_SECONDS`."""
        since = self._silent_since
        return since is not None and (not self._heard or now - since >= STALLED_SECONDS)


class LoginSlots:
    """At most ``limit`` logins, ``per_block`` of them from one block of addresses. For any thread.

    An address that logged in lately counts by itself, and a share of the slots is kept for such addresses.
    When no slot is free, the oldest silent login is dropped; the newcomer is refused only if there is none.
    """

    def __init__(self, limit: int, per_block: int, clock: Callable[[], float] = time.monotonic) -> None:
        self.limit = limit
        self.per_block = per_block
        self._clock = clock
        # Protects everything below.
        self._lock = threading.Lock()
        # In the order of arrival.
        self._slots: dict[socket.socket, LoginSlot] = {}
        self._per_key: Counter[str] = Counter()
        self._unknown = 0
        # Dropped logins whose threads have not ended yet.
        self._dropped: set[socket.socket] = set()
        # Address -> time of its last login, oldest first.
        self._known: dict[str, float] = {}

    def take(self, sock: socket.socket, address: str) -> bool:
        """Take a slot for a new connection; return whether there was one."""
        with self._lock:
            now = self._clock()
            known = self._is_known(address, now)
            key = address if known else block_of(address)
            if len(self._dropped) >= self.limit or not self._make_space(key, known, now):
                return False
            self._slots[sock] = LoginSlot(sock, key, known, now)
            self._per_key[key] += 1
            self._unknown += not known
            return True

    def key_of(self, address: str) -> str:
        """Return the address if it logged in lately, its block otherwise: what limits are counted for."""
        with self._lock:
            return address if self._is_known(address, self._clock()) else block_of(address)

    @property
    def in_use(self) -> int:
        """How many logins are in progress."""
        return len(self._slots)

    def find(self, sock: socket.socket) -> LoginSlot | None:
        """Return a connection's slot; None if it was dropped."""
        with self._lock:
            return self._slots.get(sock)

    def release(self, sock: socket.socket) -> None:
        """Note the end of a login. Its connection thread calls this once."""
        with self._lock:
            self._dropped.discard(sock)
            self._remove(sock)

    def logged_in(self, address: str) -> None:
        """Remember an address from which a user was admitted."""
        with self._lock:
            self._known.pop(address, None)
            self._known[address] = self._clock()
            if len(self._known) > KNOWN_ADDRESSES:
                del self._known[next(iter(self._known))]

    def _is_known(self, address: str, now: float) -> bool:
        return now - self._known.get(address, float("-inf")) < KNOWN_SECONDS

    def _make_space(self, key: str, known: bool, now: float) -> bool:
        if self._per_key[key] >= self.per_block and not self._drop(lambda slot: slot.key == key, now):
            return False
        open_to_all = self.limit - self.limit // KNOWN_SHARE
        if not known and self._unknown >= open_to_all:
            return self._drop(lambda slot: not slot.known, now)
        if len(self._slots) < self.limit:
            return True
        return self._drop(lambda slot: not slot.known, now) or (known and self._drop(lambda _: True, now))

    def _drop(self, candidate: Callable[[LoginSlot], bool], now: float) -> bool:
        """Drop the oldest silent login among the candidates; return whether there was one."""
        slot = next((s for s in self._slots.values() if candidate(s) and s.may_drop(now)), None)
        if slot is None:
            return False
        self._remove(slot.sock)
        self._dropped.add(slot.sock)
        # Wakes the thread that waits for the peer. Under the lock: that thread takes it in `release` before
        # it closes the socket, so the descriptor cannot belong to another connection yet.
        with suppress(OSError):
            slot.sock.shutdown(socket.SHUT_RDWR)
        return True

    def _remove(self, sock: socket.socket) -> None:
        slot = self._slots.pop(sock, None)
        if slot is not None:
            self._unknown -= not slot.known
            self._per_key[slot.key] -= 1
            if not self._per_key[slot.key]:
                del self._per_key[slot.key]
