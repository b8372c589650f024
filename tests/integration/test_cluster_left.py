"""Nodes leave a cluster for good while people write: five become four, and these three."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from chatd.cli.node_probe import Reached, probe
from chatd.config.loading import load_settings
from chatd.nats.cluster_view import view_cluster
from tests.support.cluster import CLUSTER_SECONDS, Cluster, chain_of, running_nodes
from tests.support.daemon import Daemon, wait_until
from tests.support.steady_talkers import Talker, assert_delivered_once_in_order

FIVE = ("a", "b", "c", "d", "e")


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    with running_nodes(Cluster(tmp_path, FIVE)) as cluster:
        cluster.wait_until_writable("a")
        yield cluster


def test_five_become_three_under_load(cluster: Cluster) -> None:
    talker = Talker(cluster.identity())
    talker.start()
    try:
        leader_leaves(cluster)
        keeper_of_the_stream_leaves(cluster)
        said = len(talker.acknowledged)
        wait_until(lambda: len(talker.acknowledged) > said, CLUSTER_SECONDS, "writes among three")
        talker.finish()
        wait_until(lambda: talker.sent <= len(talker.seen), CLUSTER_SECONDS, "the last message")
        assert_delivered_once_in_order([talker])
    finally:
        talker.close()
    wait_until(cluster.have_one_log, CLUSTER_SECONDS, "one log")
    name = cluster.names[-1]
    refused = cluster.nodes[name].chatd("cluster", "leave", check=False)
    assert "(E409)" in refused.stderr
    assert f"chatd cluster replace {name} NEW=HOST" in refused.stderr
    gone = next(node for one, node in cluster.nodes.items() if one not in cluster.names)
    cluster.nodes[name].chatd("restart", "--wait", "60")
    wait_until(lambda: is_whole(cluster, name), CLUSTER_SECONDS, "the restarted node among the others")
    assert probe(kept_key(gone), route_of(cluster, name)) is Reached.REFUSED
    judge_home(gone)


def leader_leaves(cluster: Cluster) -> None:
    """The command is killed before it has stopped the server; the second one ends what the first began."""
    wait_until(lambda: bool(cluster.leader()), CLUSTER_SECONDS, "a leader")
    name = cluster.leader()
    node = cluster.nodes[name]
    leave = ("cluster", "leave", "--address", cluster.address(name))
    keep_key(cluster, name)
    node.environ["CHATD_CRASH_AT"] = "cluster.leave.noted"
    killed = node.chatd(*leave, check=False, timeout=CLUSTER_SECONDS)
    del node.environ["CHATD_CRASH_AT"]
    assert killed.returncode == -9, killed.stderr
    assert node.status()
    left = node.chatd(*leave)
    assert f"{name} has left the cluster" in left.stdout
    judge_left(cluster, name)


def keeper_of_the_stream_leaves(cluster: Cluster) -> None:
    """Of four nodes three keep the stream: what the one that leaves has kept goes to the fourth."""
    wait_until(lambda: bool(cluster.leader()), CLUSTER_SECONDS, "a leader")
    leader = cluster.leader()
    name = next(one for one in stream_keepers(cluster) if one != leader)
    keep_key(cluster, name)
    cluster.nodes[name].chatd("cluster", "leave", "--address", cluster.address(name))
    judge_left(cluster, name)


def judge_left(cluster: Cluster, name: str) -> None:
    """The others are whole without a restart; its own home only has the log, and never runs again."""
    node = cluster.nodes[name]
    assert not node.status()
    cluster.names = tuple(one for one in cluster.names if one != name)
    first = cluster.names[0]
    wait_until(lambda: is_whole(cluster, first), CLUSTER_SECONDS, "a whole cluster")
    wait_until(lambda: keep_the_stream(cluster), CLUSTER_SECONDS, "three servers with the stream")
    for one in cluster.names:
        server = load_settings(cluster.nodes[one].home, {}).server
        assert cluster.address(name) not in server.client_addresses
    assert not (node.home / "certs" / "node.key").exists()
    assert not (node.home / "data" / "stream").exists()
    assert chain_of(node.home).items() <= chain_of(cluster.nodes[first].home).items()


def judge_home(node: Daemon) -> None:
    """What is left of a node is read, and becomes a server of its own only if somebody says so."""
    assert "has left its cluster" in node.chatd("cluster", "status").stdout
    assert "(E624)" in node.chatd("start", check=False).stderr
    again = node.chatd("cluster", "leave")
    assert "has left the cluster" in again.stdout
    node.chatd("verify")
    node.chatd("cluster", "dissolve")
    node.chatd("start")


def is_whole(cluster: Cluster, name: str) -> bool:
    """Whether the members are those that are left, and all are well, as one of them says."""
    members = cluster.status(name).get("members") or []
    return tuple(member["node"] for member in members) == cluster.names and all(
        member["answers"] and member["has_log"] and member["stream_current"] for member in members
    )


def keep_the_stream(cluster: Cluster) -> bool:
    """Whether three servers keep the stream, all of members."""
    keepers = stream_keepers(cluster)
    return len(keepers) == 3 and set(keepers) <= set(cluster.names)


def stream_keepers(cluster: Cluster) -> list[str]:
    """The servers that keep the stream, as one of them says."""
    home = cluster.nodes[cluster.names[0]].home
    return sorted(view_cluster(home, len(cluster.names)).stream.replicas)


def keep_key(cluster: Cluster, name: str) -> None:
    """Copy what the node has as a key now, as a thief would."""
    node = cluster.nodes[name]
    shutil.copytree(node.home / "certs", kept_key(node))


def kept_key(node: Daemon) -> Path:
    return node.home.parent / f"{node.home.name}-certs"


def route_of(cluster: Cluster, name: str) -> str:
    return load_settings(cluster.nodes[name].home, {}).cluster.members[name]
