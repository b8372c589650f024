"""A link to the other nodes from which some messages can be taken before others."""

from __future__ import annotations

import select
from collections.abc import Collection
from typing import Any, Protocol

from chatd.cluster.peer_link import QUEUE_MESSAGES, PeerLink, PeerMessage


class Readable(Protocol):
    """Something that `select` can wait for."""

    def fileno(self) -> int: ...


class PumpedPeers:
    """A `PeerLink` over ``peers``."""

    def __init__(self, peers: PeerLink) -> None:
        self._peers = peers
        self._set_aside: list[PeerMessage] = []

    def fileno(self) -> int:
        return self._peers.fileno()

    def send(self, to: str | None, kind: str, header: list[Any], payload: bytes = b"") -> None:
        self._peers.send(to, kind, header, payload)

    def receive(self) -> list[PeerMessage]:
        messages, self._set_aside = [*self._set_aside, *self._peers.receive()], []
        return messages

    def pump(
        self, seconds: float, kinds: Collection[str], until: Collection[Readable] = ()
    ) -> list[PeerMessage]:
        """Wait at most so long for messages; return those of some kinds, `receive` the others.

        The wait ends as well when something of ``until`` is readable.
        """
        select.select([self._peers, *until], [], [], seconds)
        found: list[PeerMessage] = []
        for message in self._peers.receive():
            if message.kind in kinds:
                found.append(message)
            elif len(self._set_aside) < QUEUE_MESSAGES:
                self._set_aside.append(message)
        return found

    def close(self) -> None:
        self._peers.close()
