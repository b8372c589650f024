"""The metrics as data: each family's name, type, help, and where its samples are in the metrics."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from enum import StrEnum
from typing import Any, Final, NamedTuple

Metrics = dict[str, Any]
Labels = dict[str, str]
Samples = Iterable[tuple[Labels, float]]


class MetricType(StrEnum):
    GAUGE = "gauge"
    COUNTER = "counter"


class Family(NamedTuple):
    """A metric family. ``name`` has its unit as suffix, and not `_total`, which only samples have."""

    name: str
    kind: MetricType
    help: str
    samples: Callable[[Metrics], Samples]


def at(*path: str) -> Callable[[Metrics], Samples]:
    """Make a function that finds the one sample at ``path``; none if the server does not know it."""

    def samples(metrics: Metrics) -> Samples:
        value: Any = metrics
        for step in path:
            value = value.get(step) if isinstance(value, dict) else None
        return [({}, float(value))] if isinstance(value, (int, float)) else []

    return samples


def _of_processes(field: str, factor: float = 1.0) -> Callable[[Metrics], Samples]:
    def samples(metrics: Metrics) -> Samples:
        for process in metrics.get("processes", []):
            value = process.get(field)
            if isinstance(value, (int, float)):
                yield {"process": str(process["name"])}, value * factor

    return samples


def _running(metrics: Metrics) -> Samples:
    for process in metrics.get("processes", []):
        yield {"process": str(process["name"])}, float(process.get("state") == "running")


def _refusals(metrics: Metrics) -> Samples:
    return [({"code": code}, count) for code, count in sorted(metrics.get("refusals", {}).items())]


def _certificates(metrics: Metrics) -> Samples:
    return [({"certificate": name}, ends) for name, ends in sorted(metrics.get("certificates", {}).items())]


def _device_certificates(metrics: Metrics) -> Samples:
    return [({"ends": ends}, count) for ends, count in metrics.get("device_certificates", {}).items()]


_GAUGE, _COUNTER = MetricType.GAUGE, MetricType.COUNTER
COMMIT_SECONDS: Final = "chatd_commit_duration_seconds"
FAMILIES: Final = (
    Family("chatd_uptime_seconds", _GAUGE, "Seconds since the hub started.", at("uptime")),
    Family("chatd_writable", _GAUGE, "1 unless the disk is full and nothing is written.", at("writable")),
    Family("chatd_sessions", _GAUGE, "Sessions that are open.", at("connections", "now")),
    Family("chatd_sessions_limit", _GAUGE, "server.max_connections.", at("connections", "limit")),
    Family("chatd_logins", _COUNTER, "Sessions opened.", at("connections", "total")),
    Family("chatd_logins_refused", _COUNTER, "Logins that the hub has refused.", at("refused_logins")),
    Family("chatd_messages", _COUNTER, "Messages and edits accepted.", at("messages", "accepted")),
    Family("chatd_deliveries", _COUNTER, "Events sent to sessions.", at("messages", "delivered")),
    Family("chatd_refusals", _COUNTER, "Requests refused, by error code.", _refusals),
    Family("chatd_slow_consumers", _COUNTER, "Sessions cut as too slow.", at("slow_consumers")),
    Family("chatd_crypto_errors", _COUNTER, "Records that did not decrypt.", at("crypto_errors")),
    Family("chatd_outbox_bytes", _GAUGE, "Bytes that wait for sessions to read.", at("outbox_bytes")),
    Family("chatd_events", _COUNTER, "Sequence number of the log's last event.", at("head")),
    Family("chatd_rooms", _GAUGE, "Rooms.", at("rooms")),
    Family("chatd_users", _GAUGE, "Users.", at("users")),
    Family("chatd_log_bytes", _GAUGE, "Size of the event log.", at("disk", "log")),
    Family("chatd_wal_bytes", _GAUGE, "Size of its write-ahead log.", at("disk", "wal")),
    Family("chatd_disk_free_bytes", _GAUGE, "Free space on the log's disk.", at("disk", "free")),
    Family("chatd_disk_bytes", _GAUGE, "Size of the log's disk.", at("disk", "total")),
    Family("chatd_log_lines_dropped", _COUNTER, "Lines that no log file has.", at("log_lines_dropped")),
    Family("chatd_process_running", _GAUGE, "1 for a process that serves.", _running),
    Family("chatd_process_restarts", _COUNTER, "Restarts of a process.", _of_processes("restarts")),
    Family("chatd_process_uptime_seconds", _GAUGE, "Seconds since its start.", _of_processes("uptime")),
    Family("chatd_process_cpu_ratio", _GAUGE, "Processors it uses.", _of_processes("cpu", 0.01)),
    Family("chatd_process_resident_bytes", _GAUGE, "Its memory.", _of_processes("rss")),
    Family("chatd_process_threads", _GAUGE, "Its threads.", _of_processes("threads")),
    Family("chatd_process_descriptors", _GAUGE, "Its open descriptors.", _of_processes("fds")),
    Family("chatd_box_load", _GAUGE, "Load average of a minute.", at("box", "load")),
    Family("chatd_box_memory_bytes", _GAUGE, "The machine's memory.", at("box", "memory_total")),
    Family("chatd_box_memory_used_bytes", _GAUGE, "How much of it is used.", at("box", "memory_used")),
    Family(
        "chatd_certificate_end_timestamp_seconds", _GAUGE, "When a certificate expires.", _certificates
    ),
    Family(
        "chatd_device_certificates", _GAUGE, "Devices by when their certificate ends.", _device_certificates
    ),
)  # fmt: skip
