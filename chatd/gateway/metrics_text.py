"""Write the metrics as text for monitors: OpenMetrics 1.0, or Prometheus's older format.

https://github.com/prometheus/OpenMetrics/blob/v1.0.0/specification/OpenMetrics.md
https://prometheus.io/docs/instrumenting/exposition_formats/
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from chatd.gateway.cluster_families import CLUSTER_FAMILIES
from chatd.gateway.families import COMMIT_SECONDS, FAMILIES, Family, Labels, Metrics, MetricType

OPENMETRICS: Final = "application/openmetrics-text; version=1.0.0; charset=utf-8"
PLAIN: Final = "text/plain; version=0.0.4; charset=utf-8"


def wants_openmetrics(accept: str) -> bool:
    """Whether a monitor's Accept header names OpenMetrics; then it prefers that, as Prometheus does."""
    return "application/openmetrics-text" in accept


def metrics_text(metrics: Metrics, *, openmetrics: bool) -> str:
    """Return the exposition of the metrics."""
    lines: list[str] = []
    for family in (*FAMILIES, *CLUSTER_FAMILIES):
        lines += _family(family, metrics, openmetrics)
    lines += _version(metrics)
    lines += _commits(metrics, openmetrics)
    if openmetrics:
        lines.append("# EOF")
    return "\n".join(lines) + "\n"


def _family(family: Family, metrics: Metrics, openmetrics: bool) -> Iterator[str]:
    samples = list(family.samples(metrics))
    if not samples:
        return
    suffix = "_total" if family.kind is MetricType.COUNTER else ""
    # In the older format the family of a counter has the samples' name.
    yield from _head(family.name if openmetrics else family.name + suffix, family.kind, family.help)
    for labels, value in samples:
        yield _sample(family.name + suffix, labels, value)


def _version(metrics: Metrics) -> Iterator[str]:
    labels = {"version": str(metrics.get("version", "")), "server": str(metrics.get("server", ""))}
    yield from _head("chatd_build", "gauge", "The server's version.")
    yield _sample("chatd_build", labels, 1)


def _commits(metrics: Metrics, openmetrics: bool) -> Iterator[str]:
    commits = metrics.get("commits")
    if not commits:
        return
    yield from _head(COMMIT_SECONDS, "histogram", "Seconds from the begin of a commit until it is durable.")
    for bound, count in [*commits["buckets"], ["+Inf", commits["count"]]]:
        yield _sample(f"{COMMIT_SECONDS}_bucket", {"le": str(bound)}, count)
    yield _sample(f"{COMMIT_SECONDS}_sum", {}, commits["seconds"])
    yield _sample(f"{COMMIT_SECONDS}_count", {}, commits["count"])


def _head(name: str, kind: str, text: str) -> Iterator[str]:
    yield f"# HELP {name} {text}"
    yield f"# TYPE {name} {kind}"


def _sample(name: str, labels: Labels, value: float) -> str:
    number = str(int(value)) if float(value).is_integer() else repr(round(float(value), 6))
    if not labels:
        return f"{name} {number}"
    inside = ",".join(f'{key}="{_escape(text)}"' for key, text in labels.items())
    return f"{name}{{{inside}}} {number}"


def _escape(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
