"""What three nodes on this machine cost, next to bare publishes of the same batches to the same servers.

    python -m tests.bench.cluster_cost [FIGURE...]    # rate, alone, lag, idle, connections; default: all

``rate``: messages with 256 under way. ``alone``: one at a time. ``lag``: how much later a member at a
follower gets a message. ``idle``: nats-server of a cluster without clients. ``connections``: memory. A bare
publish waits for the answer of the one before: window 1, R3, ``sync_interval: always``. All nodes and the
load run on one machine, so only ratios of one run mean something.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from functools import partial
from multiprocessing.context import ForkProcess
from pathlib import Path
from typing import Any

from chatd.cluster.nats_address import read_address
from chatd.cluster.nats_thread import NatsThread, ask
from chatd.cluster.stream_state import STREAM
from tests.bench.enrolment_cost import cpu_seconds
from tests.chaos.trial_server import SETTINGS
from tests.support.cluster import NAMES, Cluster, clustered
from tests.support.daemon import Daemon, running
from tests.support.rawclient import RawClient, new_id

BODY = "x" * 120
LANES, LANE_WINDOW = 4, 64
MESSAGES = 6_000
ALONE = 300
ALONE_PAUSE = 0.02
IDLE_SECONDS = 30.0
CONNECTIONS = 200
SETTLE_SECONDS = 3.0
_PAGE = os.sysconf("SC_PAGE_SIZE")
_BARE = "BARE"
_FORK = multiprocessing.get_context("fork")
READY_SECONDS = 60.0


class Bare:
    """Publishes without chatd, on a stream of its own at one node's NATS server."""

    def __init__(self, home: Path) -> None:
        self._nats = NatsThread(partial(read_address, home))

    def __enter__(self) -> Bare:
        config = {"name": _BARE, "subjects": ["bare"], "num_replicas": 3, "storage": "file"}
        self._api(f"STREAM.CREATE.{_BARE}", config)
        return self

    def __exit__(self, *_: object) -> None:
        self._api(f"STREAM.DELETE.{_BARE}")
        self._nats.close()

    def log_size(self) -> tuple[int, int]:
        """Messages and bytes of chatd's stream."""
        state = self._api(f"STREAM.INFO.{STREAM}")["state"]
        return int(state["last_seq"]), int(state["bytes"])

    def publish(self, count: int, size: int, pause: float = 0.0) -> list[float]:
        """Publish one after the other; return the seconds that each took."""
        return self._nats.run(self._publish(count, os.urandom(size), pause))

    async def _publish(self, count: int, data: bytes, pause: float) -> list[float]:
        client, took = await self._nats.connected(), []
        for _ in range(count):
            begun = time.perf_counter()
            await client.request("bare", data, timeout=5.0)
            took.append(time.perf_counter() - begun)
            if pause:
                await client.flush()
                time.sleep(pause)
        return took

    def _api(self, name: str, question: object = None) -> dict[str, Any]:
        async def asked() -> bytes:
            return await ask(await self._nats.connected(), f"$JS.API.{name}", question, 5.0)

        answer: dict[str, Any] = json.loads(self._nats.run(asked()))
        assert "error" not in answer, answer
        return answer


def logged_in(cluster: Cluster, name: str) -> RawClient:
    client = RawClient(cluster.nodes[name].port, cluster.identity()).logged_in()
    client.ask("resume")
    return client


