"""What the stats tell of a cluster, as lines and as findings: one text for every command."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from chatd.console.findings import Finding
from chatd.console.format import duration
from chatd.proto.text import visible

# A node that is behind for longer stays so: a batch arrives within a fraction of a second.
LAG_SECONDS: Final = 10.0
# Beats and certificates bear some; beyond that messages seem to come from the future.
SKEW_SECONDS: Final = 2.0
STATUS: Final = "on the box: chatd cluster status"
PAGE: Final = "see docs/cluster.md, When something fails"
LAG_FIX: Final = f"on it: chatd status, and see logs/errors.log; {PAGE}"
NTP_FIX: Final = "let all nodes use NTP"
NO_MAJORITY: Final = Finding(
    "fail", "cluster", "no majority of the nodes: nothing can be written", "E506", PAGE
)
LOGS_DIFFER: Final = Finding("fail", "cluster", "the logs of the nodes differ", "E621", PAGE)


def cluster_lines(cluster: Mapping[str, Any]) -> Iterator[str]:
    """Yield how it is: one line of the cluster, one of its stream, and one of each node."""
    copies = f"{_shown(cluster, 'copies')} copies of the log"
    quorum = cluster.get("quorum")
    writes = "writes" if quorum else "no majority" if quorum is False else "no news of a majority yet"
    yield (
        f"cluster        {_shown(cluster, 'role')} {_shown(cluster, 'node')}, epoch"
        f" {_shown(cluster, 'epoch')}, led by {_shown(cluster, 'leader')}, {writes}, {copies}"
    )
    stream, append = cluster.get("stream") or {}, cluster.get("append_ms") or {}
    parts = [f"message {_shown(stream, 'last')}"]
    if "bytes" in stream:
        parts.append(
            f"keeps {_shown(stream, 'messages')} of {duration(stream.get('age'))},"
            f" {stream['bytes'] / 2**20:.1f} MiB"
        )
    if append.get("p50") is not None:
        parts.append(f"append p50 {append['p50']:g} ms, p99 {append['p99']:g} ms")
    parts.append(f"{_shown(cluster, 'claims_per_hour')} claims/h, {_shown(cluster, 'void_messages')} void")
    yield f"stream         {', '.join(parts)}"
    for node in cluster.get("members") or []:
        yield f"node           {_node(node)}"


def cluster_findings(cluster: Mapping[str, Any]) -> Iterator[Finding]:
    """Yield what is wrong with the cluster, with a fix; if nothing is, that."""
    found = [*_of_cluster(cluster)]
    for node in cluster.get("members") or []:
        found += _of_node(node)
    yield from found or [all_well(len(cluster.get("members") or []))]


def all_well(nodes: int) -> Finding:
    """Return the finding of a cluster in which all of so many nodes answer."""
    return Finding("ok", "cluster", f"{nodes} nodes answer, and a majority takes writes")


def server_behind(node: str, fix: str) -> Finding:
    """Return the finding of a node whose NATS server lacks messages of the stream."""
    return Finding("warn", "cluster", f"the NATS server of node {node} is behind", "E506", fix)


def versions_finding(versions: Mapping[str, str]) -> Iterator[Finding]:
    """Yield a warning if the nodes have different versions; ``versions`` by node."""
    if len(set(versions.values())) > 1:
        which = ", ".join(f"{node} has {version}" for node, version in sorted(versions.items()))
        fix = "update the others, the one that leads last"
        yield Finding("warn", "cluster", f"versions differ: {which}", "W119", fix)


def _of_cluster(cluster: Mapping[str, Any]) -> Iterator[Finding]:
    if cluster.get("isolated"):
        text = f"node {_shown(cluster, 'node')} is cut off from the others; what it shows may be old"
        yield Finding("fail", "cluster", text, "E506", "mend the network between the nodes")
    elif cluster.get("quorum") is False:
        yield NO_MAJORITY
    if cluster.get("chain_equal") is False:
        yield LOGS_DIFFER
    members = cluster.get("members") or []
    versions = {str(one["node"]): _shown(one, "version") for one in members if one.get("version")}
    yield from versions_finding(versions)


def _of_node(node: Mapping[str, Any]) -> Iterator[Finding]:
    name = _shown(node, "node")
    if not node.get("answers"):
        yield Finding("warn", "cluster", f"node {name} is silent", "E607", f"on it: chatd start; or {PAGE}")
        return
    if node.get("behind_seconds", 0) > LAG_SECONDS:
        text = f"node {name} has been {_shown(node, 'behind')} events behind for {_lag(node)}"
        yield Finding("warn", "cluster", text, "E506", LAG_FIX)
    if abs(node.get("skew", 0)) > SKEW_SECONDS:
        text = f"the clock of node {name} differs by {node['skew']:g} s"
        yield Finding("warn", "cluster", text, "E612", NTP_FIX)
    if node.get("stream_current") is False:
        yield server_behind(name, STATUS)


def _node(node: Mapping[str, Any]) -> str:
    name = _shown(node, "node")
    if not node.get("answers"):
        return f"{name}  silent"
    words = ["leads" if node.get("leads") else "follows", f"event {_shown(node, 'head')}"]
    if node.get("behind"):
        words.append(f"{_shown(node, 'behind')} behind for {_lag(node)}")
    if node.get("same") is False:
        words.append("ANOTHER LOG")
    if node.get("stream_current") is False:
        words.append("its NATS server is behind")
    if abs(node.get("skew", 0)) > SKEW_SECONDS:
        words.append(f"its clock differs by {node['skew']:g} s")
    words.append(f"chatd {_shown(node, 'version')}")
    return f"{name}  {', '.join(words)}"


def _lag(node: Mapping[str, Any]) -> str:
    return duration(node.get("behind_seconds"))


def _shown(part: Mapping[str, Any], name: str) -> str:
    return visible(str(part.get(name, "-")), newlines=False)
