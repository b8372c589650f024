"""What a hub knows of its cluster, and how commands tell it."""

from __future__ import annotations

from typing import Any

import pytest

from chatctl.admin.checking import server_remarks
from chatd.cluster.log_link import StreamState
from chatd.cluster.node_reports import NodeReport, read_report
from chatd.cluster.stream_place import StreamPlace
from chatd.config.schema import Settings
from chatd.console.cluster_text import cluster_findings, cluster_lines
from chatd.hub.cluster_stats import HEADS_LIMIT, ClusterStats
from chatd.store.entry import Point
from tests.support.memory_cluster import MEMBERS, MemoryCluster

PLACE = StreamPlace(seq=9, generation=1, epoch=2, leader="alpha")
STREAM = StreamState(True, dict.fromkeys(MEMBERS, True), "alpha", 9, 4, 2048, 100.0)
SAME = b"\x01" * 32


class Watched:
    """The stats of alpha, with a clock of the test; the others have reported as they should."""

    def __init__(self) -> None:
        self.now = 100.0
        settings = Settings.model_validate({"cluster": {"node": "alpha", "members": MEMBERS}})
        self.stats = ClusterStats(settings.cluster, lambda: self.now, lambda: self.now)
        self.stats.note_head(10)
        for name in ("beta", "gamma"):
            self.hear(name)

    def hear(self, node: str, **changed: Any) -> None:
        report = NodeReport(2, Point(10, SAME), 9, "9.9", int(self.now * 1000))._replace(**changed)
        self.stats.note_report(node, read_report(report.header()), SAME)

    def report(self, stream: StreamState | None = STREAM) -> dict[str, Any]:
        return self.stats.report(PLACE, Point(10, SAME), stream)

    def warnings(self, stream: StreamState | None = STREAM) -> list[str]:
        found = [*cluster_findings(alike(self.report(stream)))]
        assert all(one.code and one.fix for one in found if one.level != "ok")
        return [one.text for one in found if one.level != "ok"]


def alike(report: dict[str, Any]) -> dict[str, Any]:
    """The report, as if this chatd had the version of the others."""
    members = [
        one | {"version": one["version"] if one["node"] == "gamma" else "9.9"} for one in report["members"]
    ]
    return report | {"members": members}


@pytest.fixture
def watched() -> Watched:
    return Watched()


def test_a_cluster_in_order_has_no_warning(watched: Watched) -> None:
    assert watched.warnings() == []
    report = watched.report()
    assert (report["role"], report["leader"], report["epoch"], report["copies"]) == ("leader", "alpha", 2, 3)
    assert report["chain_equal"] is True
    assert report["stream"] == {"last": 9, "leader": "alpha", "messages": 4, "bytes": 2048, "age": 0.0}


def test_a_silent_node(watched: Watched) -> None:
    watched.now += 6
    watched.hear("beta")
    assert watched.warnings() == ["node gamma is silent"]
    assert watched.report()["copies"] == 2
    assert "node           gamma  silent" in [*cluster_lines(watched.report())]


def test_a_lag_that_stays(watched: Watched) -> None:
    for _ in range(12):
        watched.now += 1
        watched.hear("beta")
        watched.hear("gamma", end=Point(7, SAME))
        watched.stats.note_head(10)
    assert watched.warnings() == ["node gamma has been 3 events behind for 12s"]


def test_a_log_that_grows_is_no_lag(watched: Watched) -> None:
    for head in range(10, 10 + 2 * HEADS_LIMIT):
        watched.now += 1
        watched.hear("beta", end=Point(head - 1, SAME))
        watched.stats.note_head(head)
        watched.hear("gamma", end=Point(head, SAME))
    lag = {one["node"]: one["behind_seconds"] for one in watched.report()["members"]}
    assert lag["beta"] <= 1.0


def test_logs_that_differ(watched: Watched) -> None:
    watched.hear("gamma", end=Point(10, b"\x02" * 32))
    assert watched.warnings() == ["the logs of the nodes differ"]
    assert any("ANOTHER LOG" in line for line in cluster_lines(watched.report()))


def test_a_clock_that_differs(watched: Watched) -> None:
    watched.hear("gamma", clock=int(watched.now * 1000) - 3000)
    assert watched.warnings() == ["the clock of node gamma differs by -3 s"]


def test_versions_that_differ(watched: Watched) -> None:
    watched.hear("gamma", version="9.8")
    assert watched.warnings() == ["versions differ: alpha has 9.9, beta has 9.9, gamma has 9.8"]


def test_a_replica_that_is_behind(watched: Watched) -> None:
    stream = STREAM._replace(replicas={"alpha": True, "beta": True, "gamma": False})
    assert watched.warnings(stream) == ["the NATS server of node gamma is behind"]


def test_no_majority(watched: Watched) -> None:
    found = watched.warnings(StreamState(False, {}))
    assert found[0] == "no majority of the nodes: nothing can be written"


def test_a_majority_is_not_missed_before_the_stream_was_asked(watched: Watched) -> None:
    assert watched.report(None)["quorum"] is None
    assert "no news of a majority yet" in next(cluster_lines(watched.report(None)))
    assert not any("majority of the nodes" in one for one in watched.warnings(None))


def test_a_node_that_is_cut_off(watched: Watched) -> None:
    watched.stats.isolated = True
    assert watched.warnings()[0].startswith("node alpha is cut off from the others")


def test_what_a_peer_tells_is_bounded(watched: Watched) -> None:
    watched.hear("gamma", version="9" * 10_000)
    watched.stats.note_report("stranger", NodeReport(2, Point(10, SAME), 9, "1", 0), SAME)
    report = watched.report()
    assert [one["node"] for one in report["members"]] == [*MEMBERS]
    assert len(report["members"][2]["version"]) <= 40


def test_the_durations_of_appends(watched: Watched) -> None:
    assert watched.report()["append_ms"] == {"p50": None, "p99": None}
    for number in range(2000):
        watched.stats.note_append(number / 1000)
    assert watched.report()["append_ms"] == {"p50": 1500.0, "p99": 1990.0}


def test_claims_of_the_last_hour(watched: Watched) -> None:
    watched.stats.note_claim()
    watched.now += 3000
    watched.stats.note_claim()
    assert watched.report()["claims_per_hour"] == 2
    watched.now += 3000
    assert watched.report()["claims_per_hour"] == 1


def test_hubs_tell_each_other(memory: MemoryCluster) -> None:
    memory.stream.told = STREAM
    leader = memory.elect()
    memory.run(2)
    assert leader.ask("room_create", room="#ops")
    memory.run(2)
    for node in memory.nodes.values():
        assert node.hub.stats.cluster is not None
        report = node.hub.stats.cluster()
        assert report["leader"] == leader.name
        assert report["chain_equal"] is True
        assert [one["answers"] for one in report["members"]] == [True] * 3
        assert {one["head"] for one in report["members"]} == {leader.log.head}
    leader_report = leader.hub.stats.cluster
    assert leader_report is not None
    assert leader_report()["append_ms"]["p50"] is not None
    remarks = [*server_remarks({"processes": [], "cluster": leader_report()})]
    assert [one.text for one in remarks if one.area == "cluster"] == [
        "3 nodes answer, and a majority takes writes"
    ]


@pytest.fixture
def memory(tmp_path: Any) -> Any:
    cluster = MemoryCluster(tmp_path)
    yield cluster
    cluster.close()
