"""Hubs of one cluster: beats, claims, deposed leaders, copies, and logs that stay the same."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from chatd.cluster.peer_link import PeerMessage
from chatd.cluster.stream_place import stored_place
from chatd.hub.commit_policy import CommitThread
from chatd.hub.state.context import OPERATOR
from tests.support.daemon import wait_until
from tests.support.memory_cluster import LEAD_SECONDS, MemoryCluster, MemoryNode


@pytest.fixture
def cluster(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[MemoryCluster]:
    cluster = MemoryCluster(tmp_path, getattr(request, "param", 2))
    yield cluster
    cluster.close()


def add(node: MemoryNode, name: str) -> bool:
    """Register a user at a node; return whether it was acknowledged."""
    reply = node.ask("user_add", user=name, device="dev", serial=name.encode().hex(), role="user")
    return reply is not None and reply["type"] == "ok"


def ends(cluster: MemoryCluster) -> set[tuple[int, bytes]]:
    """Return the ends of the logs of the nodes that run."""
    return {(node.log.head, node.log.chain_hash) for node in cluster.nodes.values() if not node.ended}


def agree(cluster: MemoryCluster) -> bool:
    states = [node.hub.state for node in cluster.nodes.values() if not node.ended]
    return len(ends(cluster)) == 1 and all(state == states[0] for state in states)


def test_one_node_leads_and_the_others_follow_it(cluster: MemoryCluster) -> None:
    leader = cluster.elect()
    assert add(leader, "bob")
    cluster.run()
    assert len(cluster.followers()) == 2
    assert agree(cluster)
    for follower in cluster.followers():
        assert "bob" in follower.hub.state.users
        assert follower.following.leadership.leader == leader.name
        assert not follower.hub.decides


def test_what_is_asked_at_a_follower_is_decided_by_the_leader(cluster: MemoryCluster) -> None:
    leader = cluster.elect()
    follower = cluster.followers()[0]
    add(follower, "bob")
    cluster.run()
    assert follower.operator.reply is not None and follower.operator.reply["type"] == "ok"
    assert "bob" in leader.hub.state.users
    assert agree(cluster)


def test_another_node_leads_when_the_leader_is_gone_and_nothing_is_lost(cluster: MemoryCluster) -> None:
    first = cluster.elect()
    assert add(first, "bob")
    first.end("killed")
    second = cluster.elect()
    assert second is not first
    assert add(second, "carl")
    first.start()
    cluster.run()
    assert not first.leads
    assert {"bob", "carl"} <= set(first.hub.state.users)
    assert agree(cluster)
    assert stored_place(first.log) == stored_place(second.log)


def test_a_living_leader_stays(cluster: MemoryCluster) -> None:
    leader = cluster.elect()
    epoch = leader.following.backend.place.epoch
    cluster.run(LEAD_SECONDS * 5)
    assert cluster.leader is leader
    assert leader.following.backend.place.epoch == epoch


def test_a_leader_that_ends_in_order_is_followed_by_another_at_once(cluster: MemoryCluster) -> None:
    first = cluster.elect()
    cluster.run()
    first.end_in_order()
    cluster.run(LEAD_SECONDS / 2)
    assert cluster.leader is not None


def test_a_leader_that_was_cut_off_ends_at_its_next_batch(cluster: MemoryCluster) -> None:
    first = cluster.elect()
    cluster.network.isolate(first.name)
    cluster.run(LEAD_SECONDS * 3)
    second = cluster.leader
    assert second is not None and second is not first
    assert not add(first, "bob")
    assert first.ended == "E506"
    assert add(second, "carl")
    cluster.network.cut.clear()
    first.start()
    cluster.run()
    assert agree(cluster)
    assert set(first.hub.state.users) == {"carl"}


def test_an_idle_leader_that_hears_a_newer_epoch_ends(cluster: MemoryCluster) -> None:
    first = cluster.elect()
    cluster.network.isolate(first.name)
    cluster.run(LEAD_SECONDS * 3)
    cluster.network.cut.clear()
    cluster.run()
    assert first.ended == "E506"
    assert [node.ended for node in cluster.nodes.values() if node is not first] == ["", ""]


def test_two_claims_at_once_leave_one_leader(cluster: MemoryCluster) -> None:
    for node in cluster.nodes.values():
        node.following._claim()
    for node in cluster.nodes.values():
        node.step()
    cluster.run()
    assert sum(node.leads for node in cluster.nodes.values()) == 1


def test_a_node_that_diverges_ends(cluster: MemoryCluster) -> None:
    leader = cluster.elect()
    add(leader, "bob")
    cluster.run()
    victim = cluster.followers()[0]
    victim.log.chain_hash = bytes(32)
    cluster.run()
    assert victim.ended == "E610"
    assert cluster.leader is leader


def test_the_leader_acknowledges_what_a_follower_has(cluster: MemoryCluster) -> None:
    leader = cluster.elect()
    behind, other = cluster.followers()
    behind.end("killed")
    assert add(leader, "bob")
    assert "bob" in other.hub.state.users


def test_without_copies_nothing_is_acknowledged(cluster: MemoryCluster) -> None:
    leader = cluster.elect()
    for follower in cluster.followers():
        follower.end("killed")
    assert not add(leader, "bob")
    assert leader.ended == "E506"


def test_the_loop_that_waits_for_a_commit_hears_of_copies(cluster: MemoryCluster) -> None:
    leader = cluster.elect()
    context = leader.hub.context(OPERATOR)
    context.emit("backed_up", by="server")
    leader.hub.record(context)
    stored = len(cluster.stream.messages or [])
    commits = CommitThread()
    commits.begin(leader.hub.recorder.begin_commit())
    wait_until(lambda: len(cluster.stream.messages or []) > stored)
    for follower in cluster.followers():
        follower.step()
    leader.following.await_commit(commits)
    commits.end()
    leader.hub.recorder.end_commit()
    commits.close()
    assert agree(cluster)


def test_a_stream_that_is_trimmed_beyond_a_node_ends_it(cluster: MemoryCluster) -> None:
    leader = cluster.elect()
    follower = cluster.followers()[0]
    follower.end("killed")
    add(leader, "bob")
    cluster.stream.trim(leader.following.backend.place.seq)
    follower.start()
    cluster.run(0.2)
    assert follower.ended == "E506"


def test_a_follower_without_a_key_empties_its_write_ahead_log(
    cluster: MemoryCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    leader = cluster.elect()
    cluster.run()
    follower = cluster.followers()[0]
    keys = follower.following._keys
    with monkeypatch.context() as patched:
        patched.setattr(follower.following._exchange, "take", lambda _: None)
        key = keys._keys.pop(keys.current)
        assert add(leader, "bob")
        follower.step()
        assert follower.following._unread, "it waits for the key"
        assert follower.log.checkpoint()
    keys._keys[keys.current] = key
    cluster.run()
    assert agree(cluster)


def test_a_follower_that_has_destroyed_the_key_of_a_message_copies_another_log(
    cluster: MemoryCluster,
) -> None:
    leader = cluster.elect()
    cluster.run()
    follower = cluster.followers()[0]
    keys = follower.following._keys
    used = keys.current
    assert keys.replace(epoch=7)
    assert keys.destroy_former()
    assert leader.following._keys.current == used
    add(leader, "bob")
    follower.step()
    assert follower.ended == "E621", "the next hub begins with a copy"


def test_the_lead_goes_to_the_node_that_is_named(cluster: MemoryCluster) -> None:
    first = cluster.elect()
    assert add(first, "bob")
    cluster.run()
    other, named = cluster.followers()
    epoch = first.following.backend.place.epoch
    named.following.peers.send(first.name, "lead", [epoch - 1])
    cluster.run(0.3)
    assert not first.following.successor, "a request of a former epoch is late"
    named.following.peers.send(first.name, "lead", [epoch])
    cluster.run(0.3)
    assert first.following.successor == named.name
    first.end_in_order()
    cluster.run(LEAD_SECONDS / 2)
    assert cluster.leader is named
    first.start()
    cluster.run()
    assert agree(cluster) and not other.leads


@pytest.mark.parametrize("hour", [3_600_000, -3_600_000], ids=["ahead", "behind"])
def test_a_clock_an_hour_off_changes_times_and_nothing_else(cluster: MemoryCluster, hour: int) -> None:
    leader = cluster.elect()
    epoch = leader.following.backend.place.epoch
    wrong = cluster.followers()[0]
    clock = wrong.hub._clock
    wrong.hub._clock = lambda: clock() + hour
    assert add(leader, "bob")
    add(wrong, "carl")
    cluster.run(LEAD_SECONDS * 5)
    assert cluster.leader is leader
    assert leader.following.backend.place.epoch == epoch
    leader.following._take_lead(PeerMessage(wrong.name, "lead", [epoch], b""))
    leader.end_in_order()
    cluster.run(LEAD_SECONDS * 2)
    assert cluster.leader is wrong
    assert add(wrong, "dave")
    leader.start()
    cluster.run()
    assert agree(cluster)
    assert {"bob", "carl", "dave"} <= set(leader.hub.state.users)
