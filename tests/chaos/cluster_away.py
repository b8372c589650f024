"""Let a node of a cluster be away for a million events, then time how it catches up.

The events are written by this process in the place of the hub that leads, on the servers of NATS of two
nodes: through clients they would take most of an hour.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from chatd.cluster.follow_stream import lead_stream
from chatd.cluster.jetstream import JetStreamLink
from chatd.cluster.nats_address import read_address
from chatd.cluster.stream_backend import StreamBackend
from chatd.cluster.stream_place import StreamPlace
from chatd.cluster.tail_keys import TailKeys
from chatd.config.loading import load_settings
from chatd.errors import ChatdError
from chatd.hub.recovery import clock
from chatd.nats.nats_server import NatsServer
from chatd.store.database import connect_reader, head_seq
from chatd.store.event_log import EventLog
from tests.chaos.bigstart import BATCH, long_message
from tests.chaos.checker import Verdict
from tests.chaos.summary import summary
from tests.chaos.trial_server import SETTINGS
from tests.support.cluster import CLUSTER_SECONDS, Cluster, chain_of, clustered
from tests.support.daemon import Daemon, wait_until

CATCH_UP_SECONDS = 1800.0
LEAD_TRIES = 100
KEPT = ("a", "c")
AWAY = "b"


def run(folder: Path, *, events: int, seed: int) -> dict[str, Any]:
    """Fill the log and the stream while ``b`` is away; return how fast ``c`` and then ``b`` catch up.

    ``c`` was stopped, too, but its server of NATS was not: it reads the same stream as ``b``, while ``a``
    starts. ``rss_mb`` is the most memory that a hub took meanwhile.
    """
    began = time.monotonic()
    verdict = Verdict()
    with clustered(folder, **SETTINGS) as cluster:
        cluster.wait_for_hubs()
        cluster.wait_until_writable("a")
        wait_until(cluster.have_one_log, CLUSTER_SECONDS, "equal logs")
        for name in cluster.nodes:
            cluster.stop(name)
        head = max(chain_of(cluster.first.home))
        written = _fill(cluster, events)
        for name in KEPT:
            cluster.start(name)
        caught_up = {"c": _catches_up(cluster.nodes["c"], events)}
        cluster.start(AWAY)
        caught_up[AWAY] = _catches_up(cluster.nodes[AWAY], events)
        cluster.wait_for_hubs()
        cluster.wait_until_writable(AWAY)
        wait_until(cluster.have_one_log, CLUSTER_SECONDS, "equal logs")
        if any("log_left_behind" in events_of(node) for node in cluster.nodes.values()):
            verdict.add("away", "copied", "a node copied a log instead of reading the stream")
        if not all(node.chatd("verify").stdout.startswith("ok") for node in cluster.nodes.values()):
            verdict.add("I1", "verify", "a log does not verify")
    minutes = round((time.monotonic() - began) / 60, 1)
    figures = {"events": events - head, "written_per_second": round(written)} | caught_up
    return summary(verdict, trial="away", seed=seed, minutes=minutes, struck={}) | figures


def events_of(node: Daemon) -> set[str]:
    return {line["event"] for line in node.log_lines()}


def _fill(cluster: Cluster, events: int) -> float:
    """Write events up to this number as the leader ``a`` does; return how many a second."""
    with _servers(cluster):
        home = cluster.first.home
        log = EventLog.open(home / "data", now=clock(), must_exist=True)
        link = JetStreamLink(partial(read_address, home), len(cluster.nodes))
        try:
            keys = TailKeys(log)
            place = _lead(log, link, keys)
            backend = StreamBackend(log, link, keys, place, CLUSTER_SECONDS)
            began, first = time.monotonic(), log.head
            while log.head < events:
                while not backend.try_begin():
                    pass
                backend.insert([long_message(seq) for seq in range(log.head + 1, log.head + 1 + BATCH)], {})
                backend.commit()
                # No new key: it would end the one that the node that is away has.
                log.finish()
            return (log.head - first) / (time.monotonic() - began)
        finally:
            link.close()
            log.close()


def _lead(log: EventLog, link: JetStreamLink, keys: TailKeys) -> StreamPlace:
    """Claim the lead as soon as the servers have a majority."""
    for _ in range(LEAD_TRIES):
        try:
            return lead_stream(log, link, keys, "a", CLUSTER_SECONDS)
        except ChatdError:
            time.sleep(0.5)
    return lead_stream(log, link, keys, "a", CLUSTER_SECONDS)


@contextmanager
def _servers(cluster: Cluster) -> Iterator[None]:
    """Run the servers of NATS of two nodes, and nothing else."""
    homes = [cluster.nodes[name].home for name in KEPT]
    servers = [NatsServer.start(home, load_settings(home, {})) for home in homes]
    try:
        for server in servers:
            wait_until(server.announce, CLUSTER_SECONDS, "nats-server")
        yield
    finally:
        for server in servers:
            server.stop()
            wait_until(lambda server=server: not server.is_alive(), CLUSTER_SECONDS)  # type: ignore[misc]


def _catches_up(node: Daemon, events: int) -> dict[str, int]:
    """Wait until a node's log has all events; return how many a second it took since the first of them."""
    first = head = _head(node.home)
    began = time.monotonic()
    deadline = began + CATCH_UP_SECONDS
    most = 0
    while head < events and time.monotonic() < deadline:
        if head == first:
            began = time.monotonic()
        if pid := node.child("hub").get("pid"):
            most = max(most, _peak_kb(pid))
        time.sleep(0.1)
        head = _head(node.home)
    seconds = time.monotonic() - began
    return {
        "events": head - first,
        "seconds": round(seconds),
        "per_second": round((head - first) / seconds),
        "rss_mb": most // 1024,
    }


def _head(home: Path) -> int:
    connection = connect_reader(home / "data")
    try:
        return head_seq(connection)
    finally:
        connection.close()


def _peak_kb(pid: int) -> int:
    """The most memory that a process has taken so far; 0 if it has just ended."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith("VmHWM:")), 0)
