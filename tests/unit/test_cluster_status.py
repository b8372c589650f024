"""What chatd cluster status says of a cluster, and what a node says of itself."""

from __future__ import annotations

from pathlib import Path

import pytest

from chatd.cli.cluster_status import _all_sync, _member, _show, _words
from chatd.cluster.log_link import StreamState
from chatd.config.shared_file import Drift
from chatd.nats.answer_fields import read_answer
from chatd.nats.cluster_view import ClusterView
from chatd.nats.node_desk import JoinAnswer
from chatd.nats.node_status import NodeStatus, node_status
from chatd.store.event_log import EventLog
from tests.support.storelog import entry


def status(node: str, *, head: int = 9, has_log: bool = True) -> NodeStatus:
    return NodeStatus(node, "0.1.0", 0.0, has_log, head, 0, "", 12, 1, 3, "a")


VIEW = ClusterView(
    {"a": status("a"), "b": status("b", head=7), "c": status("c", head=0, has_log=False)},
    {"a": "00", "b": "00"},
    StreamState(quorum=True, replicas={"a": True, "b": False, "c": True}),
    {"a": 0.1, "b": -0.4, "c": 0.0},
)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("a", "leads, event 9"),
        ("b", "follows, event 7, 2 behind, its NATS server is behind"),
        ("c", "waits for a copy of the log"),
        ("d", "does not answer (10.0.0.4:5002)"),
    ],
)
def test_each_node_is_told_in_words(name: str, words: str) -> None:
    assert _words(_member(name, "10.0.0.4:5002", VIEW, 3)) == words


def test_a_wrong_clock_is_told() -> None:
    assert "its clock differs by -60 s" in _words(_member("a", "", VIEW._replace(skews={"a": -60.0}), 3))


def test_a_node_tells_the_chain_after_an_entry_that_it_has(tmp_path: Path) -> None:
    assert not node_status(tmp_path, "a", 0, Drift(tmp_path, {})).has_log
    log = EventLog.open(tmp_path / "data", now=0)
    try:
        log.append([entry(1), entry(2)])
        chain = log.chain_hash.hex()
    finally:
        log.close()
    drift = Drift(tmp_path, {})
    found = node_status(tmp_path, "a", 2, drift)
    assert (found.has_log, found.head, found.chain) == (True, 2, chain)
    assert node_status(tmp_path, "a", 3, drift).chain == ""


GONE = VIEW._replace(stream=StreamState(quorum=False, replicas={}, gone=True))


def shown(view: ClusterView, capsys: pytest.CaptureFixture[str]) -> str:
    """Return what the command prints about the nodes that a view shows."""
    members = [_member(name, "10.0.0.4:5002", view, 3) for name in view.nodes]
    _show(
        {
            "members": members,
            "quorum": view.stream.quorum,
            "stream_gone": view.stream.gone,
            "chain_equal": True,
        }
    )
    return capsys.readouterr().out


def test_a_stream_that_is_gone_is_told_with_what_to_do(capsys: pytest.CaptureFixture[str]) -> None:
    said = shown(GONE, capsys)
    assert "the stream is gone (E621)" in said
    assert "chatd cluster reseed" in said
    assert "behind" not in said.replace("2 behind", "")


def test_versions_that_differ_are_told(capsys: pytest.CaptureFixture[str]) -> None:
    assert "versions" not in shown(VIEW, capsys)
    newer = VIEW._replace(nodes=VIEW.nodes | {"b": status("b")._replace(version="0.2.0")})
    assert "versions of chatd differ: a 0.1.0, b 0.2.0, c 0.1.0" in shown(newer, capsys)


@pytest.mark.parametrize(
    "data",
    [
        b'{"node": "b", "used": false, "has_log": true, "later": 1}',
        b'{"node":"b","used":false,"has_log":true}',
    ],
    ids=["more", "same"],
)
def test_a_later_version_may_say_more(data: bytes) -> None:
    assert read_answer(JoinAnswer, data) == JoinAnswer("b", False, True)


@pytest.mark.parametrize(
    "data", [b"[]", b"null", b"{", b'{"node": "b"}'], ids=["list", "null", "half", "less"]
)
def test_what_is_no_answer_is_refused(data: bytes) -> None:
    with pytest.raises((ValueError, TypeError)):
        read_answer(JoinAnswer, data)


@pytest.mark.parametrize(
    ("told", "expected"),
    [((True, True), True), ((True, False), False), ((True, None), None), ((True,), None), ((False,), False)],
)
def test_all_servers_have_to_say_that_they_sync(told: tuple[bool | None, ...], expected: bool | None) -> None:
    nodes = {str(number): status("a")._replace(syncs=one) for number, one in enumerate(told)}
    assert _all_sync(VIEW._replace(nodes=nodes), members=2) is expected
