"""Settings that the nodes of a cluster share: one reload anywhere, the same settings everywhere."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import chatd.cluster.stream_backend
import chatd.hub.settings_desk
from chatd.cluster.stream_message import (
    SETTINGS_BYTES,
    MessageKind,
    StreamHeader,
    StreamSettings,
    UnreadableError,
    pack_settings,
    unpack_settings,
)
from chatd.cluster.stream_place import forget_stream, stored_place, stored_settings
from chatd.errors import ChatdError
from chatd.hub.state.context import Principal
from chatd.store.entry import Point
from tests.support.memory_cluster import MemoryCluster, MemoryNode

KEY = "limits.message_chars"
BY = {"by": "server", "by_uid": 1000, "by_login": "ann"}


class Crash(Exception):
    """Stands for kill -9."""


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[MemoryCluster]:
    cluster = MemoryCluster(tmp_path, 2)
    yield cluster
    cluster.close()


def reload(node: MemoryNode, shared: dict[str, Any], number: int = 1) -> None:
    """Do what the supervisor does for `chatd reload` on a node."""
    message = {"type": "share", "number": number, "shared": shared, "by": BY}
    node.following.settings.propose(message)


def outcome(node: MemoryNode, number: int = 1) -> str | None:
    """Return the code that refuses a reload, "" if it is in force, None while it waits."""
    found = [told for told in node.told if told["type"] == "shared_outcome" and told["number"] == number]
    return found[-1]["code"] if found else None


def chars(cluster: MemoryCluster) -> dict[str, int]:
    """Return the limit by which each node judges."""
    nodes = [node for node in cluster.nodes.values() if not node.ended]
    return {node.name: node.hub.rules.settings.limits.message_chars for node in nodes}


def written(node: MemoryNode) -> dict[str, Any]:
    """Return what the supervisor was told last to write to its file."""
    shared: dict[str, Any] = [told for told in node.told if told["type"] == "shared"][-1]["shared"]
    return shared


@pytest.mark.parametrize("at", ["the leader", "a follower"])
def test_a_reload_anywhere_holds_everywhere(cluster: MemoryCluster, at: str) -> None:
    leader = cluster.elect()
    node = leader if at == "the leader" else cluster.followers()[0]
    reload(node, {KEY: 77})
    cluster.run()
    assert outcome(node) == ""
    assert set(chars(cluster).values()) == {77}
    assert {written(one)[KEY] for one in cluster.nodes.values()} == {77}
    assert len({stored_place(one.log) for one in cluster.nodes.values()}) == 1


def test_the_first_leader_shares_what_it_has(cluster: MemoryCluster) -> None:
    cluster.elect()
    cluster.run()
    assert {node.following.backend.place.settings for node in cluster.nodes.values()} == {1}


def test_who_has_reloaded_is_in_the_log(cluster: MemoryCluster) -> None:
    cluster.elect()
    follower = cluster.followers()[0]
    events: list[dict[str, Any]] = []
    for node in cluster.followers():
        publish = node.hub._fanout.publish

        def noted(event: dict[str, Any], body: bytes, publish: Any = publish) -> None:
            events.append(event)
            publish(event, body)

        node.hub._fanout.publish = noted  # type: ignore[method-assign]
    reload(follower, {KEY: 77})
    cluster.run()
    changed = [event for event in events if event["type"] == "settings_changed"]
    assert [(event["by_uid"], event["changes"]) for event in changed] == [
        (1000, [{"setting": KEY, "before": 500, "after": 77}])
    ] * 2


def test_two_reloads_at_once_of_different_keys_both_hold(cluster: MemoryCluster) -> None:
    cluster.elect()
    one, other = cluster.followers()
    reload(one, {KEY: 77})
    reload(other, {"limits.kick_seconds": 5})
    cluster.run()
    assert (outcome(one), outcome(other)) == ("", "")
    for node in cluster.nodes.values():
        limits = node.hub.rules.settings.limits
        assert (limits.message_chars, limits.kick_seconds) == (77, 5)


def test_the_same_reload_again_takes_no_message(cluster: MemoryCluster) -> None:
    leader = cluster.elect()
    reload(leader, {KEY: 77})
    cluster.run()
    seq = leader.following.backend.place.seq
    reload(leader, {KEY: 77}, 2)
    cluster.run()
    assert outcome(leader, 2) == ""
    assert leader.following.backend.place.seq == seq


@pytest.mark.parametrize(
    "shared",
    [
        {KEY: 0},
        {"limits.no_such_key": 1},
        {"server.port": 1},
        {"roles.default": "nobody"},
        {"filter.words": [f"w{number:05}" + "x" * 90 for number in range(6000)]},
    ],
    ids=["bounds", "unknown", "local", "disagreeing", "too long"],
)
@pytest.mark.parametrize("at", ["the leader", "a follower"])
def test_bad_settings_are_refused_and_nothing_changes(
    cluster: MemoryCluster, shared: dict[str, Any], at: str
) -> None:
    leader = cluster.elect()
    node = leader if at == "the leader" else cluster.followers()[0]
    seq = leader.following.backend.place.settings
    reload(node, shared)
    cluster.run()
    assert outcome(node) == "E600"
    assert leader.following.backend.place.settings == seq
    assert set(chars(cluster).values()) == {500}


def test_only_an_operator_may(cluster: MemoryCluster) -> None:
    leader = cluster.elect()
    refusals: list[Any] = []
    settings = StreamSettings({KEY: 77}, "beta", BY)
    leader.following.settings.decide(Principal("ann", "laptop"), settings, refusals.append)
    cluster.run()
    assert [error.code for error in refusals] == ["E300"]
    assert set(chars(cluster).values()) == {500}


def test_a_node_that_was_away_takes_them_over(cluster: MemoryCluster) -> None:
    leader = cluster.elect()
    away = cluster.followers()[0]
    away.end("killed")
    reload(leader, {KEY: 77})
    cluster.run()
    away.start()
    cluster.run()
    assert chars(cluster)[away.name] == written(away)[KEY] == 77


def test_a_node_that_starts_has_them_whatever_its_file_says(cluster: MemoryCluster) -> None:
    leader = cluster.elect()
    reload(leader, {KEY: 77})
    cluster.run()
    follower = cluster.followers()[0]
    follower.end("killed")
    follower.start()  # with settings of the test, which say 500
    assert follower.hub.rules.settings.limits.message_chars == written(follower)[KEY] == 77


def test_the_next_leader_decides_by_them(cluster: MemoryCluster) -> None:
    first = cluster.elect()
    reload(first, {KEY: 77})
    cluster.run()
    first.end("killed")
    second = cluster.elect()
    assert second.hub.rules.settings.limits.message_chars == 77
    reload(second, {"limits.kick_seconds": 5})
    cluster.run()
    assert outcome(second) == ""


def test_an_isolated_node_refuses_a_reload(cluster: MemoryCluster) -> None:
    cluster.elect()
    follower = cluster.followers()[0]
    follower.following._isolated_seconds = 0.0
    cluster.run()
    reload(follower, {KEY: 77})
    cluster.run()
    assert outcome(follower) == "E506"
    assert set(chars(cluster).values()) == {500}


@pytest.mark.parametrize("point", ["cluster.settings.stored", "cluster.settings.noted"])
def test_a_hub_killed_between_the_stream_and_its_rules_has_them_after_its_start(
    cluster: MemoryCluster, monkeypatch: pytest.MonkeyPatch, point: str
) -> None:
    leader = cluster.elect()
    cluster.run()

    def crash_point(name: str) -> None:
        if name == point:
            raise Crash

    for module in (chatd.cluster.stream_backend, chatd.hub.settings_desk):
        monkeypatch.setattr(module, "crash_point", crash_point)
    reload(leader, {KEY: 77})
    with pytest.raises(Crash):
        leader.step()
    # The leader, and perhaps a follower that it has waited for.
    killed = [node for node in cluster.nodes.values() if node.stepping]
    for node in killed:
        node.end("killed")
    monkeypatch.undo()
    for node in killed:
        node.start()
    cluster.elect()
    assert set(chars(cluster).values()) == {77}
    assert {written(node)[KEY] for node in cluster.nodes.values()} == {77}


def test_a_message_that_is_stored_twice_does_not_bring_the_former_settings_back(
    cluster: MemoryCluster,
) -> None:
    leader = cluster.elect()
    reload(leader, {"filter.held_days": 3})
    cluster.run()
    first = cluster.stream.messages[-1] if cluster.stream.messages else b""
    reload(leader, {"filter.held_days": 4}, 2)
    cluster.run()
    follower = cluster.followers()[0]
    cluster.stream.append(leader.following.backend.place.seq, first, 1.0)
    cluster.run(0.3)
    assert follower.following.backend.place.settings == 3
    assert follower.hub.rules.settings.filter.held_days == 4


class TestAnotherVersion:
    def test_a_key_that_this_version_does_not_know_is_kept_for_the_next_one(
        self, cluster: MemoryCluster
    ) -> None:
        leader = cluster.elect()
        cluster.run()
        body = pack_settings(StreamSettings({"limits.from_the_future": 1, KEY: 77}, "beta", BY))
        leader.following.backend.share(body)
        cluster.run()
        for follower in cluster.followers():
            assert follower.hub.rules.settings.limits.message_chars == 77
            stored = stored_settings(follower.log)
            assert stored is not None and stored.shared["limits.from_the_future"] == 1

    def test_a_value_that_this_version_does_not_know_leaves_the_former_settings(
        self, cluster: MemoryCluster
    ) -> None:
        leader = cluster.elect()
        reload(leader, {KEY: 77})
        cluster.run()
        leader.following.backend.share(pack_settings(StreamSettings({KEY: "as needed"}, "beta", BY)))
        cluster.run()
        for follower in cluster.followers():
            assert follower.hub.rules.settings.limits.message_chars == 77
            assert follower.following.backend.place.settings == 3

    def test_a_reload_at_an_older_node_leaves_what_that_does_not_know(self, cluster: MemoryCluster) -> None:
        leader = cluster.elect()
        cluster.run()
        reload(leader, {"limits.kick_seconds": 5})
        cluster.run()
        reload(leader, {KEY: 77}, 2)  # all that it has changed
        cluster.run()
        assert leader.hub.rules.settings.limits.kick_seconds == 5


class TestTheMessage:
    def test_it_says_what_was_packed(self) -> None:
        settings = StreamSettings({KEY: 77, "rooms": [{"name": "#bücher"}]}, "beta", BY)
        assert unpack_settings(pack_settings(settings)) == settings

    def test_a_long_one_is_refused(self) -> None:
        with pytest.raises(ChatdError, match="E600"):
            pack_settings(StreamSettings({"filter.words": "x" * SETTINGS_BYTES}, "beta", BY))

    @pytest.mark.parametrize(
        "body",
        [
            b"",
            b"[]",
            b"null",
            b'{"shared": {}}',
            b'{"shared": [], "node": "a", "by": {}}',
            b'{"shared": {}, "node": 1, "by": {}}',
            b"[" * 100_000,
            b'{"shared": {}, "node": "a", "by": {}}' + b" " * SETTINGS_BYTES,
        ],
    )
    def test_another_body_is_unreadable(self, body: bytes) -> None:
        with pytest.raises(UnreadableError):
            unpack_settings(body)

    def test_a_forged_one_is_void_everywhere(self, cluster: MemoryCluster) -> None:
        leader = cluster.elect()
        cluster.run()
        place = leader.following.backend.place
        end = Point(leader.log.head, leader.log.chain_hash)
        header = StreamHeader(
            MessageKind.SETTINGS, place.generation, place.epoch, place.leader, end, place.settings + 1, 1
        )
        key = leader.following._keys.find(leader.following._keys.current)
        assert key is not None
        message = leader.following._keys.seal(header._replace(key_id=leader.following._keys.current), b"{}")
        cluster.stream.append(place.seq, message, 1.0)
        cluster.run(0.3)
        for follower in cluster.followers():
            assert follower.following.backend.place == place._replace(seq=place.seq + 1)


def test_a_log_that_leaves_the_stream_forgets_them(cluster: MemoryCluster) -> None:
    leader = cluster.elect()
    cluster.run()
    follower = cluster.followers()[0]
    assert stored_settings(follower.log) is not None
    forget_stream(follower.log)
    assert stored_settings(follower.log) is None
    assert leader.leads
