"""People at different nodes of a cluster: they talk, are moderated, enrol and get posts as at one server."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.support.cluster import CLUSTER_SECONDS, Cluster, running_nodes
from tests.support.daemon import Daemon, free_port, wait_until
from tests.support.hook_senders import bearer, make_hook, post
from tests.support.https import Https
from tests.support.joining import invite, join
from tests.support.lobby import history
from tests.support.rawclient import RawClient

FIRST_TEXT = "a text from before the tests"


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """Three nodes; b and c have gateways."""
    cluster = Cluster(tmp_path_factory.mktemp("talk"))
    for name in "bc":
        cluster.nodes[name].environ["CHATD_GATEWAY__LISTEN"] = f"127.0.0.1:{free_port()}"
    with running_nodes(cluster):
        cluster.wait_for_hubs()
        wait_until(lambda: cluster.try_say("a", FIRST_TEXT), CLUSTER_SECONDS, "the first message")
        yield cluster


def follower(cluster: Cluster) -> Daemon:
    """A node that does not lead."""
    leader = leading(cluster)
    return next(cluster.nodes[name] for name in "bc" if name != leader)


def leading(cluster: Cluster) -> str:
    """The name of the leader, once all agree."""
    wait_until(lambda: bool(cluster.leader()), CLUSTER_SECONDS)
    return cluster.leader()


def leader(cluster: Cluster) -> Daemon:
    return cluster.nodes[leading(cluster)]


@contextmanager
def session(node: Daemon, cluster: Cluster, user: str) -> Iterator[RawClient]:
    """Register a user and open a live session at a node."""
    path = cluster.first.identity(user)
    if not path.exists():
        cluster.first.add_user(user)
    with RawClient(node.port, path) as client:
        client.logged_in()
        assert client.ask("resume")["type"] == "ok"
        yield client


def test_two_at_different_nodes_talk(cluster: Cluster) -> None:
    with session(leader(cluster), cluster, "ann") as ann, session(follower(cluster), cluster, "bob") as bob:
        for number, (writer, reader) in enumerate(((ann, bob), (bob, ann))):
            text = f"message {number}"
            reply = writer.ask("send", to="#lobby", body=text, msg_id=f"{number:032x}")
            assert reply["type"] == "ok", reply
            assert reader.until(type="message", body=text)["seq"] == reply["result"]["seq"]
            again = writer.ask("send", to="#lobby", body=text, msg_id=f"{number:032x}")
            assert again["result"]["seq"] == reply["result"]["seq"]


def test_both_see_each_other(cluster: Cluster) -> None:
    with session(leader(cluster), cluster, "ann") as ann:
        with session(follower(cluster), cluster, "bob") as bob:
            for one, other in ((ann, "bob"), (bob, "ann")):
                wait_until(partial(is_online, one, other))
        wait_until(lambda: not is_online(ann, "bob"))


def is_online(client: RawClient, user: str) -> bool:
    return bool(client.ask("whois", user=user)["result"]["state"] == "online")


def test_a_ban_at_one_node_cuts_at_all(cluster: Cluster) -> None:
    with (
        session(leader(cluster), cluster, "carl") as here,
        session(follower(cluster), cluster, "carl") as there,
    ):
        cluster.first.chatctl("ban", "carl", "--yes")
        for client in (here, there):
            assert client.read_bye()["code"] == "E207"
    cluster.first.chatctl("unban", "carl")


def test_an_invite_is_redeemed_at_a_follower(cluster: Cluster, tmp_path: Path) -> None:
    node = follower(cluster)
    _, code = invite(cluster.first, "dora").rsplit("/", 1)
    done = join(node, f"127.0.0.1:{node.port}/{code}", tmp_path / "dora.pem")
    assert done.returncode == 0, done.stderr
    assert "dora" in cluster.first.chatctl("users").stdout


def test_a_hook_posts_at_a_follower(cluster: Cluster) -> None:
    node = follower(cluster)
    made = make_hook(cluster.first, "#lobby", "text", "backup-bot")
    port = int(node.environ["CHATD_GATEWAY__LISTEN"].rpartition(":")[2])
    reply = post(
        Https(port, node.home / "certs" / "ca.pem"), "lobby", b"the backup is done", bearer(made["token"])
    )
    assert (reply.status, json.loads(reply.text)["posted"]) == (202, 1), reply
    assert "the backup is done" in history(cluster.first)


@pytest.mark.parametrize("name", ["a", "b"])
def test_stats_of_any_node_tell_of_all(cluster: Cluster, name: str) -> None:
    wait_until(lambda: _stats(cluster, name)["chain_equal"], CLUSTER_SECONDS, "reports of all nodes")
    wait_until(lambda: _stats(cluster, name)["quorum"], CLUSTER_SECONDS, "the servers' answer")
    told = _stats(cluster, name)
    assert (told["node"], told["leader"]) == (name, leading(cluster))
    assert [(one["node"], one["answers"], one["same"]) for one in told["members"]] == [
        (one, True, True) for one in "abc"
    ]
    assert told["stream"]["bytes"] > 0
    shown = _chatctl(cluster, name, "stats")
    assert f"led by {told['leader']}, writes" in shown
    assert "node           c  " in shown
    assert "event" in _chatctl(cluster, name, "top", "--once")


def test_metrics_tell_of_all_nodes(cluster: Cluster) -> None:
    node = cluster.nodes["b"]
    https = Https(
        int(node.environ["CHATD_GATEWAY__LISTEN"].rpartition(":")[2]), node.home / "certs" / "ca.pem"
    )
    wait_until(lambda: "chatd_cluster_quorum 1" in https.get("/metrics").text, CLUSTER_SECONDS)
    text = https.get("/metrics").text
    for node_name in "abc":
        assert f'chatd_cluster_node_up{{node="{node_name}"}} 1' in text


def _stats(cluster: Cluster, name: str) -> dict[str, Any]:
    told: dict[str, Any] = json.loads(_chatctl(cluster, name, "stats", "--json"))["cluster"]
    return told


def _chatctl(cluster: Cluster, name: str, *arguments: str) -> str:
    return cluster.first.run("chatctl", "--identity", str(cluster.identity(name)), *arguments).stdout


def test_the_operator_of_any_box_may_decide(cluster: Cluster) -> None:
    node = follower(cluster)
    node.chatd("user", "add", "erik", "--device", "laptop")
    assert "erik" in cluster.first.chatctl("users").stdout
    assert FIRST_TEXT in history(cluster.first)


def test_the_lead_goes_to_the_node_that_is_named(cluster: Cluster) -> None:
    former = leading(cluster)
    named = next(name for name in "bc" if name != former)
    node = follower(cluster)
    assert "no node z" in node.chatd("cluster", "lead", "z", check=False).stderr
    # Asked at any node, also at the one that leads.
    assert cluster.nodes[former].chatd("cluster", "lead", named).stdout == f"{named} leads\n"
    assert leading(cluster) == named
    assert node.chatd("cluster", "lead", named).stdout == f"{named} leads already\n"
    cluster.wait_until_writable(former)
    assert FIRST_TEXT in history(cluster.nodes[former])
    wait_until(cluster.have_one_log, CLUSTER_SECONDS)
