"""Three commands make a cluster of a running server, here a node alone: its history goes on at all nodes."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.support.cluster import CLUSTER_SECONDS, NAMES, Cluster
from tests.support.daemon import BIN, Daemon, wait_until
from tests.support.lobby import history, say


class Made:
    """A cluster that was made of a running server, what the first command said, copies of the join files."""

    def __init__(self, root: Path) -> None:
        self.cluster = Cluster(root)
        self.copies = root / "copies"
        self.said = ""

    def make(self) -> None:
        cluster, first = self.cluster, self.cluster.first
        cluster.begin()
        first.chatd("cluster", "init", "--node", "a")
        first.start()
        first.add_user("alice", role="admin", device="everywhere")
        say(first, "before the cluster")
        self.copies.mkdir()
        command = [str(BIN / "chatd"), "--home", str(first.home), *cluster.init_arguments()]
        with subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=first.environ
        ) as init:
            for name in NAMES[1:]:
                wait_until(cluster.join_file(name).exists)
                shutil.copy2(cluster.join_file(name), self.copies)
                cluster.join(name)
            self.said, _ = init.communicate(timeout=CLUSTER_SECONDS)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Made]:
    made = Made(tmp_path_factory.mktemp("made"))
    try:
        made.make()
        yield made
    finally:
        made.cluster.end()


def test_the_first_server_waits_for_the_others_and_keeps_its_history(made: Made) -> None:
    assert "node b is there" in made.said
    assert "node c is there" in made.said
    assert "before the cluster" in history(made.cluster.first)


def test_every_node_has_the_log_with_its_chain(made: Made) -> None:
    made.cluster.wait_for_hubs()
    chains = made.cluster.chains()
    assert set(chains) == set(NAMES)
    for chain in chains.values():
        assert chain.items() <= max(chains.values(), key=len).items()
    for name in NAMES:
        assert "ok" in made.cluster.nodes[name].chatd("verify").stdout


def test_every_node_tells_how_all_of_them_are(made: Made) -> None:
    made.cluster.wait_for_hubs()
    for name in NAMES:
        wait_until(partial(all_is_well, made.cluster, name), CLUSTER_SECONDS)
        shown = made.cluster.nodes[name].chatd("cluster", "status").stdout
        assert "a majority takes writes" in shown
        assert "3 nodes answer" in made.cluster.nodes[name].chatd("check", check=False).stdout
        assert "differ" not in shown


def all_is_well(cluster: Cluster, name: str) -> bool:
    status = cluster.status(name)
    members = status["members"]
    return bool(
        status["quorum"]
        and status["chain_equal"]
        and [member["node"] for member in members] == list(NAMES)
        and all(member["answers"] and member["has_log"] and member["stream_current"] for member in members)
    )


def test_identities_made_on_any_node_name_the_addresses_of_all(made: Made) -> None:
    cluster = made.cluster
    cluster.wait_for_hubs()
    for name in NAMES:
        made_here = cluster.nodes[name].add_user(f"user-of-{name}").read_text()
        assert all(f"server: {cluster.address(one)}\n" in made_here for one in NAMES)
    for name in NAMES:
        assert set(addresses_of(cluster.nodes[name])) == {cluster.address(one) for one in NAMES}
        assert addresses_of(cluster.nodes[name])[0] == cluster.address(name)


def addresses_of(node: Daemon) -> list[str]:
    settings = json.loads((node.home / "config" / "settings.json").read_text())
    return [
        address if ":" in address else f"{address}:{node.port}" for address in settings["server"]["addresses"]
    ]


def test_a_killed_node_costs_nothing_and_catches_up(made: Made) -> None:
    cluster = made.cluster
    cluster.wait_for_hubs()
    cluster.wait_until_writable("b")
    killed = wait_until(cluster.leader)
    others = [name for name in NAMES if name != killed]
    cluster.kill(killed)
    cluster.wait_until_writable(others[0])
    assert cluster.try_say(others[1], "while it was away")
    cluster.start(killed)
    cluster.wait_for_hubs(killed)
    wait_until(cluster.have_one_log, CLUSTER_SECONDS)
    assert "while it was away" in cluster.chat(killed, "history", "--json", "#lobby").stdout
    for name in NAMES:
        assert "ok" in cluster.nodes[name].chatd("verify").stdout


def test_a_cluster_is_begun_once(made: Made) -> None:
    refused = made.cluster.first.chatd("cluster", "init", "d=127.0.0.1", "e=127.0.0.1", check=False)
    assert "(E409)" in refused.stderr


def test_a_join_file_is_of_use_once(made: Made, tmp_path: Path) -> None:
    """Its node is away, so that NATS would let another one in under its name."""
    assert not made.cluster.join_file("b").exists()
    assert "(E602)" in join(made.cluster.nodes["b"], made.copies / "b.join").stderr
    made.cluster.stop("b")
    shown = wait_until(lambda: away(made.cluster.status("a"), "b"), CLUSTER_SECONDS)
    assert shown["quorum"]
    assert "node b does not answer" in made.cluster.first.chatd("check", check=False).stdout
    again = Daemon(tmp_path / "again")
    again.home.mkdir()
    try:
        join(again, made.copies / "b.join")
        wait_until(lambda: "E623" in str(again.child("nats").get("why")), CLUSTER_SECONDS)
        assert not (again.home / "data" / "events.db").exists()
    finally:
        again.stop()
        made.cluster.start("b")


def away(status: dict[str, Any], name: str) -> dict[str, Any] | None:
    """The status of a cluster without this node, once that is seen."""
    seen = {member["node"]: member["answers"] for member in status["members"]}
    return status if seen == {one: one != name for one in NAMES} else None


def join(node: Daemon, file: Path) -> subprocess.CompletedProcess[str]:
    return node.chatd("cluster", "join", str(file), "--start", check=False)
