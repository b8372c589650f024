"""Which format of the stream all nodes of a cluster read: the leader writes no newer one (ADR 55)."""

from __future__ import annotations

from collections.abc import Iterable

from chatd.cluster.stream_message import NEWEST_FORMAT, OLDEST_FORMAT


class StreamFormats:
    """The newest format that each of ``others`` reads, as it has said itself.

    A node that has said nothing to this hub counts with `OLDEST_FORMAT`: it may come back with the version of
    chatd with which it went. So one that is away keeps new kinds of events from all.
    """

    def __init__(self, others: Iterable[str]) -> None:
        self._newest = dict.fromkeys(others, OLDEST_FORMAT)

    def note(self, node: str, newest: object) -> None:
        """Note what a node has said; what is not the number of a format counts as the oldest."""
        if node in self._newest:
            known = isinstance(newest, int) and newest >= OLDEST_FORMAT
            self._newest[node] = newest if known and isinstance(newest, int) else OLDEST_FORMAT

    @property
    def lowest(self) -> int:
        """The newest format that this node and all others read."""
        return min(NEWEST_FORMAT, *self._newest.values()) if self._newest else NEWEST_FORMAT
