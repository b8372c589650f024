"""Peer links in memory, with the faults that real ones have."""

from __future__ import annotations

import os
from typing import Any

from chatd.cluster.peer_link import PeerMessage, pack_message, unpack_message


class MemoryPeers:
    """The network between nodes. ``cut`` has (sender, receiver) pairs whose messages are lost."""

    def __init__(self, *names: str) -> None:
        self.cut: set[tuple[str, str]] = set()
        self.links = {name: MemoryPeerLink(self, name) for name in names}

    def link(self, name: str) -> MemoryPeerLink:
        """Return the link of a node."""
        return self.links[name]

    def isolate(self, name: str) -> None:
        """Lose what a node sends and what is sent to it."""
        self.cut |= {(name, other) for other in self.links} | {(other, name) for other in self.links}

    def close(self) -> None:
        for link in self.links.values():
            link.close()


class MemoryPeerLink:
    """A `PeerLink`."""

    def __init__(self, network: MemoryPeers, name: str) -> None:
        self.name = name
        self._network = network
        self._arrived: list[PeerMessage] = []
        self._wake = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)

    def fileno(self) -> int:
        return self._wake

    def send(self, to: str | None, kind: str, header: list[Any], payload: bytes = b"") -> None:
        data = pack_message(PeerMessage(self.name, kind, header, payload))
        for name, link in self._network.links.items():
            if name != self.name and to in (None, name) and (self.name, name) not in self._network.cut:
                link.arrive(data)

    def receive(self) -> list[PeerMessage]:
        try:
            os.eventfd_read(self._wake)
        except BlockingIOError:
            pass
        arrived, self._arrived = self._arrived, []
        return arrived

    def arrive(self, data: bytes) -> None:
        """Take a message of another node."""
        self._arrived.append(unpack_message(data))
        os.eventfd_write(self._wake, 1)

    def close(self) -> None:
        os.close(self._wake)
