"""When a node may leave its cluster, and what the others are told, without a cluster."""

from __future__ import annotations

from pathlib import Path

import pytest

from chatd.cli import cluster_leave
from chatd.cli.cluster_tell import require_there, tell_all
from chatd.cli.node_probe import Reached
from chatd.cluster.log_link import StreamState
from chatd.config.cluster_section import ClusterSection, stream_replicas
from chatd.config.home import Home
from chatd.config.left_note import forget_left, has_left, note_left, refuse_left
from chatd.config.schema import Settings
from chatd.config.sections import ServerSection
from chatd.errors import ChatdError
from chatd.nats import cluster_view
from chatd.nats.cluster_view import ClusterView
from chatd.nats.node_status import NodeStatus
from chatd.nats.told_members import Members

WELL = StreamState(quorum=True, replicas={"a": True, "b": True, "c": True})


def settings_of(names: str) -> Settings:
    members = {name: f"10.0.0.{number}:5002" for number, name in enumerate(names, 1)}
    return Settings(server=ServerSection(), cluster=ClusterSection(node=names[-1:], members=members))


def view_of(heads: dict[str, int], stream: StreamState = WELL, chains: tuple[str, ...] = ()) -> ClusterView:
    nodes = {name: NodeStatus(name, "", 0.0, True, head, 0, "", 1, 1, 1, "a") for name, head in heads.items()}
    return ClusterView(nodes, dict(zip(heads, chains, strict=False)), stream, {})


@pytest.mark.parametrize(
    ("names", "words"), [("", "no cluster of several"), ("abc", "2 nodes would remain")], ids=["one", "three"]
)
def test_too_few_may_not_remain(names: str, words: str) -> None:
    with pytest.raises(ChatdError) as refused:
        cluster_leave._require_enough(settings_of(names))
    assert (refused.value.code, words in refused.value.reason) == ("E409", True)


@pytest.mark.parametrize("names", ["abcd", "abcde"])
def test_three_or_four_may_remain(names: str) -> None:
    cluster_leave._require_enough(settings_of(names))


LATE = {
    "silent": (view_of({"a": 9, "b": 9, "d": 9}), "E607", "node c does not answer"),
    "other logs": (view_of(dict.fromkeys("abcd", 9), WELL, ("00", "01")), "E621", "logs"),
    "gone": (view_of(dict.fromkeys("abcd", 9), StreamState(False, {}, gone=True)), "E621", "stream is gone"),
    "log behind": (view_of({"a": 9, "b": 8, "c": 9, "d": 9}), "E506", "node b is behind"),
    "server behind": (
        view_of(dict.fromkeys("abcd", 9), WELL._replace(replicas={"a": True, "b": True, "c": False})),
        "E506",
        "node c is behind",
    ),
    "no majority": (view_of(dict.fromkeys("abcd", 9), WELL._replace(quorum=False)), "E506", "no majority"),
}


@pytest.mark.parametrize(("view", "code", "words"), LATE.values(), ids=LATE)
def test_the_others_must_have_everything(
    view: ClusterView, code: str, words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cluster_leave, "seen_cluster", lambda *_: view)
    monkeypatch.setattr(cluster_leave, "CURRENT_SECONDS", 0.0)
    with pytest.raises(ChatdError) as refused:
        cluster_leave._require_current(Home(tmp_path), settings_of("abcd"))
    assert (refused.value.code, words in refused.value.reason) == (code, True)


def test_a_lag_that_passes_is_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    views = [view_of({"a": 9, "b": 8, "c": 9, "d": 9}), view_of({"a": 20, "b": 9, "c": 9, "d": 9})]
    monkeypatch.setattr(cluster_leave, "seen_cluster", lambda *_: views.pop(0))
    monkeypatch.setattr(cluster_leave, "POLL_SECONDS", 0.0)
    cluster_leave._require_current(Home(tmp_path), settings_of("abcd"))
    assert not views


def test_all_are_told_whichever_fails_and_those_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[str] = []

    def tell(_home: Path, name: str, _members: Members) -> str:
        told.append(name)
        if name == "a":
            raise OSError("NATS does not answer")
        return "E606 its disk is full" if name == "c" else ""

    monkeypatch.setattr(cluster_view, "tell_members", tell)
    with pytest.raises(ChatdError) as refused:
        tell_all(Home(tmp_path), Members({}, {}), ["a", "b", "c"])
    assert told == ["a", "b", "c"]
    assert refused.value.code == "E607"
    for words in ("node a has not taken the new members: NATS does not answer", "node c", "disk is full"):
        assert words in refused.value.reason
    assert "node b" not in refused.value.reason


def test_all_who_are_silent_are_named() -> None:
    with pytest.raises(ChatdError, match="nodes c, d do not answer"):
        require_there(view_of({"a": 1, "b": 1}), "abcd")


@pytest.mark.parametrize(
    ("reached", "dropped"),
    [
        ([Reached.REFUSED, Reached.REFUSED, Reached.REFUSED], True),
        ([Reached.REFUSED, Reached.UP, Reached.REFUSED], False),
        ([Reached.UNREACHABLE, Reached.REFUSED, Reached.REFUSED], False),
    ],
    ids=["all", "one knows it", "one is away"],
)
def test_a_node_that_all_others_refuse_has_nobody_to_tell(
    reached: list[Reached], dropped: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cluster_leave, "probe", lambda *_: reached.pop(0))
    assert cluster_leave._is_dropped(Home(tmp_path), settings_of("abcd")) is dropped


def test_no_server_starts_in_a_home_that_has_left(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    refuse_left(tmp_path)
    note_left(tmp_path, "d")
    assert has_left(tmp_path)
    with pytest.raises(ChatdError, match="has left its cluster"):
        refuse_left(tmp_path)
    forget_left(tmp_path)
    refuse_left(tmp_path)


@pytest.mark.parametrize(
    ("replicas", "node", "keepers", "has_all"),
    [
        ({"a": True, "b": True, "c": True}, "d", 3, True),
        ({"a": True, "b": True, "c": False}, "d", 3, False),
        ({"a": True, "b": True, "c": False}, "c", 3, False),
        ({"a": True, "b": True, "lost": False}, "d", 3, False),
        ({}, "a", 3, False),
    ],
)
def test_a_fourth_server_need_keep_nothing(
    replicas: dict[str, bool], node: str, keepers: int, has_all: bool
) -> None:
    assert StreamState(True, replicas).has_all(node, keepers) is has_all


def test_four_servers_keep_as_many_replicas_as_three() -> None:
    assert [stream_replicas(count) for count in range(6)] == [1, 1, 2, 3, 3, 5]
