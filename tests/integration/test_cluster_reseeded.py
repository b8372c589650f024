"""The stream of three machines is lost; a backup of one of them is restored elsewhere."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator

import pytest

from tests.support.cluster import CLUSTER_SECONDS, NAMES, Cluster, clustered
from tests.support.daemon import Daemon, wait_until


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with clustered(tmp_path_factory.mktemp("reseeded")) as cluster:
        cluster.wait_for_hubs()
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
    heads = {name: cluster.status(name)["head"] for name in NAMES}
    longest = max(NAMES, key=lambda name: heads[name])
    for name in NAMES:
        cluster.nodes[name].chatd("cluster", "reseed", *([] if name == longest else ["--copy"]))
    for name in NAMES:
        cluster.start(name)
    cluster.wait_for_hubs()
    cluster.wait_until_writable("b")
    for name in NAMES:
        assert "before the loss" in cluster.chat(name, "history", "--json", "#lobby").stdout
    wait_until(cluster.have_one_log, CLUSTER_SECONDS)
