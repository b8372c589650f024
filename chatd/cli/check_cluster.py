"""The part of ``chatd check`` about the other nodes of a cluster."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from chatd.cluster.log_link import RESEED
from chatd.codes import CODES
from chatd.config.cluster_section import ClusterSection
from chatd.config.home import Home
from chatd.config.schema import Settings
from chatd.console.cluster_text import (
    LAG_FIX,
    LOGS_DIFFER,
    NO_MAJORITY,
    NTP_FIX,
    PAGE,
    SKEW_SECONDS,
    all_well,
    server_behind,
    versions_finding,
)
from chatd.console.findings import Finding

if TYPE_CHECKING:
    from chatd.nats.cluster_view import ClusterView

STATUS = "run: chatd cluster status"
# A node that follows has within this what another one had.
FOLLOWS_SECONDS = 3.0


def cluster_findings(home: Home, settings: Settings) -> Iterator[Finding]:
    """Look at the nodes as this one's NATS server sees them; at none while the server is stopped."""
    cluster = settings.cluster
    if not cluster.others:
        return
    from chatd.nats.cluster_view import view_cluster  # nats-py is an optional dependency

    if cluster.nats:
        yield from _outside_findings(home, settings)
    try:
        view = view_cluster(home.path, len(cluster.members))
    except OSError:
        return
    found = [*_findings(home.path, cluster, view)]
    yield from found or [all_well(len(view.nodes))]


def _findings(home: Path, cluster: ClusterSection, view: ClusterView) -> Iterator[Finding]:
    if view.stream.gone:
        yield Finding("fail", "cluster", "the stream is gone: nothing can be written", "E621", RESEED)
    elif not view.stream.quorum:
        yield NO_MAJORITY
    if len(set(view.chains.values())) > 1:
        yield LOGS_DIFFER
    for name in cluster.members:
        yield from _node_findings(name, view, cluster.replicas)
    yield from versions_finding({name: node.version for name, node in view.nodes.items()})
    yield from _lags(home, view)


def _outside_findings(home: Home, settings: Settings) -> Iterator[Finding]:
    """Judge NATS servers of one's own, also while chatd is stopped."""
    from chatd.nats.outside_nats import problem_of_outside

    if (problem := problem_of_outside(home.path, settings)) is not None:
        yield Finding("fail", "cluster", problem.reason, problem.code, problem.fix)
    if not settings.cluster.nats_syncs:
        code = CODES["W120"]
        yield Finding("warn", "cluster", code.summary, "W120", code.fix)


def _lags(home: Path, view: ClusterView) -> Iterator[Finding]:
    """Look again if a node lacks events: a lag that passes is none."""
    newest = max((node.head for node in view.nodes.values()), default=0)
    if all(node.head >= newest for node in view.nodes.values()):
        return
    from chatd.nats.cluster_view import view_cluster

    time.sleep(FOLLOWS_SECONDS)
    try:
        later = view_cluster(home, len(view.nodes))
    except OSError:
        return
    for name, node in later.nodes.items():
        if node.head < newest:
            text = f"node {name} is {newest - node.head} events behind, and stays so"
            yield Finding("warn", "cluster", text, "E506", LAG_FIX)


def _node_findings(name: str, view: ClusterView, keepers: int) -> Iterator[Finding]:
    if (node := view.nodes.get(name)) is None:
        yield Finding("warn", "cluster", f"node {name} does not answer", "E607", PAGE)
        return
    if abs(skew := view.skews.get(name, 0.0)) > SKEW_SECONDS:
        text = f"the clock of node {name} differs by {skew:.1f} s"
        yield Finding("warn", "cluster", text, "E612", NTP_FIX)
    elif not (view.stream.gone or view.stream.has_all(name, keepers)):
        yield server_behind(name, STATUS)
    if node.differs:
        text = f"settings of {name} differ: {', '.join(node.differs)}"
        yield Finding("warn", "cluster", text, "E600", f"undo them, or on {name}: chatd reload")
