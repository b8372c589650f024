"""The asks that wait for an admin: bounded in all and for each block of addresses."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from chatd.child.address_blocks import block_of
from chatd.child.attempts import LoginAttempts
from chatd.errors import ChatdError
from chatd.proto.ask_frames import ASK_SECONDS, ASKS_LIMIT

# A few people ask from one place at a time; the rest of the places is for others.
ASKS_PER_BLOCK = 8
# New asks a second, and how many seconds' worth may come at once: as few as wrong codes
# (chatd.enrol.admission). Each is one guess of 24 bits for somebody in the middle.
RATE, RATE_BURST_SECONDS = 1.0, 60.0
RATE_PER_BLOCK, RATE_PER_BLOCK_BURST_SECONDS = 0.1, 100.0
_ALL = ""
BUSY = ChatdError("E218", "too many ask at the moment")


@dataclass(frozen=True)
class PendingAsk:
    """An ask whose words are fixed. ``at`` is in ms since 1970, ``ends`` on the monotonic clock."""

    user: str
    device: str
    address: str
    words: str
    at: int
    ends: float


class PendingAsks:
    """The asks by the hash of their key."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._by_key: dict[str, PendingAsk] = {}
        self._rate = LoginAttempts(RATE, clock, RATE_BURST_SECONDS)
        self._rate_per_block = LoginAttempts(RATE_PER_BLOCK, clock, RATE_PER_BLOCK_BURST_SECONDS)

    def __len__(self) -> int:
        return len(self._by_key)

    def find(self, key: str) -> PendingAsk | None:
        """Return the ask of a key that waits already."""
        self._expire()
        return self._by_key.get(key)

    def allow(self, address: str) -> None:
        """Count an ask that begins. Raises E218 if there are too many, before anything is computed for it."""
        self._expire()
        block = block_of(address)
        if len(self._by_key) >= ASKS_LIMIT or self._count(block) >= ASKS_PER_BLOCK:
            raise BUSY
        # The block first: what it may not do costs the others nothing.
        if not (self._rate_per_block.allow(block) and self._rate.allow(_ALL)):
            raise BUSY

    def add(self, key: str, user: str, device: str, address: str, words: str, at: int) -> PendingAsk:
        """Note an ask. Raises E218 if others were faster since `allow`."""
        if len(self._by_key) >= ASKS_LIMIT or self._count(block_of(address)) >= ASKS_PER_BLOCK:
            raise BUSY
        ask = PendingAsk(user, device, address, words, at, self._clock() + ASK_SECONDS)
        self._by_key[key] = ask
        return ask

    def end(self, key: str) -> None:
        """Forget an ask that was decided."""
        self._by_key.pop(key, None)

    def _count(self, block: str) -> int:
        return sum(block_of(ask.address) == block for ask in self._by_key.values())

    def _expire(self) -> None:
        now = self._clock()
        self._by_key = {key: ask for key, ask in self._by_key.items() if now < ask.ends}
