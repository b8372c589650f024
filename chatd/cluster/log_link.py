"""The operations that a cluster needs of the store of its stream, whichever that is."""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from typing import Final, NamedTuple, Protocol

# What to do about a stream that is gone, or that does not continue the log.
RESEED: Final = "stop chatd, then run: chatd cluster reseed"
# Servers that have just started may not know their stream yet.
GONE_SECONDS: Final = 15.0


class Outcome(Enum):
    """The outcome of an append."""

    IN = "in"  # stored at its place, on a majority of the servers' disks
    RIVAL = "rival"  # another message has that place
    UNKNOWN = "unknown"  # it may still be stored


class StreamBounds(NamedTuple):
    """The numbers of the first and of the last message; of an empty stream ``first`` is ``last`` + 1."""

    first: int
    last: int


class StreamState(NamedTuple):
    """What the servers of the stream have said of it last. ``first_at`` is Unix time.

    ``quorum``: a majority takes messages. ``replicas`` tells of each server whether it has all of them.
    ``gone``: the servers answer, and have no such stream.
    """

    quorum: bool
    replicas: Mapping[str, bool]
    leader: str = ""
    last: int = 0
    messages: int = 0
    bytes: int = 0
    first_at: float = 0.0
    gone: bool = False

    def has_all(self, node: str, keepers: int) -> bool:
        """Whether the node's server has all messages, or need have none: so many others keep the stream."""
        return self.replicas.get(node, sum(self.replicas.values()) >= keepers)


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

    def state(self) -> StreamState | None:
        """Return what was heard last of the servers; None if nothing yet. Never waits."""

    def tail(self, after: int) -> Tail:
        """Return the messages after number ``after``, those to come included. Does not wait."""

    def create(self) -> None:
        """Make the stream anew, empty, whatever it held."""

    def trim(self, upto: int) -> None:
        """Delete the messages up to this number."""

    def close(self) -> None:
        """Close the connection."""
