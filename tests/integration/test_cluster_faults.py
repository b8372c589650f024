"""Three nodes lose a hub, a NATS server, a machine while clients write: nothing acknowledged is lost."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator

import pytest

from tests.support.cluster import CLUSTER_SECONDS, NAMES, Cluster, clustered
from tests.support.daemon import wait_until


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with clustered(tmp_path_factory.mktemp("faults")) as cluster:
        cluster.wait_until_writable("b")
        yield cluster


class Writer:
    """Sends numbered messages of alice one after the other, by whichever node answers."""

    def __init__(self, cluster: Cluster, name: str) -> None:
        self.name = name
        self.acknowledged: list[int] = []
        self._cluster = cluster
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Writer:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()

    def _run(self) -> None:
        number = 0
        while not self._done.is_set():
            number += 1
            text = f"{self.name} {number}"
            if self._cluster.chat("", "send", "#lobby", text, check=False).returncode == 0:
                self.acknowledged.append(number)

    def writes_on(self) -> None:
        """Wait until two more messages are acknowledged: one may have been on its way before."""
        seen = len(self.acknowledged)
        wait_until(
            lambda: len(self.acknowledged) >= seen + 2, CLUSTER_SECONDS, f"{self.name} to be acknowledged"
        )


def leader_of(cluster: Cluster) -> str:
    wait_until(lambda: cluster.leader() in NAMES, CLUSTER_SECONDS, "a leader")
    return cluster.leader()


def kill_child(cluster: Cluster, name: str) -> None:
    node = cluster.nodes[leader_of(cluster)]
    pid = node.child(name)["pid"]
    os.kill(pid, signal.SIGKILL)
    wait_until(lambda: node.child(name).get("pid") not in (pid, None), CLUSTER_SECONDS, f"{name} again")


def kill_hub(cluster: Cluster) -> Callable[[], None]:
    kill_child(cluster, "hub")
    return lambda: None


def kill_nats(cluster: Cluster) -> Callable[[], None]:
    kill_child(cluster, "nats")
    return lambda: None


def kill_node(cluster: Cluster) -> Callable[[], None]:
    victim = leader_of(cluster)
    cluster.kill(victim)
    return lambda: cluster.start(victim)


@pytest.mark.parametrize("fault", [kill_hub, kill_nats, kill_node], ids=["hub", "nats", "node"])
def test_what_was_acknowledged_is_in_all_logs_once_and_in_order(
    cluster: Cluster, fault: Callable[[Cluster], Callable[[], None]]
) -> None:
    with Writer(cluster, fault.__name__) as writer:
        writer.writes_on()
        make_good = fault(cluster)
        writer.writes_on()
        make_good()
        cluster.wait_for_hubs()
        writer.writes_on()
    wait_until(lambda: logs_agree(cluster), CLUSTER_SECONDS, "equal logs")
    found = texts(cluster, writer.name)
    kept = [number for number in found if number in set(writer.acknowledged)]
    assert kept == writer.acknowledged
    assert len(found) == len(set(found))


def logs_agree(cluster: Cluster) -> bool:
    chains = cluster.chains()
    return len(chains) == len(NAMES) and len({tuple(sorted(chain.items())) for chain in chains.values()}) == 1


def texts(cluster: Cluster, name: str) -> list[int]:
    """Return the numbers of a writer's messages in the order of the log."""
    shown = cluster.chat("b", "history", "#lobby", "-n", "500").stdout
    words = [line.split() for line in shown.splitlines()]
    return [int(line[-1]) for line in words if line[-2:-1] == [name]]


def test_every_log_verifies(cluster: Cluster) -> None:
    for name in NAMES:
        assert cluster.nodes[name].chatd("verify").stdout.startswith("ok")