class Lane(ForkProcess):
    """A process in which a user of its own writes to a room of its own that nobody else reads."""

    def __init__(self, cluster: Cluster, name: str, number: int) -> None:
        super().__init__(daemon=True)
        self.user = f"lane{number}"
        self.identity = cluster.first.add_user(self.user, role="admin")
        self.port = cluster.nodes[name].port
        self.go, self.ready = _FORK.Event(), _FORK.Event()
        self.start()
        assert self.ready.wait(READY_SECONDS)

    def run(self) -> None:
        client = RawClient(self.port, self.identity).logged_in()
        client.ask("resume")
        assert client.ask("create", room=f"#{self.user}")["type"] == "ok"
        self.ready.set()
        self.go.wait()
        send_many(client, f"#{self.user}", MESSAGES // LANES, LANE_WINDOW)


def send_many(client: RawClient, room: str, count: int, window: int) -> None:
    """Keep ``window`` messages under way until ``count`` were acknowledged."""
    sent = acknowledged = 0
    while acknowledged < count:
        batch = min(window - (sent - acknowledged), count - sent)
        if batch:
            ids = range(sent, sent + batch)
            client.send(
                *(
                    {"type": "send", "id": one + 1_000_000, "msg_id": new_id(), "to": room, "body": BODY}
                    for one in ids
                )
            )
            sent += batch
        message = client.receive()
        assert message["type"] != "error", message
        acknowledged += message["type"] == "ok"


def rate(cluster: Cluster, leader: str) -> dict[str, Any]:
    """Messages a second with 256 under way, and the batches that they were, published bare."""
    with Bare(cluster.nodes[leader].home) as bare:
        lanes = [Lane(cluster, leader, number) for number in range(LANES)]
        before, cpu_before = (
            bare.log_size(),
            {name: cpu_seconds(node) for name, node in cluster.nodes.items()},
        )
        begun = time.perf_counter()
        for lane in lanes:
            lane.go.set()
        for lane in lanes:
            lane.join()
            assert lane.exitcode == 0
        seconds = time.perf_counter() - begun
        after, cpu_after = bare.log_size(), {name: cpu_seconds(node) for name, node in cluster.nodes.items()}
        batches = after[0] - before[0]
        size = (after[1] - before[1]) // batches
        took = bare.publish(batches, size)
    spent = {
        name: {child: round((cpu_after[name][child] - cpu_before[name][child]) / MESSAGES * 1e6)
               for child in cpu_after[name] if child in cpu_before[name]}
        for name in cluster.nodes
    }  # fmt: skip
    return {
        "messages/s": round(MESSAGES / seconds),
        "batches": batches,
        "bytes each": size,
        "bare/s of the same": round(MESSAGES / sum(took)),
        "ratio": round(sum(took) / seconds, 2),
        "us of CPU a message": spent,
    }


def alone(cluster: Cluster, leader: str) -> dict[str, Any]:
    """Milliseconds to the acknowledgement, one message at a time, and of bare publishes of that size."""
    with Bare(cluster.nodes[leader].home) as bare, logged_in(cluster, leader) as client:
        before, took = bare.log_size(), []
        for _ in range(ALONE):
            begun = time.perf_counter()
            assert client.say(BODY)["type"] == "ok"
            took.append(time.perf_counter() - begun)
            time.sleep(ALONE_PAUSE)
        after = bare.log_size()
        plain = bare.publish(ALONE, (after[1] - before[1]) // (after[0] - before[0]), ALONE_PAUSE)
    return {
        "p50 ms": round(statistics.median(took) * 1e3, 2),
        "bare p50 ms": round(statistics.median(plain) * 1e3, 2),
        "ratio": round(statistics.median(took) / statistics.median(plain), 2),
    }


def lag(cluster: Cluster, leader: str) -> dict[str, Any]:
    """How many ms later a member at a follower gets what a member at the leader has got."""
    follower = next(name for name in NAMES if name != leader)
    arrived: dict[str, list[float]] = {leader: [], follower: []}

    def receive(name: str, client: RawClient) -> None:
        while len(arrived[name]) < ALONE:
            if client.until(type="message"):
                arrived[name].append(time.perf_counter())

    with logged_in(cluster, leader) as writer:
        members = {name: logged_in(cluster, name) for name in arrived}
        threads = [threading.Thread(target=receive, args=one) for one in members.items()]
        for thread in threads:
            thread.start()
        for _ in range(ALONE):
            writer.say(BODY)
            time.sleep(ALONE_PAUSE)
        for thread in threads:
            thread.join()
    late = sorted((after - before) * 1e3 for before, after in zip(*arrived.values(), strict=True))
    return {"p50 ms": round(late[len(late) // 2], 2), "p99 ms": round(late[int(len(late) * 0.99)], 2)}


def idle(cluster: Cluster, _: str) -> dict[str, Any]:
    """CPU and memory of each nats-server while nobody is connected."""
    pids = {name: _nats_pid(node) for name, node in cluster.nodes.items()}
    before = {name: _cpu(pid) for name, pid in pids.items()}
    time.sleep(IDLE_SECONDS)
    return {
        name: {
            "CPU %": round((_cpu(pid) - before[name]) / IDLE_SECONDS * 100, 2),
            "MB": round(_rss(pid) / 1e6, 1),
        }
        for name, pid in pids.items()
    }


def connections(cluster: Cluster, _: str) -> dict[str, Any]:
    """KB of memory that a connection costs its node, the other nodes, and a single server."""
    with tempfile.TemporaryDirectory() as folder, running(Path(folder) / "one", **SETTINGS) as single:
        single.add_user("bench", role="admin")
        at_single = _grown({"one": single}, single.port, single.identity("bench"))["one"]
    grown = _grown(cluster.nodes, cluster.nodes["a"].port, cluster.identity())
    own, others = grown["a"], max(grown["b"], grown["c"])
    return {
        "KB at a single server": round(at_single, 1),
        "KB at its node": round(own, 1),
        "KB at each other node": round(others, 1),
        "three nodes / one": round(3 * at_single / (own + 2 * others), 2),
    }


def _grown(nodes: dict[str, Daemon], port: int, identity: Path) -> dict[str, float]:
    """KB a connection by which each node grows with `CONNECTIONS` more at one of them, which has as many."""
    clients, memory = [], []
    for _ in range(2):
        for _ in range(CONNECTIONS):
            client = RawClient(port, identity).logged_in()
            client.ask("resume")
            clients.append(client)
        time.sleep(SETTLE_SECONDS)
        memory.append({name: _tree(node) for name, node in nodes.items()})
    for client in clients:
        client.sock.close()
    first, second = memory
    return {name: (second[name] - first[name]) / CONNECTIONS / 1e3 for name in nodes}


def _tree(node: Daemon) -> int:
    """Bytes of memory of a server's processes."""
    pids = [child["pid"] for child in node.status()["children"]]
    return sum(map(_rss, pids))


def _rss(pid: int) -> int:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * _PAGE


def _cpu(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _nats_pid(node: Daemon) -> int:
    """The nats-server itself, a child of chatd's process for it."""
    pid = node.child("nats")["pid"]
    (child,) = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return int(child)


FIGURES: dict[str, Callable[[Cluster, str], dict[str, Any]]] = {
    one.__name__: one for one in (idle, alone, lag, rate, connections)
}


def main(wanted: list[str]) -> None:
    """Print one line of JSON for each figure."""
    with tempfile.TemporaryDirectory() as folder, clustered(Path(folder), **SETTINGS) as cluster:
        cluster.wait_for_hubs()
        cluster.wait_until_writable()
        leader = cluster.leader()
        for name in wanted or FIGURES:
            print(json.dumps({name: FIGURES[name](cluster, leader)}), flush=True)
        print(json.dumps({"load": os.getloadavg()[0]}))


if __name__ == "__main__":
    main(sys.argv[1:])
