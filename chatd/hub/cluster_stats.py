"""The stats of a cluster, as one of its hubs knows them: for stats, metrics and checks."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from chatd import __version__
from chatd.cluster.log_link import StreamState
from chatd.cluster.node_reports import NodeReport
from chatd.cluster.stream_place import StreamPlace
from chatd.config.cluster_section import ClusterSection
from chatd.proto.frames import JsonObject
from chatd.store.entry import Point

# A node that has told nothing for so long is silent. It tells of itself each second.
SILENT_SECONDS: Final = 5.0
# Heads that are remembered, one each second: a longer lag is told as this one.
HEADS_LIMIT: Final = 60
# A log that lacks what is younger only counts as a copy: the next batch is always on its way.
COPY_SECONDS: Final = 2.0
APPENDS_LIMIT: Final = 1000
CLAIMS_LIMIT: Final = 1000
HOUR_SECONDS: Final = 3600.0


@dataclass(slots=True)
class _Heard:
    """The newest report of a node. ``same``: whether its log was a part of this one when last compared."""

    report: NodeReport
    at: float
    skew: float
    same: bool | None = None


class ClusterStats:
    """Counts since the hub's start, and what the others have reported. Owned by the hub's loop.

    ``clock`` is monotonic, ``wall`` is Unix time, both in seconds. Memory is bounded by the members.
    """

    def __init__(
        self,
        cluster: ClusterSection,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._cluster = cluster
        self._clock = clock
        self._wall = wall
        self._heard: dict[str, _Heard] = {}
        self._heads: deque[tuple[float, int]] = deque(maxlen=HEADS_LIMIT)
        self._claims: deque[float] = deque(maxlen=CLAIMS_LIMIT)
        self._appends: deque[float] = deque(maxlen=APPENDS_LIMIT)
        self.void_messages = 0
        self.isolated = False

    def note_report(self, node: str, report: NodeReport, chain: bytes | None) -> None:
        """Take a node's report; ``chain`` is this log's hash after the same entry, None if not known."""
        if node not in self._cluster.others:
            return
        before = self._heard.get(node)
        same = before.same if before is not None else None
        if chain is not None:
            same = chain == report.end.chain_hash
        skew = round(report.clock / 1000 - self._wall(), 1)
        self._heard[node] = _Heard(report, self._clock(), skew, same)

    def note_head(self, head: int) -> None:
        """Note where the own log ends, once a second."""
        self._heads.append((self._clock(), self._newest(head)))

    def note_claim(self) -> None:
        """Count a change of the lead."""
        self._claims.append(self._clock())

    def note_append(self, seconds: float) -> None:
        """Note how long the stream took for a batch; called on the commit thread."""
        self._appends.append(seconds)

    def report(self, place: StreamPlace, end: Point, stream: StreamState | None) -> JsonObject:
        """Return what stats tell of it; see docs/protocol.md."""
        now = self._clock()
        rows = [self._row(name, place, end, stream, now) for name in self._cluster.members]
        same = [heard.same for heard in self._heard.values() if heard.same is not None]
        appends = sorted(self._appends)
        copies = sum(row["answers"] and row["behind_seconds"] < COPY_SECONDS for row in rows)
        return {
            "node": self._cluster.node,
            "role": "leader" if place.leader == self._cluster.node else "follower",
            "leader": place.leader,
            "epoch": place.epoch,
            "generation": place.generation,
            "isolated": self.isolated,
            "quorum": stream.quorum if stream is not None else None,
            "chain_equal": all(same) if same else None,
            "copies": copies,
            "copies_needed": min(self._cluster.copies, len(self._cluster.members)),
            "void_messages": self.void_messages,
            "claims_per_hour": sum(now - at < HOUR_SECONDS for at in self._claims),
            "append_ms": {"p50": _share_ms(appends, 0.5), "p99": _share_ms(appends, 0.99)},
            "stream": self._stream(place, stream),
            "members": rows,
        }

    def _row(
        self, name: str, place: StreamPlace, end: Point, stream: StreamState | None, now: float
    ) -> JsonObject:
        own, heard = name == self._cluster.node, self._heard.get(name)
        head = end.seq if own else heard.report.end.seq if heard is not None else 0
        return {
            "node": name,
            "answers": own or (heard is not None and now - heard.at < SILENT_SECONDS),
            "leads": name == place.leader,
            "head": head,
            "behind": self._newest(end.seq) - head,
            "behind_seconds": round(self._lag(head, now), 1) if own or heard is not None else 0.0,
            "same": True if own else heard.same if heard is not None else None,
            "skew": 0.0 if own or heard is None else heard.skew,
            "version": __version__ if own else heard.report.version if heard is not None else "",
            "stream_current": None if stream is None else stream.has_all(name, self._cluster.replicas),
        }

    def _newest(self, own: int) -> int:
        """Return the last entry that any node has told of; ``own``: where the log here ends."""
        return max([own, *(heard.report.end.seq for heard in self._heard.values())])

    def _lag(self, head: int, now: float) -> float:
        """Return for how long there has been an entry that a log ending at ``head`` lacks."""
        return next((now - at for at, newest in self._heads if newest > head), 0.0)

    def _stream(self, place: StreamPlace, stream: StreamState | None) -> JsonObject:
        if stream is None:
            return {"last": place.seq}
        age = max(0.0, self._wall() - stream.first_at) if stream.messages else 0.0
        return {
            "last": place.seq,
            "leader": stream.leader,
            "messages": stream.messages,
            "bytes": stream.bytes,
            "age": round(age, 1),
        }


def _share_ms(durations: list[float], share: float) -> float | None:
    """Return the duration in ms that this share of sorted ``durations`` does not exceed; None of none."""
    if not durations:
        return None
    return round(1000 * durations[min(int(share * len(durations)), len(durations) - 1)], 2)
