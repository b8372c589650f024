"""The text for monitors: names, types and numbers as OpenMetrics and the older format define them."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from typing import Any

import pytest

from chatd.gateway.cluster_families import CLUSTER_FAMILIES
from chatd.gateway.families import FAMILIES, MetricType
from chatd.gateway.metrics_text import metrics_text, wants_openmetrics
from chatd.hub.stats import COMMIT_BOUNDS, Durations, WorkerTotals
from tests.tools.doctables import MONITORING

SAMPLE = re.compile(r'[a-z_]+(\{[a-z]+="(?:[^"\\\n]|\\.)*"(,[a-z]+="(?:[^"\\\n]|\\.)*")*\})? -?[0-9.e+-]+')


def known() -> dict[str, Any]:
    """What a hub tells, with awkward names."""
    commits = Durations()
    for seconds in (0.0001, 0.0005, 0.0006, 60.0):
        commits.note(seconds)
    return {
        "server": 'a "b"\n\\c',
        "version": "1.0",
        "uptime": 5,
        "head": 17,
        "writable": True,
        "connections": {"now": 2, "total": 9, "limit": 50},
        "messages": {"accepted": 3, "delivered": 8, "filtered": 1, "refused": 2},
        "slow_consumers": 0,
        "outbox_bytes": 12,
        "crypto_errors": 0,
        "rooms": 1,
        "users": 4,
        "refusals": {"E301": 2, "E400": 1},
        "refused_logins": 1,
        "commits": commits.report(),
        "log_lines_dropped": 0,
        "disk": {"free": 1, "total": 2, "log": 3, "wal": 4},
        "processes": [
            {"name": "hub", "state": "running", "restarts": 1, "uptime": 2.5}
            | {"cpu": 12.5, "rss": 7, "threads": 6, "fds": 9},
            {"name": "worker-1", "state": "backoff", "restarts": 3, "uptime": 0.0},
        ],
        "box": {"load": 0.5, "memory_total": 10, "memory_used": 5},
        "device_certificates": {"past": 1, "7d": 0, "30d": 2, "later": 3},
        "certificates": {"ca": 2_000_000_000.0, "server": 1_900_000_000.0},
        "cluster": {
            "role": "leader", "epoch": 3, "quorum": True, "isolated": False, "chain_equal": True, "copies": 3,
            "void_messages": 1, "claims_per_hour": 2, "append_ms": {"p50": 2.5, "p99": None},
            "stream": {"last": 9, "leader": "a", "messages": 4, "bytes": 2048, "age": 1.5},
            "members": [
                {"node": "a", "answers": True, "behind": 0, "behind_seconds": 0.0, "skew": 0.0}
                | {"version": "1.0", "stream_current": True},
            ],
        },
    }  # fmt: skip


@pytest.mark.parametrize("openmetrics", [False, True])
def test_every_line_is_a_comment_or_a_sample(openmetrics: bool) -> None:
    lines = metrics_text(known(), openmetrics=openmetrics).splitlines()
    assert (lines[-1] == "# EOF") == openmetrics
    wrong = [line for line in lines if not line.startswith("# ") and not SAMPLE.fullmatch(line)]
    assert not wrong


def test_samples_have_the_values_of_the_server() -> None:
    lines = metrics_text(known(), openmetrics=True).splitlines()
    assert "# TYPE chatd_logins counter" in lines
    assert "chatd_logins_total 9" in lines
    assert "chatd_sessions 2" in lines
    assert "chatd_writable 1" in lines
    assert 'chatd_refusals_total{code="E301"} 2' in lines
    assert 'chatd_device_certificates{ends="7d"} 0' in lines
    assert 'chatd_process_cpu_ratio{process="hub"} 0.125' in lines
    assert 'chatd_process_running{process="worker-1"} 0' in lines
    # What is not known of a process that does not run is left out, not 0.
    assert not [line for line in lines if line.startswith('chatd_process_threads{process="worker-1"}')]
    assert r'chatd_build{version="1.0",server="a \"b\"\n\\c"} 1' in lines


def test_the_older_format_names_the_family_as_its_samples() -> None:
    assert "# TYPE chatd_logins_total counter" in metrics_text(known(), openmetrics=False).splitlines()


def test_buckets_are_cumulative_and_bounds_inclusive() -> None:
    lines = metrics_text(known(), openmetrics=True).splitlines()
    counts = [line for line in lines if line.startswith("chatd_commit_duration_seconds_bucket")]
    assert len(counts) == len(COMMIT_BOUNDS) + 1
    assert counts[0] == 'chatd_commit_duration_seconds_bucket{le="0.0005"} 2'
    assert counts[1] == 'chatd_commit_duration_seconds_bucket{le="0.001"} 3'
    assert counts[-1] == 'chatd_commit_duration_seconds_bucket{le="+Inf"} 4'
    assert "chatd_commit_duration_seconds_count 4" in lines


def test_a_cluster_has_metrics_of_its_own_and_a_server_alone_has_none() -> None:
    text = metrics_text(known(), openmetrics=False)
    names = {re.split(r"[{ ]", line)[0].removesuffix("_total") for line in text.splitlines()}
    assert names >= {family.name for family in CLUSTER_FAMILIES}
    assert 'chatd_cluster_append_seconds{percentile="50"} 0.0025' in text
    assert 'percentile="99"' not in text
    assert 'chatd_cluster_node_up{node="a"} 1' in text
    assert "cluster" not in metrics_text({**known(), "cluster": None}, openmetrics=False)


def test_a_hub_that_knows_little_gives_what_it_knows() -> None:
    text = metrics_text({"uptime": 1}, openmetrics=True)
    assert "chatd_uptime_seconds 1" in text
    assert "chatd_sessions" not in text


def test_counters_end_in_total_and_names_occur_once() -> None:
    names = [family.name for family in (*FAMILIES, *CLUSTER_FAMILIES)]
    assert len(set(names)) == len(names)
    assert not [name for name in names if name.endswith("_total")]
    assert {family.kind for family in FAMILIES} == {MetricType.GAUGE, MetricType.COUNTER}


def test_openmetrics_is_for_those_who_name_it() -> None:
    assert wants_openmetrics("application/openmetrics-text;version=1.0.0,text/plain;q=0.3,*/*;q=0.1")
    assert not wants_openmetrics("*/*")
    assert not wants_openmetrics("")


def test_the_dashboard_asks_for_metrics_that_exist() -> None:
    text = (MONITORING.parents[1] / "deploy" / "grafana-dashboard.json").read_text("utf-8")
    asked = set(re.findall(r"chatd_[a-z_]+", json.dumps([p["targets"] for p in json.loads(text)["panels"]])))
    lines = metrics_text(known(), openmetrics=False).splitlines()
    assert asked
    assert asked <= {re.split(r"[{ ]", line)[0] for line in lines}


@pytest.mark.skipif(not shutil.which("promtool"), reason="promtool is not installed")
def test_promtool_finds_nothing_to_say() -> None:
    text = metrics_text(known(), openmetrics=False)
    done = subprocess.run(
        ["promtool", "check", "metrics"], input=text, capture_output=True, text=True, timeout=60
    )
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


def test_a_worker_that_died_takes_nothing_from_the_sums() -> None:
    totals = WorkerTotals()
    totals.note("worker-1", {"delivered": 10, "outbox_bytes": 5})
    totals.note("worker-2", {"delivered": 4, "outbox_bytes": 1})
    totals.lost("worker-1")
    assert (totals["delivered"], totals["outbox_bytes"]) == (14, 1)
    totals.note("worker-1", {"delivered": 1, "outbox_bytes": 2})
    assert (totals["delivered"], totals["outbox_bytes"]) == (15, 3)
    totals.note("worker-1", {"delivered": 3})
    assert totals["delivered"] == 17


def test_a_link_that_comes_back_counts_once() -> None:
    totals = WorkerTotals()
    totals.note("worker-1", {"delivered": 10})
    totals.lost("worker-1")
    totals.note("worker-1", {"delivered": 12})
    assert totals["delivered"] == 12
