"""The metrics of a cluster of several nodes as data; a server alone has none of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from chatd.gateway.families import Family, Metrics, MetricType, Samples, at


def _node(field: str) -> Callable[[Metrics], Samples]:
    def samples(metrics: Metrics) -> Samples:
        for node in _cluster(metrics).get("members", []):
            value = node.get(field)
            if isinstance(value, (int, float)):
                yield {"node": str(node["node"])}, float(value)

    return samples


def _leads(metrics: Metrics) -> Samples:
    cluster = _cluster(metrics)
    return [({}, float(cluster.get("role") == "leader"))] if cluster else []


def _versions(metrics: Metrics) -> Samples:
    versions = {node.get("version") for node in _cluster(metrics).get("members", [])} - {"", None}
    return [({}, float(len(versions)))] if versions else []


def _appends(metrics: Metrics) -> Samples:
    for name, value in _cluster(metrics).get("append_ms", {}).items():
        if isinstance(value, (int, float)):
            yield {"percentile": name.removeprefix("p")}, value / 1000


def _at(*path: str) -> Callable[[Metrics], Samples]:
    return at("cluster", *path)


def _cluster(metrics: Metrics) -> Metrics:
    cluster = metrics.get("cluster")
    return cluster if isinstance(cluster, dict) else {}


_GAUGE, _COUNTER = MetricType.GAUGE, MetricType.COUNTER
CLUSTER_FAMILIES: Final = (
    Family("chatd_cluster_leads", _GAUGE, "1 if this node leads.", _leads),
    Family("chatd_cluster_epoch", _GAUGE, "How often the lead was claimed.", _at("epoch")),
    Family("chatd_cluster_quorum", _GAUGE, "1 if a majority takes writes.", _at("quorum")),
    Family("chatd_cluster_isolated", _GAUGE, "1 if this node is cut off.", _at("isolated")),
    Family("chatd_cluster_logs_equal", _GAUGE, "1 if all logs are the same.", _at("chain_equal")),
    Family("chatd_cluster_copies", _GAUGE, "Nodes whose log is complete.", _at("copies")),
    Family("chatd_cluster_void_messages", _COUNTER, "Messages that do not count.", _at("void_messages")),
    Family("chatd_cluster_claims", _GAUGE, "Changes of the lead in an hour.", _at("claims_per_hour")),
    Family("chatd_cluster_append_seconds", _GAUGE, "What the last 1000 appends took.", _appends),
    Family("chatd_cluster_stream_messages", _GAUGE, "Messages that it keeps.", _at("stream", "messages")),
    Family("chatd_cluster_stream_bytes", _GAUGE, "Bytes that the stream keeps.", _at("stream", "bytes")),
    Family("chatd_cluster_stream_age_seconds", _GAUGE, "Age of its oldest message.", _at("stream", "age")),
    Family("chatd_cluster_versions", _GAUGE, "Different versions of chatd.", _versions),
    Family("chatd_cluster_node_up", _GAUGE, "1 for a node that is heard.", _node("answers")),
    Family("chatd_cluster_node_behind_events", _GAUGE, "Events that its log lacks.", _node("behind")),
    Family("chatd_cluster_node_behind_seconds", _GAUGE, "Since when it lacks one.", _node("behind_seconds")),
    Family("chatd_cluster_node_skew_seconds", _GAUGE, "By how much its clock differs.", _node("skew")),
    Family("chatd_cluster_node_current", _GAUGE, "1 if its NATS server has all.", _node("stream_current")),
)  # fmt: skip
