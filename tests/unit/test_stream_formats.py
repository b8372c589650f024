"""Nodes of several versions in one cluster: none writes what another cannot read, or skips what it cannot."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from pathlib import Path

import pytest

from chatd.cluster import stream_formats, stream_message
from chatd.cluster.follow_stream import take_messages
from chatd.cluster.peer_link import PeerMessage
from chatd.cluster.stream_formats import StreamFormats
from chatd.cluster.stream_message import OLDEST_FORMAT, NewerFormatError, UnreadableError, read_header
from chatd.hub.following import APPLIED_KIND
from chatd.hub.state.model import KINDS
from tests.support.memory_cluster import MemoryCluster, MemoryNode

NEWER = 2
# The place of the format in a message, after the magic.
FORMAT_AT = 4


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[MemoryCluster]:
    cluster = MemoryCluster(tmp_path, copies=2)
    yield cluster
    cluster.close()


def add(node: MemoryNode, name: str) -> str:
    """Register a user at a node; return the code of the refusal, "" if it was done."""
    reply = node.ask("user_add", user=name, device="dev", serial=name.encode().hex(), role="user")
    return "E503" if reply is None else str(reply.get("code", ""))


def say_formats(node: MemoryNode, **formats: object) -> None:
    """Let the other nodes say to one which format they read."""
    seq = node.following.backend.place.seq
    for name, newest in formats.items():
        node.following._take_applied(PeerMessage(name, APPLIED_KIND, [seq, newest], b""))


class TestWhatIsWritten:
    @pytest.fixture(autouse=True)
    def newer(self, monkeypatch: pytest.MonkeyPatch) -> None:
        for module in (stream_formats, stream_message):
            monkeypatch.setattr(module, "NEWEST_FORMAT", NEWER)

    @pytest.mark.parametrize(
        ("said", "lowest"),
        [
            ({}, 1),
            ({"b": 2}, 1),
            ({"b": 2, "c": 2}, 2),
            ({"b": 2, "c": 1}, 1),
            ({"b": 3, "c": 9}, 2),
            ({"b": 2, "c": 2, "z": 1}, 2),
            ({"b": 2, "c": "2"}, 1),
            ({"b": 2, "c": None}, 1),
            ({"b": 2, "c": -1}, 1),
            ({"b": 2, "c": True}, 1),
        ],
        ids=["nothing", "one", "all", "mixed", "later", "stranger", "text", "none", "negative", "truth"],
    )
    def test_the_lowest_counts_and_who_is_silent_reads_the_oldest(
        self, said: dict[str, object], lowest: int
    ) -> None:
        formats = StreamFormats(["b", "c"])
        for node, newest in said.items():
            formats.note(node, newest)
        assert formats.lowest == lowest

    def test_a_cluster_of_one_writes_the_newest(self) -> None:
        assert StreamFormats([]).lowest == NEWER

    def test_the_leader_writes_the_oldest_until_all_nodes_are_new(
        self, cluster: MemoryCluster, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setitem(KINDS, "user_added", KINDS["user_added"]._replace(since=NEWER))
        leader = cluster.elect()
        first, second = (node.name for node in cluster.followers())
        assert add(leader, "bob") == "E506"
        say_formats(leader, **{first: NEWER, second: OLDEST_FORMAT})
        assert add(leader, "bob") == "E506"
        assert "bob" not in leader.hub.state.users
        say_formats(leader, **{first: NEWER, second: NEWER})
        assert add(leader, "bob") == ""
        assert read_header((cluster.stream.messages or [])[-1]).format == NEWER
        cluster.run()
        assert all("bob" in node.hub.state.users for node in cluster.nodes.values())

    def test_a_node_that_goes_back_to_an_old_version_is_written_for(self, cluster: MemoryCluster) -> None:
        leader = cluster.elect()
        first, second = (node.name for node in cluster.followers())
        say_formats(leader, **{first: NEWER, second: NEWER})
        assert leader.following.leadership.format == NEWER
        say_formats(leader, **{second: OLDEST_FORMAT})
        assert leader.following.leadership.format == OLDEST_FORMAT


class TestWhatIsRead:
    def newer(self, cluster: MemoryCluster, place: int) -> None:
        """Make a message of the stream one of a newer format."""
        messages = cluster.stream.messages or []
        data = bytearray(messages[place - 1])
        data[FORMAT_AT] = NEWER
        messages[place - 1] = bytes(data)

    def test_a_newer_message_is_not_void(self, cluster: MemoryCluster) -> None:
        cluster.elect()
        self.newer(cluster, 1)
        with pytest.raises(NewerFormatError) as caught:
            read_header((cluster.stream.messages or [])[0])
        assert caught.value.code == "E618"

    def test_format_0_is_none(self, cluster: MemoryCluster) -> None:
        cluster.elect()
        data = bytearray((cluster.stream.messages or [])[0])
        data[FORMAT_AT] = 0
        with pytest.raises(UnreadableError):
            read_header(bytes(data))

    def test_an_old_node_ends_before_it_and_has_all_up_to_there(self, cluster: MemoryCluster) -> None:
        leader = cluster.elect()
        old = cluster.followers()[0]
        old.end("killed")
        assert add(leader, "bob") == ""
        assert add(leader, "carl") == ""
        self.newer(cluster, leader.following.backend.place.seq)
        old.start()
        cluster.run(1.0)
        assert old.ended == "E618"
        assert "bob" in old.hub.state.users
        assert "carl" not in old.hub.state.users
        place = old.following.backend.place
        assert place.seq == leader.following.backend.place.seq - 1

    def test_it_is_met_again_at_the_next_start(self, cluster: MemoryCluster) -> None:
        leader = cluster.elect()
        cluster.run()
        follower = cluster.followers()[0]
        place = follower.following.backend.place
        assert add(leader, "bob") == ""
        self.newer(cluster, place.seq + 1)
        message = (cluster.stream.messages or [])[place.seq]
        with pytest.raises(NewerFormatError):
            take_messages(follower.log, follower.following._keys, place, deque([message]))
