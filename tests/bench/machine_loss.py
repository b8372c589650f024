"""How long nothing can be written after the machine that leads is lost, and loses NATS's leader or not.

    python -m tests.bench.machine_loss [LOSSES]      # default: 30; prints one JSON object for each

Three nodes on this machine. A member at another node writes one message after the other. Each time all
processes of the leading node are killed, and the longest wait for an acknowledgement counts; then the node
starts again, and the next loss waits until all three have everything.
"""

from __future__ import annotations

import json
import os
import statistics
import sys
import tempfile
import threading
import time
from functools import partial
from pathlib import Path
from typing import Any

from chatctl.client import Client
from chatd.pki.identity import read_identity
from tests.chaos.trial_server import SETTINGS
from tests.support.cluster import CLUSTER_SECONDS, Cluster, clustered
from tests.support.daemon import wait_until

LOSSES = 30
BEFORE_SECONDS = 1.0
PAUSE = 0.02
WAIT_SECONDS = 60.0


class Writer(threading.Thread):
    """Writes until `end`. ``gaps``: (when, seconds) of each wait between two acknowledgements."""

    def __init__(self, client: Client) -> None:
        super().__init__(daemon=True)
        self.gaps: list[tuple[float, float]] = []
        self._client = client
        self._ended = threading.Event()

    def run(self) -> None:
        last = time.monotonic()
        while not self._ended.wait(PAUSE):
            self._client.send("#lobby", "one more").wait(WAIT_SECONDS)
            now = time.monotonic()
            self.gaps.append((now, now - last))
            last = now

    def end(self) -> None:
        self._ended.set()
        self.join()


def is_settled(cluster: Cluster, client: Client) -> bool:
    """Whether all nodes answer, lack nothing, and their NATS servers have the whole stream."""
    found = client.request("stats")["cluster"]
    return bool(found["quorum"]) and all(
        one["answers"] and one["stream_current"] and one["behind_seconds"] < 1 for one in found["members"]
    )


def lose(cluster: Cluster) -> dict[str, Any]:
    """Kill the leading node under a writer at another one; return what it cost."""
    leader = cluster.leader()
    other = next(name for name in cluster.names if name != leader)
    with Client(read_identity(cluster.identity(other))) as client:
        client.wait_connected(CLUSTER_SECONDS)
        wait_until(partial(is_settled, cluster, client), CLUSTER_SECONDS, "all nodes to have everything")
        stream_leader = client.request("stats")["cluster"]["stream"]["leader"]
        writer = Writer(client)
        writer.start()
        time.sleep(BEFORE_SECONDS)
        killed = time.monotonic()
        cluster.kill(leader)
        wait_until(lambda: any(at > killed + 0.5 for at, _ in writer.gaps), WAIT_SECONDS, "writes")
        time.sleep(BEFORE_SECONDS)
        writer.end()
        seconds = max(gap for at, gap in writer.gaps if at > killed)
        cluster.start(leader)
        wait_until(partial(is_settled, cluster, client), CLUSTER_SECONDS, "the lost node to have everything")
    return {"lost": leader, "with_streams_leader": stream_leader == leader, "seconds": round(seconds, 2)}


def main() -> None:
    """Print each loss, and at the end the figures of both kinds."""
    losses = int(sys.argv[1]) if len(sys.argv) > 1 else LOSSES
    found: dict[bool, list[float]] = {True: [], False: []}
    with tempfile.TemporaryDirectory() as folder, clustered(Path(folder), **SETTINGS) as cluster:
        cluster.wait_for_hubs()
        cluster.wait_until_writable()
        for _ in range(losses):
            one = lose(cluster)
            found[one["with_streams_leader"]].append(one["seconds"])
            print(json.dumps(one), flush=True)
    for kind, seconds in found.items():
        if seconds:
            figures = {"losses": len(seconds), "median": statistics.median(seconds), "worst": max(seconds)}
            print(json.dumps({"with_streams_leader": kind} | figures))
    print(json.dumps({"load": os.getloadavg()[0]}))


if __name__ == "__main__":
    main()
