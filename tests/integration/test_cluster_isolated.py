"""A node that has lost the others: it reads on, and every client says that what it shows may be old, and why
nothing is written."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from tests.support.cluster import CLUSTER_SECONDS, Cluster, running_nodes
from tests.support.daemon import BIN, free_port, wait_until
from tests.support.hook_senders import bearer, make_hook, post
from tests.support.https import Https, Reply
from tests.support.rawclient import RawClient
from tests.support.terminal import Terminal

BEFORE = "a text from before the loss"
MARK = "cut off from the others; what you see may be old"


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    """Three nodes; b has a gateway, and is isolated after a second."""
    cluster = Cluster(tmp_path)
    cluster.nodes["b"].environ |= {
        "CHATD_GATEWAY__LISTEN": f"127.0.0.1:{free_port()}",
        "CHATD_CLUSTER__ISOLATED_SECONDS": "1",
    }
    with running_nodes(cluster):
        cluster.wait_for_hubs()
        wait_until(lambda: cluster.try_say("b", BEFORE), CLUSTER_SECONDS, "the first message")
        yield cluster


@pytest.fixture
def terminal(cluster: Cluster, tmp_path: Path) -> Iterator[Terminal]:
    """`chat` of alice at the node b."""
    terminal = Terminal(tmp_path, cluster.first.environ)
    try:
        terminal.open("chat", [str(BIN / "chat"), "--identity", str(cluster.identity("b"))], columns=140)
        terminal.wait_for("chat", "connected")
        yield terminal
    finally:
        terminal.close()


def test_an_isolated_node_is_marked_and_says_why_writes_wait(cluster: Cluster, terminal: Terminal) -> None:
    node = cluster.nodes["b"]
    hook = make_hook(cluster.first, "#lobby", "text", "backup-bot")
    wait_until(lambda: "backup-bot" in cluster.chat("b", "history", "#lobby").stdout or _hooks(cluster))
    with RawClient(node.port, cluster.identity("b")) as client:
        client.logged_in()
        assert client.ask("resume")["type"] == "ok"
        for name in "ac":
            cluster.kill(name)
        assert MARK in client.until(type="isolated")["reason"]

        terminal.wait_for("chat", "CUT OFF: may be old")
        terminal.wait_for("chat", f"-!- this server is {MARK}, and what you write waits")

        read = cluster.chat("b", "history", "#lobby")
        assert BEFORE in read.stdout
        assert f"warning: this server is {MARK}" in read.stderr
        with _sending(cluster) as sending:
            assert sending.stderr is not None
            sending.stderr.readline()  # the warning
            assert "waiting: this machine hears no leader of its cluster" in sending.stderr.readline()
            sending.kill()
        reply = _post(cluster, hook["token"])
        assert reply.status == 503
        assert int(reply.headers["Retry-After"]) > 0
        stats = cluster.first.run("chatctl", "--identity", str(cluster.identity("b")), "stats")
        assert "node b is cut off from the others" in stats.stdout
        ready = _https(cluster).get("/readyz")
        assert (ready.status, "cut off" in ready.text) == (503, True)

        for name in "ac":
            cluster.start(name)
    cluster.wait_until_writable("b")
    terminal.wait_for("chat", "this server is up to date again")
    wait_until(lambda: "CUT OFF" not in terminal.text("chat"), what="the mark to go")
    assert MARK not in cluster.chat("b", "history", "#lobby").stderr


def test_a_client_of_an_isolated_node_goes_on_to_another(cluster: Cluster, tmp_path: Path) -> None:
    both = str(cluster.identity("ba"))
    terminal = Terminal(tmp_path, cluster.first.environ)
    try:
        terminal.open("chat", [str(BIN / "chat"), "--identity", both], columns=140)
        terminal.wait_for("chat", "connected")
        with RawClient(cluster.nodes["b"].port, cluster.identity("b")) as client:
            client.logged_in()
            with _frozen_nats_server(cluster, "b"):
                client.until(type="isolated")
                terminal.wait_for("chat", "connected again")
                terminal.keys("chat", "said by another node", "Enter")
                wait_until(lambda: "said by another node" in cluster.chat("a", "history", "#lobby").stdout)
                sent = cluster.first.run("chat", "--identity", both, "send", "#lobby", "sent by another")
                assert "warning" not in sent.stderr
                assert "CUT OFF" not in terminal.text("chat")
    finally:
        terminal.close()


@contextmanager
def _frozen_nats_server(cluster: Cluster, name: str) -> Iterator[None]:
    (supervised,) = [
        psutil.Process(child["pid"])
        for child in cluster.nodes[name].status()["children"]
        if child["name"] == "nats"
    ]
    (server,) = [one for one in supervised.children() if one.name() == "nats-server"]
    server.suspend()
    try:
        yield
    finally:
        server.resume()


def _sending(cluster: Cluster) -> subprocess.Popen[str]:
    """Begin to send a message by the isolated node."""
    command = [
        str(BIN / "chat"),
        "--identity",
        str(cluster.identity("b")),
        "send",
        "#lobby",
        "during the loss",
    ]
    environ = cluster.first.environ
    return subprocess.Popen(command, env=environ, cwd=cluster.first.home, stderr=subprocess.PIPE, text=True)


def _hooks(cluster: Cluster) -> bool:
    listed = cluster.first.run("chatctl", "--identity", str(cluster.identity("b")), "hook", "list", "--json")
    return "backup-bot" in json.dumps(json.loads(listed.stdout))


def _https(cluster: Cluster) -> Https:
    node = cluster.nodes["b"]
    port = int(node.environ["CHATD_GATEWAY__LISTEN"].rpartition(":")[2])
    return Https(port, node.home / "certs" / "ca.pem")


def _post(cluster: Cluster, token: str) -> Reply:
    return post(_https(cluster), "lobby", b"during the loss", bearer(token))
