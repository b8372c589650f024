"""The stream of three machines is lost or deleted; a backup of one of them is restored elsewhere."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from contextlib import closing
from functools import partial

import pytest

from chatd.store.branches import read_lineage
from chatd.store.database import connect_reader
from tests.support.cluster import CLUSTER_SECONDS, NAMES, Cluster, clustered
from tests.support.daemon import Daemon, wait_until
from tests.support.lost_stream import delete_stream, reseed_stopped


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with clustered(tmp_path_factory.mktemp("reseeded")) as cluster:
        yield cluster


def test_a_restored_backup_of_a_node_is_a_server_of_its_own(cluster: Cluster) -> None:
    root = cluster.first.home.parent
    passphrase = root / "passphrase"
    passphrase.write_text("several words of a passphrase\n")
    secret = ("--passphrase-file", str(passphrase))
    cluster.nodes["b"].chatd("backup", "create", str(root / "b.backup"), *secret)
    restored = Daemon(root / "restored")
    restored.home.mkdir()
    restored.chatd("restore", str(root / "b.backup"), "--listen", "127.0.0.1:0", *secret)
    section = json.loads((restored.home / "config" / "settings.json").read_text())["cluster"]
    assert section["node"] == "b"
    assert section["members"] == {}


def test_a_lost_stream_begins_anew_with_the_longest_log(cluster: Cluster) -> None:
    cluster.wait_until_writable("a")
    assert cluster.try_say("a", "before the loss")
    wait_until(cluster.have_one_log, CLUSTER_SECONDS)
    for name in NAMES:
        cluster.stop(name)
    for name in ("a", "b"):
        shutil.rmtree(cluster.nodes[name].home / "data" / "stream")
    reseed(cluster)
    for name in NAMES:
        assert "before the loss" in cluster.chat(name, "history", "--json", "#lobby").stdout
    # A client that has seen what a longer log had knows where the others part from it.
    branches = {lineage_of(cluster.nodes[name]) for name in NAMES}
    assert len(branches) == 1
    assert len(branches.pop()) > 1


def test_a_stream_that_is_deleted_while_all_run_is_told_and_begins_anew(cluster: Cluster) -> None:
    cluster.wait_for_hubs()
    cluster.wait_until_writable("b")
    assert cluster.try_say("b", "before it was deleted")
    delete_stream(cluster.nodes["b"])
    for name in NAMES:
        assert cluster.status(name)["stream_gone"]
        assert "the stream is gone (E621)" in cluster.nodes[name].chatd("cluster", "status").stdout
    checked = cluster.first.chatd("check", check=False)
    assert checked.returncode
    assert "chatd cluster reseed" in checked.stdout
    assert "before it was deleted" in cluster.chat("c", "history", "--json", "#lobby").stdout
    # The one that leads finds out when it writes.
    follower = next(name for name in NAMES if name != cluster.status("a")["leader"])
    wait_until(partial(tells_in_its_log, cluster.nodes[follower]), CLUSTER_SECONDS, "the log to tell")
    for name in NAMES:
        cluster.stop(name)
    reseed(cluster)
    for name in NAMES:
        assert "before it was deleted" in cluster.chat(name, "history", "--json", "#lobby").stdout


def lineage_of(node: Daemon) -> tuple[str, ...]:
    with closing(connect_reader(node.home / "data")) as connection:
        return tuple(branch.id for branch in read_lineage(connection))


def tells_in_its_log(node: Daemon) -> bool:
    return any(line["event"] == "stream_gone" for line in node.log_lines("errors.log"))


def reseed(cluster: Cluster) -> None:
    """Make the stream anew from the longest log, and start all nodes."""
    reseed_stopped(cluster)
    for name in NAMES:
        cluster.start(name)
    cluster.wait_for_hubs()
    cluster.wait_until_writable("b")
    wait_until(cluster.have_one_log, CLUSTER_SECONDS)
