"""A cluster on NATS servers of one's own: three nodes, none of which starts a server."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from chatd.cluster.nats_thread import NatsThread, ask
from chatd.cluster.stream_state import STREAM
from chatd.config.loading import load_settings
from chatd.nats.outside_nats import outside_address
from tests.support.cluster import CLUSTER_SECONDS, Cluster, running_nodes
from tests.support.daemon import Daemon, wait_until
from tests.support.fixed_port import fixed_port
from tests.support.outside_servers import PASSWORD, OutsideNats
from tests.support.steady_talkers import Talker, assert_delivered_once_in_order


@pytest.fixture
def servers(tmp_path: Path) -> Iterator[OutsideNats]:
    servers = OutsideNats(tmp_path / "nats")
    servers.start()
    yield servers
    servers.stop()


class OutsideCluster(Cluster):
    """Three nodes that use the servers; the first one's settings name them."""

    def __init__(self, root: Path, servers: OutsideNats) -> None:
        super().__init__(root)
        self._servers = servers

    def begin(self) -> None:
        super().begin()
        self._servers.install(self.first.home)


@pytest.fixture
def cluster(servers: OutsideNats, tmp_path: Path) -> Iterator[Cluster]:
    with running_nodes(OutsideCluster(tmp_path, servers)) as cluster:
        yield cluster


def test_people_write_while_a_server_and_a_node_are_lost(cluster: Cluster, servers: OutsideNats) -> None:
    cluster.wait_until_writable()
    talker = Talker(cluster.identity())
    talker.start()
    try:
        servers.kill(0)
        goes_on(talker)
        servers.start_one(0)
        wait_until(lambda: bool(cluster.leader()), CLUSTER_SECONDS, "a leader")
        lost = cluster.leader()
        cluster.kill(lost)
        goes_on(talker)
        replace_node(cluster, lost)
        goes_on(talker)
        talker.finish()
        wait_until(lambda: talker.sent <= len(talker.seen), CLUSTER_SECONDS, "the last message")
        assert_delivered_once_in_order([talker])
    finally:
        talker.close()
    wait_until(cluster.have_one_log, CLUSTER_SECONDS, "one log")
    for name in cluster.names:
        home = cluster.nodes[name].home
        assert not (home / "run" / "nats.conf").exists()
        assert cluster.nodes[name].child("nats")["state"] == "running"
        told = "".join(path.read_text() for path in (home / "logs").iterdir() if path.is_file())
        assert PASSWORD not in told + (home / "config" / "settings.json").read_text()
    node = cluster.nodes[cluster.names[0]]
    what_is_not_seen_is_told(cluster, node)
    fewer_replicas_are_refused(cluster, node)
    servers_that_are_away_are_told(node, servers)


def goes_on(talker: Talker) -> None:
    said = len(talker.acknowledged)
    wait_until(lambda: len(talker.acknowledged) > said + 3, CLUSTER_SECONDS, "more acknowledged messages")


def replace_node(cluster: Cluster, lost: str) -> None:
    """Put the node d in the place of one that is lost, as docs/cluster.md says."""
    rest = [name for name in cluster.names if name != lost]
    root = cluster.first.home.parent
    new = Daemon(root / "d", CHATD_WORKERS__COUNT="1")
    new.port = fixed_port()
    new.home.mkdir()
    first = cluster.nodes[rest[0]]
    wait_until(lambda: not answers(cluster, rest[0], lost), CLUSTER_SECONDS)
    replaced = first.chatd(
        *("cluster", "replace", lost, f"d=127.0.0.1:{fixed_port()}", "--out", str(root)),
        *("--address", f"127.0.0.1:{new.port}", "--old-address", cluster.address(lost)),
    )
    assert "another login" in replaced.stderr
    cluster.nodes["d"] = new
    cluster.names = (*rest, "d")
    for name in rest[::-1]:
        cluster.nodes[name].chatd("restart", "--wait", "60")
    new.chatd("cluster", "join", str(root / "d.join"), "--start")
    cluster.wait_for_hubs("d")
    wait_until(lambda: all_current(cluster.status("d")), CLUSTER_SECONDS, "the new node among the others")


def answers(cluster: Cluster, asked: str, name: str) -> bool:
    return any(one["node"] == name and one["answers"] for one in cluster.status(asked)["members"])


def all_current(status: dict[str, Any]) -> bool:
    members = status.get("members") or []
    return bool(members) and all(member["answers"] and member["stream_current"] for member in members)


