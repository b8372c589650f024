"""Delete a cluster's stream as an administrator of NATS can, and make it anew as docs/cluster.md says.

python -m tests.support.lost_stream HOME    delete it, where the home's server can be reached
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from pathlib import Path

import nats

from chatd.cluster.nats_address import read_address
from chatd.cluster.stream_state import STREAM
from tests.support.cluster import CLUSTER_SECONDS, NAMES, Cluster
from tests.support.daemon import Daemon


def delete_stream(node: Daemon) -> None:
    """Delete it at the server of a node that runs, and has a majority."""
    command = [*node.enter, sys.executable, "-m", "tests.support.lost_stream", str(node.home)]
    subprocess.run(command, cwd=Path(__file__).parents[2], check=True, timeout=CLUSTER_SECONDS)


def reseed_stopped(cluster: Cluster) -> str:
    """Let the next start of all nodes, which are stopped, make it anew from the longest log; return whose."""
    heads = {name: cluster.status(name)["head"] for name in NAMES}
    longest = max(NAMES, key=lambda name: int(heads[name]))
    for name in NAMES:
        cluster.nodes[name].chatd("cluster", "reseed", *([] if name == longest else ["--copy"]))
    return longest


async def _delete(home: Path) -> None:
    address = read_address(home)
    client = await nats.connect(address.urls[0], user=address.user, password=address.password)
    answer = await client.request(f"$JS.API.STREAM.DELETE.{STREAM}", b"", timeout=CLUSTER_SECONDS)
    assert json.loads(answer.data)["success"]
    await client.close()


if __name__ == "__main__":
    asyncio.run(_delete(Path(sys.argv[1])))
