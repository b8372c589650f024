"""The operations that a cluster needs of the store of its stream, whichever that is."""

from __future__ import annotations

from enum import Enum
from typing import NamedTuple, Protocol


class Outcome(Enum):
    """The outcome of an append."""

    IN = "in"  # stored at its place, on a majority of the servers' disks
    RIVAL = "rival"  # another message has that place
    UNKNOWN = "unknown"  # it may still be stored


class StreamBounds(NamedTuple):
    """The numbers of the first and of the last message; of an empty stream ``first`` is ``last`` + 1."""

    first: int
    last: int


class StreamGoneError(Exception):
    """There is no stream."""


class Tail(Protocol):
    """The messages of a stream as they are stored. ``fileno`` becomes readable when some have arrived."""

    def fileno(self) -> int: ...

    def receive(self) -> list[bytes]:
        """Return what has arrived, in order and without gaps. Raises StreamGoneError if some are trimmed."""

    def close(self) -> None: ...


class LogLink(Protocol):
    """A stream of messages, numbered from 1 without gaps. Every call may wait; for any one thread at a time.

    Raises OSError while the store does not answer.
    """

    def append(self, after: int, data: bytes, seconds: float) -> Outcome:
        """Store a message as number ``after`` + 1, trying for this long."""

    def read(self, seq: int) -> bytes | None:
        """Return a message; None if it is not stored, or trimmed."""

    def bounds(self) -> StreamBounds:
        """Return what is stored. Raises StreamGoneError."""

    def tail(self, after: int) -> Tail:
        """Return the messages after number ``after``, those to come included. Does not wait."""

    def create(self) -> None:
        """Make the stream anew, empty, whatever it held."""

    def trim(self, upto: int) -> None:
        """Delete the messages up to this number."""

    def close(self) -> None:
        """Close the connection."""
