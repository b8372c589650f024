"""The disks of one node and of two are full, and have space again: nothing acknowledged is lost."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from chatctl.client import Client, Sent
from chatd.errors import ChatdError
from chatd.pki.identity import read_identity
from tests.support.cluster import CLUSTER_SECONDS, NAMES, Cluster, running_nodes
from tests.support.daemon import wait_until
from tests.support.small_disks import SmallDisks, fill, free

# The reserves of a hub take 12 MB, and a copy of the log needs spare space beside them.
DISK_BYTES = 160 * 1024 * 1024


class DiskCluster(Cluster):
    """Three nodes, each of which has its data on a small disk of its own."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.disks = SmallDisks(DISK_BYTES)

    def make(self) -> None:
        super().make()
        self._mount("a")

    def join(self, name: str) -> None:
        self.nodes[name].chatd("cluster", "join", str(self.join_file(name)))
        self._mount(name)
        self.start(name)

    def _mount(self, name: str) -> None:
        if not self.disks.mount(self.nodes[name].home):
            pytest.skip("no file system can be mounted here")

    def fill(self, name: str) -> None:
        fill(self.nodes[name].home)

    def free(self, name: str) -> None:
        free(self.nodes[name].home)

    def keeps_stream(self, name: str) -> bool:
        members = self.status("a").get("members", ())
        return any(one["node"] == name and one["stream_current"] for one in members)


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[DiskCluster]:
    cluster = DiskCluster(tmp_path)
    try:
        with running_nodes(cluster):
            cluster.wait_for_hubs()
            cluster.wait_until_writable("a")
            yield cluster
    finally:
        cluster.disks.unmount()


class Speaker:
    """Says numbered messages by one node; each is acknowledged, sooner or later."""

    def __init__(self, cluster: Cluster, name: str, state: Path) -> None:
        self.client = Client(read_identity(cluster.identity(name)), state=state)
        self.sent: list[Sent] = []

    def say(self) -> Sent:
        self.sent.append(self.client.send("#lobby", f"message {len(self.sent)} {'of many bytes ' * 200}"))
        return self.sent[-1]

    def is_heard(self, seconds: float = 2.0) -> bool:
        """Say something; return whether it is acknowledged within so many seconds."""
        try:
            return bool(self.say().wait(seconds).seq)
        except ChatdError:
            return False

    def can_read(self) -> bool:
        try:
            return bool(self.client.request("history", room="#lobby")["events"])
        except ChatdError:
            return False


def heard_with_two_full(cluster: DiskCluster, speaker: Speaker) -> bool:
    cluster.fill("c")
    return speaker.is_heard()


def fill_until_noticed(cluster: DiskCluster, name: str, speaker: Speaker) -> None:
    """Fill the disk again and again: the hub and NATS leave some space when they meet its end."""
    node = cluster.nodes[name]
    before = len(node.log_lines())

    def is_noticed() -> bool:
        cluster.fill(name)
        speaker.say()
        events = {line["event"] for line in node.log_lines()[before:]}
        # A hub that starts with no space at all opens the log to read only.
        return bool(events & {"disk_full", "log_read_only"}) and "stream_store_lost" in events

    try:
        wait_until(is_noticed, CLUSTER_SECONDS, f"the full disk of {name} to be noticed")
    except AssertionError as error:
        free = shutil.disk_usage(node.home / "data").free
        told = [
            (line["event"], line.get("what", line.get("reason", ""))) for line in node.log_lines()[before:]
        ]
        raise AssertionError(f"{error}; {free} bytes free, {cluster.status('a')}, {told[:40]}") from None


def test_full_disks_lose_nothing_and_all_goes_on_when_they_have_space(
    cluster: DiskCluster, tmp_path: Path
) -> None:
    speaker, other = (Speaker(cluster, name, tmp_path / f"state-{name}") for name in ("a", "c"))
    with speaker.client, other.client:
        # One full disk: the others go on, and it is read.
        fill_until_noticed(cluster, "c", speaker)
        wait_until(speaker.is_heard, CLUSTER_SECONDS, "writes with one full disk")
        wait_until(other.can_read, CLUSTER_SECONDS, "reading on c")
        waiting = other.say()
        cluster.free("c")
        assert waiting.wait(CLUSTER_SECONDS).seq
        # NATS ends its store for good with a full disk, unless it is started again.
        wait_until(lambda: cluster.keeps_stream("c"), CLUSTER_SECONDS, "the stream on c")
        # Two full disks: nothing is written, and with space everything is.
        fill_until_noticed(cluster, "b", speaker)
        wait_until(speaker.is_heard, CLUSTER_SECONDS, "writes without b")
        wait_until(lambda: not heard_with_two_full(cluster, speaker), CLUSTER_SECONDS, "no majority")
        # The hub that led ends, and the next one can only be read.
        wait_until(speaker.can_read, CLUSTER_SECONDS, "reading on a")
        for name in ("b", "c"):
            cluster.free(name)
        assert other.say().wait(CLUSTER_SECONDS).seq
        seqs = [message.wait(CLUSTER_SECONDS).seq for message in speaker.sent]
        assert seqs == sorted(set(seqs))
    wait_until(cluster.have_one_log, CLUSTER_SECONDS, "equal logs")
    for name in NAMES:
        assert cluster.nodes[name].chatd("verify").stdout.startswith("ok")
