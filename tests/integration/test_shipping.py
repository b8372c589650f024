"""The log reaches a real rsyslogd over TLS, whatever is killed; nobody waits for a collector."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.daemon import Daemon, running, wait_until
from tests.support.rsyslog import Rsyslog, is_available, wait_for_record

pytestmark = pytest.mark.skipif(not is_available(), reason="needs rsyslog and rsyslog-openssl")


@pytest.fixture
def collector(tmp_path: Path) -> Iterator[Rsyslog]:
    collector = Rsyslog(tmp_path / "collector")
    collector.start()
    try:
        yield collector
    finally:
        collector.stop(signal.SIGKILL)


def shipped(daemon: Daemon) -> set[tuple[str, str, int]]:
    return {(one["at"], one["proc"], one["n"]) for one in daemon.log_lines()}


def received(collector: Rsyslog) -> set[tuple[str, str, int]]:
    return {(one["at"], one["proc"], one["n"]) for one in collector.records()}


def test_every_record_arrives_with_priority_and_names(tmp_path: Path, collector: Rsyslog) -> None:
    with running(tmp_path / "home", **collector.settings) as daemon:
        daemon.add_user("bob")
        daemon.run("chat", "--identity", str(daemon.identity("bob")), "send", "lobby", "not in any log")
        added = wait_for_record(collector, event="device_added", user="bob")
        assert added["cat"] == "audit"
        line = next(line for line in collector.lines() if '"device_added"' in line)
        assert line.startswith("110 chatd ")
        wait_until(lambda: shipped(daemon) <= received(collector), what="all records at the collector")
        assert not any("not in any log" in line for line in collector.lines())
        # The supervisor's last words are written after the shipper's; they are sent at the next start.
        daemon.stop()
        daemon.start()
        wait_until(lambda: shipped(daemon) <= received(collector), what="the last records, too")


def test_a_collector_that_is_down_gets_everything_later(tmp_path: Path, collector: Rsyslog) -> None:
    with running(tmp_path / "home", **collector.settings) as daemon:
        wait_for_record(collector, event="collector_connected")
        collector.stop(signal.SIGKILL)
        daemon.add_user("bob")
        daemon.run("chat", "--identity", str(daemon.identity("bob")), "send", "lobby", "hello")
        wait_until(lambda: any(one["event"] == "collector_lost" for one in daemon.log_lines("errors.log")))
        # The report comes with the shipper's next tick.
        wait_until(lambda: daemon.child("shipper").get("report", {}).get("connected") is False)
        collector.start()
        wait_for_record(collector, event="device_added", user="bob")
        wait_until(lambda: shipped(daemon) <= received(collector), what="all records at the collector")


@pytest.mark.parametrize("name", ["shipper", "hub"])
def test_a_killed_process_loses_no_record(tmp_path: Path, collector: Rsyslog, name: str) -> None:
    with running(tmp_path / "home", **collector.settings) as daemon:
        wait_for_record(collector, event="collector_connected")
        for number in range(3):
            killed = daemon.child(name)["pid"]
            os.kill(killed, signal.SIGKILL)
            wait_until(lambda killed=killed: daemon.child(name).get("pid") not in (None, killed))  # type: ignore[misc]
            wait_until(lambda: daemon.child(name).get("state") == "running")
            daemon.add_user(f"user{number}")
        wait_until(lambda: shipped(daemon) <= received(collector), what="all records at the collector")


def test_a_collector_with_another_certificate_gets_nothing(tmp_path: Path, collector: Rsyslog) -> None:
    other = Rsyslog(tmp_path / "other")
    settings = collector.settings | {"CHATD_SHIPPING__CA_FILE": other.settings["CHATD_SHIPPING__CA_FILE"]}
    with running(tmp_path / "home", **settings) as daemon:
        wait_until(lambda: daemon.child("shipper").get("report", {}).get("problem"))
        assert "certificate is not accepted" in daemon.child("shipper")["report"]["problem"]
        daemon.run("chat", "--identity", str(daemon.identity("alice", "console")), "send", "lobby", "hello")
    assert collector.records() == []


def test_a_missing_ca_file_is_named(tmp_path: Path) -> None:
    daemon = Daemon(
        tmp_path / "home",
        CHATD_SHIPPING__SYSLOG="127.0.0.1:1",
        CHATD_SHIPPING__CA_FILE=str(tmp_path / "gone.pem"),
    )
    daemon.init()
    try:
        done = daemon.chatd("start", check=False)
        assert done.returncode != 0
        assert "gone.pem" in done.stderr and "Traceback" not in done.stderr
    finally:
        daemon.stop()