def what_is_not_seen_is_told(cluster: Cluster, node: Daemon) -> None:
    """Nobody but their owner knows whether the servers sync, until the settings say so."""
    assert cluster.status(node.home.name)["sync_always"] is None
    assert "W120" in node.chatd("cluster", "status").stdout
    checked = node.chatd("check", check=False)
    assert "cluster.nats_syncs to true" in checked.stdout
    assert "eof_received" not in checked.stderr
    node.write_settings(lambda tree: tree["cluster"].update(nats_syncs=True))
    assert "nats_syncs" not in node.chatd("check", check=False).stdout


def fewer_replicas_are_refused(cluster: Cluster, node: Daemon) -> None:
    """A stream on one server, and then on three again."""
    set_replicas(node, 1)
    assert "nats stream edit CHATD --replicas 3" in node.chatd("check", check=False).stdout
    node.stop()
    refused = node.chatd("start", "--wait", "30", check=False)
    assert refused.returncode
    assert "the stream CHATD has 1 replica" in refused.stderr
    assert "nats stream edit CHATD --replicas 3" in refused.stderr
    set_replicas(node, 3)
    node.stop()
    node.chatd("start", "--wait", "60")
    cluster.wait_until_writable(node.home.name)


def set_replicas(node: Daemon, count: int) -> None:
    """Do what `nats stream edit` does."""
    link = NatsThread(partial(outside_address, node.home, load_settings(node.home, {})))

    async def update() -> None:
        client = await link.connected()
        config = json.loads(await ask(client, f"$JS.API.STREAM.INFO.{STREAM}"))["config"]
        answer = await ask(client, f"$JS.API.STREAM.UPDATE.{STREAM}", config | {"num_replicas": count})
        assert "error" not in json.loads(answer), answer

    link.run(update())
    link.close()


def servers_that_are_away_are_told(node: Daemon, servers: OutsideNats) -> None:
    """Without its NATS servers a node can be read, and says what is wrong."""
    servers.stop()
    node.stop()
    node.chatd("start", "--wait", "60")
    wait_until(lambda: "outside_nats_unreachable" in told_errors(node), CLUSTER_SECONDS)
    assert "can be used" in node.chatd("check", check=False).stdout
    assert "NATS servers tls://localhost" in node.chatd("cluster", "status").stdout


def told_errors(node: Daemon) -> list[str]:
    return [line["event"] for line in node.log_lines("errors.log")]


def refusal(home: Path, servers: OutsideNats) -> str:
    """What chatd cluster init says; it has begun nothing."""
    daemon = Daemon(home)
    daemon.init()
    servers.install(home)
    before = (home / "config" / "settings.json").read_text()
    refused = daemon.chatd("cluster", "init", "b=127.0.0.1:1", "c=127.0.0.1:2", check=False)
    assert refused.returncode
    assert (home / "config" / "settings.json").read_text() == before
    assert not (home / "certs" / "node.key").exists()
    assert PASSWORD not in refused.stderr
    return refused.stderr


UNSUITABLE = {
    "one server": ({"count": 1}, "E625", "with 3 replicas"),
    "short messages": ({"payload": "1MB"}, "E625", "max_payload: 2MB"),
}


@pytest.mark.parametrize(("options", "code", "words"), UNSUITABLE.values(), ids=UNSUITABLE)
def test_servers_that_do_not_suit_are_refused(
    tmp_path: Path, options: dict[str, Any], code: str, words: str
) -> None:
    servers = OutsideNats(tmp_path / "nats", **options)
    servers.start()
    try:
        told = refusal(tmp_path / "home", servers)
    finally:
        servers.stop()
    assert f"({code})" in told
    assert words in told


LOCKED_OUT = {
    "nobody there": ("", "", "Connect"),
    "another login": ("nats-login.key", "chatd:wrong", "uthorization"),
    "another CA": ("nats-ca.pem", None, "certificate verify failed"),
    "no login of one line": ("nats-login.key", "only-a-name", "USER:PASSWORD"),
}


@pytest.mark.parametrize(("file", "text", "words"), LOCKED_OUT.values(), ids=LOCKED_OUT)
def test_servers_that_cannot_be_used_are_named(
    tmp_path: Path, file: str, text: str | None, words: str
) -> None:
    servers = OutsideNats(tmp_path / "nats", 1)
    if file:
        other = OutsideNats(tmp_path / "other", 1).files / file
        (servers.files / file).write_text(other.read_text() if text is None else text)
        servers.start()
    try:
        told = refusal(tmp_path / "home", servers)
    finally:
        servers.stop()
    assert words in told
    assert ("(E606)" if words == "USER:PASSWORD" else "(E607)") in told
