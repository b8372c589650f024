"""The gateway of a real server: health, metrics, and Prometheus itself."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import time
import urllib.parse
import urllib.request
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from chatctl.client import Client
from chatd.errors import ChatdError
from chatd.gateway.families import FAMILIES
from chatd.pki.identity import read_identity
from tests.support.daemon import Daemon, free_port, running, wait_until
from tests.support.https import Https, ask, gateway

Running = tuple[Daemon, Https]


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    settings = {"CHATD_MONITOR__SAMPLE_SECONDS": "0.2"}
    with gateway(tmp_path_factory.mktemp("gateway") / "home", **settings) as found:
        yield found


def value(text: str, sample: str) -> float | None:
    """Return a sample's value; None without the sample."""
    found = re.search(rf"^{re.escape(sample)} (\S+)$", text, re.MULTILINE)
    return float(found[1]) if found else None


def metric(https: Https, sample: str) -> float | None:
    """Return a sample's present value; None without it, or while the gateway takes no more attempts."""
    try:
        return value(https.get("/metrics").text, sample)
    except OSError:
        return None


def is_ready(https: Https) -> bool:
    try:
        return https.get("/readyz").status == 200
    except OSError:
        return False


def test_health_and_readiness(served: Running) -> None:
    _, https = served
    assert https.get("/healthz")[:2] == (200, "ok\n")
    assert https.get("/readyz")[:2] == (200, "ready\n")
    assert https.get("/nope").status == 404


def test_a_connection_serves_many_requests(served: Running) -> None:
    _, https = served
    with https.connection() as connection:
        assert [ask(connection, "/healthz").status for _ in range(50)] == [200] * 50
        head = ask(connection, "/metrics", "HEAD")
        assert (head.status, head.text) == (200, "")
        assert int(head.headers["Content-Length"]) > 1000
        assert ask(connection, "/healthz").text == "ok\n"


def test_metrics_follow_what_happens(served: Running) -> None:
    daemon, https = served
    before = https.get("/metrics").text
    with Client(read_identity(daemon.identity("alice", "console"))) as client:
        client.wait_connected(30)
        wait_until(lambda: metric(https, "chatd_sessions") == 1)
        for number in range(3):
            client.send("#lobby", f"number {number}").wait(30)
        with pytest.raises(ChatdError, match="E404"):
            client.request("join", room="#nowhere")
        # Metrics may be half a second old.
        messages = (value(before, "chatd_messages_total") or 0) + 3
        wait_until(lambda: metric(https, "chatd_messages_total") == messages)
        wait_until(lambda: metric(https, 'chatd_refusals_total{code="E404"}') == 1)
        after = https.get("/metrics").text
    assert value(after, "chatd_logins_total") == (value(before, "chatd_logins_total") or 0) + 1
    # Several messages may share a commit.
    assert (value(after, "chatd_commit_duration_seconds_count") or 0) > (
        value(before, "chatd_commit_duration_seconds_count") or 0
    )
    wait_until(lambda: metric(https, "chatd_sessions") == 0)


def test_every_metric_of_the_document_is_there(served: Running) -> None:
    _, https = served
    accept = {"Accept": "application/openmetrics-text; version=1.0.0"}
    # The supervisor's first sample has no descriptors of its children yet.
    wait_until(lambda: metric(https, 'chatd_process_descriptors{process="hub"}'))
    reply = https.get("/metrics", **accept)
    assert reply.headers["Content-Type"].startswith("application/openmetrics-text; version=1.0.0")
    names = set(re.findall(r"^# TYPE (\S+)", reply.text, re.MULTILINE))
    # Refusals have no samples before the first.
    expected = {family.name for family in FAMILIES} - {"chatd_refusals"}
    assert names >= expected | {"chatd_build", "chatd_commit_duration_seconds"}
    for process in ("supervisor", "hub", "worker-1", "worker-2", "enrol", "gateway"):
        sample = f'chatd_process_running{{process="{process}"}}'
        wait_until(partial(_is, 1, https, sample))


def _is(expected: float, https: Https, sample: str) -> bool:
    return metric(https, sample) == expected


def test_processes_that_die_are_counted_and_the_gateway_comes_back(tmp_path: Path) -> None:
    with gateway(tmp_path / "home", CHATD_MONITOR__SAMPLE_SECONDS="0.2") as (daemon, https):
        with Client(read_identity(daemon.identity("alice", "console"))) as client:
            client.wait_connected(30)
            client.send("#lobby", "delivered").wait(30)
            delivered: float = wait_until(lambda: metric(https, "chatd_deliveries_total"))
            for name in ("worker-1", "worker-2"):
                daemon.kill_child(name)
                wait_until(partial(metric, https, f'chatd_process_restarts_total{{process="{name}"}}'))
            # A counter that falls would look like traffic to whoever computes a rate.
            assert (metric(https, "chatd_deliveries_total") or 0) >= delivered
        daemon.kill_child("gateway")
        wait_until(lambda: is_ready(https))
        daemon.kill_child("hub")
        wait_until(lambda: is_ready(https))


def test_a_renewed_certificate_is_shown_after_a_reload(tmp_path: Path) -> None:
    with gateway(tmp_path / "home") as (daemon, https):
        with https.open() as sock:
            before = sock.getpeercert(binary_form=True)
        daemon.chatd("cert", "renew")

        def shown() -> bytes | None:
            with https.open() as sock:
                return sock.getpeercert(binary_form=True)

        wait_until(lambda: shown() != before)


def test_without_an_address_there_is_no_gateway(tmp_path: Path) -> None:
    with running(tmp_path / "home") as daemon:
        assert not daemon.child("gateway")


@pytest.mark.skipif(not shutil.which("prometheus"), reason="prometheus is not installed")
def test_prometheus_scrapes_it(served: Running, tmp_path: Path) -> None:
    daemon, https = served
    port = free_port()
    (tmp_path / "prometheus.yml").write_text(
        json.dumps(
            {
                "global": {"scrape_interval": "1s"},
                "scrape_configs": [
                    {
                        "job_name": "chatd",
                        "scheme": "https",
                        "tls_config": {"ca_file": str(daemon.home / "certs" / "ca.pem")},
                        "static_configs": [{"targets": [f"127.0.0.1:{https.port}"]}],
                    }
                ],
            }
        )
    )
    command = ["prometheus", "--config.file=prometheus.yml", f"--web.listen-address=127.0.0.1:{port}"]
    with subprocess.Popen(
        command, cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as process:
        try:
            wait_until(lambda: _query(port, 'up{job="chatd"}') == 1, seconds=60)
            assert _query(port, "chatd_sessions_limit") == 50
            wait_until(lambda: _query(port, "histogram_quantile(0.5, chatd_commit_duration_seconds_bucket)"))
        finally:
            process.terminate()


def _query(port: int, query: str) -> float | None:
    """Return the first result of a Prometheus query; None without one, or while it starts."""
    url = f"http://127.0.0.1:{port}/api/v1/query?" + urllib.parse.urlencode(
        {"query": query, "time": time.time()}
    )
    try:
        with urllib.request.urlopen(url, timeout=10) as response:
            found = json.load(response)["data"]["result"]
    except OSError:
        return None
    return float(found[0]["value"][1]) if found else None
