"""Another machine takes the place of a lost one, which can never come back."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from chatd.cli.node_probe import Reached, probe
from chatd.config.loading import load_settings
from tests.support.cluster import CLUSTER_SECONDS, Cluster, clustered
from tests.support.daemon import Daemon, wait_until
from tests.support.fixed_port import fixed_port


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with clustered(tmp_path_factory.mktemp("replaced")) as cluster:
        yield cluster


def test_a_node_that_runs_is_not_replaced(cluster: Cluster) -> None:
    refused = cluster.first.chatd("cluster", "replace", "c", "x=127.0.0.1:1", check=False)
    assert "(E409)" in refused.stderr
    assert "node c runs" in refused.stderr


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("a", "x=127.0.0.1", "no other node a"),
        ("z", "x=127.0.0.1", "no other node z"),
        ("c", "b=127.0.0.1", "a name is used once"),
        ("c", "c=127.0.0.1", "a name is used once"),
        ("c", "X x=127.0.0.1", "no name for a node"),
        ("c", "127.0.0.1", "is not NAME=HOST"),
    ],
    ids=["own", "unknown", "taken", "again", "name", "nameless"],
)
def test_a_wrong_replacement_is_refused(cluster: Cluster, old: str, new: str, words: str) -> None:
    refused = cluster.first.chatd("cluster", "replace", old, new, check=False)
    assert refused.returncode
    assert words in refused.stderr


def test_a_new_machine_takes_the_place_of_a_lost_one(cluster: Cluster) -> None:
    root = cluster.first.home.parent
    cluster.wait_until_writable("a")
    assert cluster.try_say("a", "before the loss")
    lost = cluster.nodes["c"]
    cluster.kill("c")
    new = Daemon(root / "d", CHATD_WORKERS__COUNT="1")
    new.port = fixed_port()
    new.home.mkdir()
    wait_until(lambda: not answers(cluster, "c"), CLUSTER_SECONDS)
    cluster.first.chatd(
        *("cluster", "replace", "c", f"d=127.0.0.1:{fixed_port()}", "--out", str(root)),
        *("--address", f"127.0.0.1:{new.port}", "--old-address", f"127.0.0.1:{lost.port}"),
    )
    try:
        for name in ("b", "a"):
            cluster.nodes[name].chatd("restart", "--wait", "60")
        new.chatd("cluster", "join", str(root / "d.join"), "--start")
        cluster.nodes["d"] = new
        wait_until(lambda: is_whole(cluster), CLUSTER_SECONDS, "the stream on the new machine")
        cluster.wait_for_hubs("d")
        assert "before the loss" in cluster.chat("d", "history", "--json", "#lobby").stdout
        cluster.wait_until_writable("d")
        for name in ("a", "b", "d"):
            addresses = load_settings(cluster.nodes[name].home, {}).server.client_addresses
            assert f"127.0.0.1:{lost.port}" not in addresses
            assert f"127.0.0.1:{new.port}" in addresses
        assert probe(lost.home / "certs", route_of(cluster, "a")) is Reached.REFUSED
    finally:
        new.stop()


def answers(cluster: Cluster, name: str) -> bool:
    members = cluster.status("a")["members"]
    return any(member["node"] == name and member["answers"] for member in members)


def is_whole(cluster: Cluster) -> bool:
    """Whether the members are those of now, and each has the log and the whole stream."""
    members = cluster.status("a")["members"]
    return [member["node"] for member in members] == ["a", "b", "d"] and all(
        member["answers"] and member["has_log"] and member["stream_current"] for member in members
    )


def route_of(cluster: Cluster, name: str) -> str:
    found = next(one for one in cluster.status(name)["members"] if one["node"] == name)
    return str(found["address"])
