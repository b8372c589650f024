"""Beats of the leader, and the suspicion of the others when they hear none."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from typing import Any, Final, NamedTuple

from chatd.store.entry import Point

KIND: Final = "beat"
BEAT_SECONDS: Final = 0.2
# Of `lead_seconds`: two nodes that suspect at once would refuse each other's claims.
JITTER: Final = 0.5
# After a claim that failed: the servers of the stream may have no leader either, for some seconds.
AGAIN_SECONDS: Final = 0.3


class Beat(NamedTuple):
    """A sign of life from the leader: its epoch, the end of its log, its place in the stream, its clock.

    ``format``: the newest format of the stream that it reads.
    """

    epoch: int
    end: Point
    seq: int
    format: int
    clock: int

    def header(self) -> list[Any]:
        """Return the header of its message."""
        return [self.epoch, self.end.seq, self.end.chain_hash.hex(), self.seq, self.format, self.clock]


def read_beat(header: list[Any]) -> Beat:
    """Read the header of a beat. Raises ValueError, TypeError: its sender is another version of chatd."""
    epoch, head, chain, seq, newest, clock = header[:6]
    return Beat(int(epoch), Point(int(head), bytes.fromhex(chain)), int(seq), int(newest), int(clock))


class Suspicion:
    """Suspects the leader after ``seconds`` of silence, and a little more at random."""

    def __init__(self, seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._seconds = seconds
        self._clock = clock
        self._until = 0.0
        self.hear()

    def hear(self) -> None:
        """Note a sign of life."""
        jitter = self._seconds * JITTER * random.random()  # noqa: S311 - not a secret
        self._until = self._clock() + self._seconds + jitter

    def begin(self) -> None:
        """Hold from now on."""
        self._until = self._clock()

    def postpone(self) -> None:
        """Hold again in a moment."""
        self._until = self._clock() + AGAIN_SECONDS * (1 + random.random())  # noqa: S311 - not a secret

    @property
    def holds(self) -> bool:
        return self._clock() >= self._until
