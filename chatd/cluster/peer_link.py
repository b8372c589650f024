"""Messages between the hubs of a cluster.

    kind      header                                         payload
    beat      epoch, head, chain, stream seq, format, clock  -
    applied   seq, newest format that the node reads         -
    leave     epoch, successor or ""                         -
    lead      epoch                                          -
    key       see `chatd.hub.peers`
    ask       see `chatd.hub.peers`
    answer    see `chatd.hub.peers`
    sessions  see `chatd.hub.peers`
    asks      see `chatd.hub.peers`

They are hints, or have an answer: each may be lost. Nothing durable depends on one.
"""

from __future__ import annotations

import threading
from typing import Any, Final, NamedTuple, Protocol

from chatd.link.wire import LinkBuffer, pack

# Of each direction. A hub that reads nothing for a second loses what its peers say beyond it.
QUEUE_MESSAGES: Final = 16_384
QUEUE_BYTES: Final = 16 * 1024 * 1024


class PeerMessage(NamedTuple):
    """A message of the node ``sender``."""

    sender: str
    kind: str
    header: list[Any]
    payload: bytes


class PeerLink(Protocol):
    """A node's connection to the other nodes. Those of one sender arrive in order, if at all.

    ``fileno`` becomes readable when something has arrived.
    """

    def fileno(self) -> int: ...

    def send(self, to: str | None, kind: str, header: list[Any], payload: bytes = b"") -> None:
        """Send a message to a node, or to all others. Never blocks; the message may be lost."""

    def receive(self) -> list[PeerMessage]:
        """Return what has arrived, in order."""

    def close(self) -> None: ...


def pack_message(message: PeerMessage) -> bytes:
    """Return a message's bytes."""
    return pack([message.sender, message.kind, message.header], message.payload)


def unpack_message(data: bytes) -> PeerMessage:
    """Read a message. Raises ValueError."""
    for (sender, kind, header), payload in LinkBuffer().feed(data):
        if not (isinstance(sender, str) and isinstance(kind, str) and isinstance(header, list)):
            break
        return PeerMessage(sender, kind, header, payload)
    raise ValueError("not a message of a hub")


class PeerQueue:
    """Packed messages that wait, up to `QUEUE_MESSAGES` and `QUEUE_BYTES`; any thread may use it.

    ``lost`` counts those beyond.
    """

    def __init__(self) -> None:
        self.lost = 0
        self._lock = threading.Lock()
        self._messages: list[tuple[str, bytes]] = []
        self._bytes = 0

    def append(self, to: str, data: bytes) -> bool:
        """Queue a message for a node; return whether there was space."""
        with self._lock:
            if len(self._messages) >= QUEUE_MESSAGES or self._bytes + len(data) > QUEUE_BYTES:
                self.lost += 1
                return False
            self._messages.append((to, data))
            self._bytes += len(data)
            return True

    def take(self) -> list[tuple[str, bytes]]:
        """Return what waits, oldest first."""
        with self._lock:
            messages, self._messages, self._bytes = self._messages, [], 0
        return messages
