"""Tell the other hubs of this node each second, take what they tell, and say how the cluster is."""

from __future__ import annotations

import time
from collections.abc import Callable

from chatd import __version__
from chatd.cluster import node_reports
from chatd.cluster.follow_stream import end_of
from chatd.cluster.log_link import LogLink
from chatd.cluster.node_reports import REPORT_SECONDS, NodeReport, read_report
from chatd.cluster.peer_link import PeerLink, PeerMessage
from chatd.cluster.stream_place import StreamPlace
from chatd.errors import ChatdError
from chatd.hub.cluster_stats import ClusterStats
from chatd.proto.frames import JsonObject
from chatd.store.event_log import EventLog


class NodeReporting:
    """Owned by the hub's loop. ``place`` returns the node's place in the stream."""

    def __init__(
        self,
        stats: ClusterStats,
        peers: PeerLink,
        log: EventLog,
        link: LogLink,
        place: Callable[[], StreamPlace],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._stats = stats
        self._peers = peers
        self._log = log
        self._link = link
        self._place = place
        self._clock = clock
        self._due = 0.0

    def advance(self) -> None:
        """Tell the others of this node, if that is due."""
        now = self._clock()
        if now < self._due:
            return
        self._due = now + REPORT_SECONDS
        place, end = self._place(), end_of(self._log)
        self._stats.note_head(end.seq)
        report = NodeReport(place.epoch, end, place.seq, __version__, time.time_ns() // 1_000_000)
        self._peers.send(None, node_reports.KIND, report.header())

    def take(self, message: PeerMessage) -> None:
        """Take what another node tells. Raises ValueError, TypeError."""
        report = read_report(message.header)
        self._stats.note_report(message.sender, report, self._chain_at(report.end.seq))

    def shown(self) -> JsonObject:
        """Return what stats and metrics show of the cluster."""
        return self._stats.report(self._place(), end_of(self._log), self._link.state())

    def _chain_at(self, seq: int) -> bytes | None:
        """Return this log's hash after a committed entry, None if it is not there."""
        try:
            return self._log.point(seq).chain_hash
        except ChatdError:
            return None
