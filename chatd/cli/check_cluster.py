"""The part of ``chatd check`` about the other nodes of a cluster."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from chatd.cli.cluster_status import SKEW_SECONDS
from chatd.cluster.follow_stream import RESEED
from chatd.config.home import Home
from chatd.config.schema import Settings
from chatd.console.findings import Finding

if TYPE_CHECKING:
    from chatd.nats.cluster_view import ClusterView

STATUS = "run: chatd cluster status"
VERSIONS = "update all: see docs/cluster.md"
PAGE = "see docs/cluster.md, When something fails"


def cluster_findings(home: Home, settings: Settings) -> Iterator[Finding]:
    """Look at the nodes as this one's NATS server sees them; at none while the server is stopped."""
    cluster = settings.cluster
    if not cluster.others:
        return
    from chatd.nats.cluster_view import view_cluster  # nats-py is an optional dependency

    try:
        view = view_cluster(home.path, len(cluster.members))
    except OSError:
        return
    if view.stream.gone:
        yield Finding("fail", "cluster", "the stream is gone: nothing can be written", "E621", RESEED)
    elif not view.stream.quorum:
        yield Finding("fail", "cluster", "no majority of the nodes: nothing can be written", "E506", PAGE)
    if len(set(view.chains.values())) > 1:
        yield Finding("fail", "cluster", "the logs of the nodes differ", "E621", PAGE)
    if len({node.version for node in view.nodes.values()}) > 1:
        yield Finding("warn", "cluster", "the nodes run different versions of chatd", "E618", VERSIONS)
    for name in cluster.members:
        yield from _node_findings(name, view)
    if view.stream.quorum and len(view.nodes) == len(cluster.members):
        yield Finding("ok", "cluster", f"{len(view.nodes)} nodes answer, and a majority takes writes")


def _node_findings(name: str, view: ClusterView) -> Iterator[Finding]:
    if (node := view.nodes.get(name)) is None:
        yield Finding("warn", "cluster", f"node {name} does not answer", "E607", PAGE)
        return
    if abs(skew := view.skews.get(name, 0.0)) > SKEW_SECONDS:
        text = f"the clock of node {name} differs by {skew:.1f} s"
        yield Finding("warn", "cluster", text, "E612", "let all nodes use NTP")
    elif not (view.stream.gone or view.stream.replicas.get(name)):
        yield Finding("warn", "cluster", f"the NATS server of node {name} is behind", "E506", STATUS)
    if node.differs:
        text = f"settings of {name} differ: {', '.join(node.differs)}"
        yield Finding("warn", "cluster", text, "E600", f"undo them, or on {name}: chatd reload")
