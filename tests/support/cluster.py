"""Three homes of one cluster on loopback, as one box runs them: real processes, free ports."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import apsw

from chatd.store.database import DATABASE_NAME
from tests.support.daemon import Daemon, wait_until
from tests.support.fixed_port import fixed_port

NAMES = ("a", "b", "c")
# Three servers and as many of NATS start on two cores that others use, too.
CLUSTER_SECONDS = 90.0
# Of an identity file: the servers follow it.
DEVICE_LINE = 3


class Cluster:
    """The nodes by name. ``a`` is the home that was first; the others have joined it."""

    def __init__(self, root: Path, names: Sequence[str] = NAMES, **settings: str) -> None:
        self.names = tuple(names)
        self.nodes = {name: Daemon(root / name, **{"CHATD_WORKERS__COUNT": "1"} | settings) for name in names}
        self._root = root

    @property
    def first(self) -> Daemon:
        return self.nodes["a"]

    def make(self) -> None:
        """Make the home of ``a`` and the join files of the others; nothing runs yet."""
        self.begin()
        self.first.chatd(*self.init_arguments(), "--no-wait")

    def begin(self) -> None:
        """Make the home of ``a``, which is in no cluster yet."""
        self.first.init(fixed_port())

    def init_arguments(self) -> list[str]:
        """Choose all ports; return the arguments with which ``a`` begins the cluster."""
        for name in self.names[1:]:
            self.nodes[name].port = fixed_port()
            self.nodes[name].home.mkdir()
        route = {name: f"{self.nodes[name].host}:{fixed_port()}" for name in self.names}
        own = ("--node", "a", "--host", route["a"], "--out", str(self._root))
        addresses = [f"--address={name}={self.address(name)}" for name in self.names[1:]]
        return [
            "cluster",
            "init",
            *own,
            *addresses,
            *(f"{one}={route[one]}" for one in self.names[1:]),
        ]

    def join_file(self, name: str) -> Path:
        return self._root / f"{name}.join"

    def join(self, name: str) -> None:
        """Make the home of another node and start it."""
        self.nodes[name].chatd("cluster", "join", str(self.join_file(name)), "--start")

    def start(self, name: str) -> None:
        """Start a node without waiting for its hub, which may need the others."""
        self.nodes[name].chatd("start", "--wait", "1", check=False)

    def stop(self, name: str) -> None:
        self.nodes[name].stop()

    def kill(self, name: str) -> None:
        """End all processes of a node at once, as a power cut does."""
        self.nodes[name].kill()

    def status(self, name: str) -> dict[str, Any]:
        """What ``chatd cluster status`` of a node says; empty while it says nothing."""
        done = self.nodes[name].chatd("cluster", "status", "--json", check=False)
        answer: dict[str, Any] = json.loads(done.stdout) if done.returncode == 0 else {}
        return answer

    def leader(self) -> str:
        """The node that leads, as all that run and have a log agree; "" while they do not."""
        answers = [self.status(name) for name in self.running()]
        leaders = {answer["leader"] for answer in answers if answer.get("leader")}
        return leaders.pop() if len(leaders) == 1 else ""

    def running(self) -> list[str]:
        return [name for name, node in self.nodes.items() if node.status()]

    def wait_for_hubs(self, *names: str) -> None:
        """Wait until the hubs of these nodes (none: of all) serve."""
        for name in names or self.names:
            wait_until(partial(self._hub_runs, name), CLUSTER_SECONDS, f"hub {name}")

    def _hub_runs(self, name: str) -> bool:
        return bool(self.nodes[name].child("hub").get("state") == "running")

    def wait_until_writable(self, name: str = "a", seconds: float = CLUSTER_SECONDS) -> None:
        """Wait until a message of alice is acknowledged by a node."""

        wait_until(lambda: self.try_say(name, "is it writable?"), seconds, f"writes on {name}")

    def try_say(self, name: str, text: str) -> bool:
        """Try to send a message of alice to #lobby by this node; return whether it was acknowledged."""
        return self.chat(name, "send", "#lobby", text, check=False).returncode == 0

    def chat(self, name: str, *arguments: str, **options: Any) -> subprocess.CompletedProcess[str]:
        """Run ``chat`` as alice by this node, or by any with ""."""
        return self.first.run("chat", "--identity", str(self.identity(name)), *arguments, **options)

    def identity(self, name: str = "") -> Path:
        """The identity of alice, the first admin: for a node, for several ("ba"), with "" for all."""
        path = self._root / f"alice{name}.pem"
        if not path.exists():
            lines = self.first.identity("alice", "everywhere").read_text().splitlines(keepends=True)
            kept = [line for line in lines if line[:7] != "server:"]
            servers = [f"server: {self.address(one)}\n" for one in name or self.names]
            kept[DEVICE_LINE + 1 : DEVICE_LINE + 1] = servers
            path.write_text("".join(kept))
            path.chmod(0o600)
        return path

    def address(self, name: str) -> str:
        """Where clients reach a node."""
        return f"{self.nodes[name].host}:{self.nodes[name].port}"

    def chains(self) -> dict[str, dict[int, str]]:
        """The chain hash after each entry of each node's log; of nodes that have one."""
        return {name: found for name in self.names if (found := chain_of(self.nodes[name].home))}

    def have_one_log(self) -> bool:
        """Whether all nodes have the same log."""
        chains = list(self.chains().values())
        return len(chains) == len(self.names) and all(chain == chains[0] for chain in chains)

    def end(self) -> None:
        for node in self.nodes.values():
            if (node.home / "config").exists():
                node.stop()


@contextmanager
def clustered(root: Path, **settings: str) -> Iterator[Cluster]:
    """Run three nodes, whose hubs serve, while the context is open."""
    with running_nodes(Cluster(root, **settings)) as cluster:
        yield cluster


@contextmanager
def running_nodes(cluster: Cluster) -> Iterator[Cluster]:
    """Run the nodes of a cluster that nobody has made; see `clustered`."""
    cluster.make()
    try:
        for name in cluster.names[1:]:
            cluster.join(name)
        cluster.start("a")
        # Nothing is acknowledged before enough nodes have a copy.
        cluster.wait_for_hubs()
        cluster.first.add_user("alice", role="admin", device="everywhere")
        yield cluster
    finally:
        cluster.end()


def chain_of(home: Path) -> dict[int, str]:
    """The chain hash after each entry of a home's log; empty without a log."""
    path = home / "data" / DATABASE_NAME
    if not path.exists():
        return {}
    connection = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY)
    try:
        rows = connection.execute("SELECT seq, chain FROM events").fetchall()
    finally:
        connection.close()
    return {int(seq): bytes(chain).hex() for seq, chain in rows if isinstance(chain, bytes)}  # type: ignore[arg-type]
