"""Three nodes share their settings: reloads anywhere, edits without a reload, a node that was away."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.cluster import CLUSTER_SECONDS, NAMES, Cluster, clustered
from tests.support.daemon import wait_until


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with clustered(tmp_path_factory.mktemp("settings")) as cluster:
        cluster.wait_until_writable("b")
        wait_until(lambda: in_line(cluster), CLUSTER_SECONDS, "the first shared settings")
        yield cluster


def edit(cluster: Cluster, name: str, **limits: int | str) -> None:
    cluster.nodes[name].write_settings(lambda tree: tree["limits"].update(limits))


def limit(cluster: Cluster, name: str, key: str) -> Any:
    """Return a limit as the settings file of a node has it."""
    file = cluster.nodes[name].home / "config" / "settings.json"
    return json.loads(file.read_bytes())["limits"][key]


def written(cluster: Cluster, key: str, value: int) -> bool:
    return all(limit(cluster, name, key) == value for name in NAMES)


def drift(cluster: Cluster, at: str = "a") -> dict[str, list[str]]:
    """Return the keys in which each node that answers differs, as a node sees it."""
    members = cluster.status(at).get("members", [])
    return {one["node"]: one["settings_differ"] for one in members if one["answers"]}


def in_line(cluster: Cluster) -> bool:
    return drift(cluster) == {name: [] for name in NAMES}


def refuses_long_texts(cluster: Cluster, name: str, chars: int) -> bool:
    """Whether a message of more characters is refused at a node."""
    done = cluster.chat(name, "send", "#lobby", "x" * (chars + 1), check=False)
    return "E401" in done.stderr


def has_noted(cluster: Cluster, name: str, by: str) -> bool:
    """Whether the audit log of a node has the reload of message_chars on another one, or on itself."""
    lines = [line for line in cluster.nodes[name].log_lines("audit.log") if line["event"] == "reloaded"]
    return any(
        "limits.message_chars" in line["applied"]
        and line["by_uid"] == os.getuid()
        and line.get("node", name) == by
        for line in lines
    )


@pytest.mark.parametrize("name", ["b", "c"])
def test_a_reload_on_any_node_holds_on_all_and_is_in_every_file(cluster: Cluster, name: str) -> None:
    chars = 100 + ord(name)
    edit(cluster, name, message_chars=chars, long_text="reject")
    done = cluster.nodes[name].chatd("reload")
    assert "in force now: limits.message_chars" in done.stdout
    wait_until(lambda: written(cluster, "message_chars", chars), what="the files of all nodes")
    assert all(refuses_long_texts(cluster, one, chars) for one in NAMES)
    assert in_line(cluster)
    wait_until(lambda: all(has_noted(cluster, one, name) for one in NAMES), what="a line in each audit.log")


def test_bad_settings_are_refused_where_they_were_said_and_hold_nowhere(cluster: Cluster) -> None:
    before = limit(cluster, "b", "message_chars")
    edit(cluster, "b", message_chars=0)
    done = cluster.nodes["b"].chatd("reload", check=False)
    assert done.returncode and "limits.message_chars" in done.stderr
    assert limit(cluster, "a", "message_chars") == before
    wait_until(lambda: drift(cluster).get("b") == ["settings.json"], what="the drift of b")
    edit(cluster, "b", message_chars=before)
    wait_until(lambda: in_line(cluster), what="no drift")


def test_an_edit_that_nobody_has_reloaded_shows_on_every_node_and_survives(cluster: Cluster) -> None:
    edit(cluster, "c", topic_chars=33)
    wait_until(lambda: drift(cluster, "b").get("c") == ["limits.topic_chars"], what="the drift of c")
    assert "settings of c differ: limits.topic_chars" in cluster.nodes["a"].chatd("cluster", "status").stdout
    found = cluster.nodes["a"].chatd("check", check=False).stdout
    assert "settings of c differ: limits.topic_chars" in found
    edit(cluster, "a", kick_seconds=7)
    cluster.nodes["a"].chatd("reload")
    wait_until(lambda: written(cluster, "kick_seconds", 7), what="the files of all nodes")
    assert limit(cluster, "c", "topic_chars") == 33
    assert limit(cluster, "a", "topic_chars") != 33
    cluster.nodes["c"].chatd("reload")
    wait_until(lambda: written(cluster, "topic_chars", 33), what="the files of all nodes")
    assert written(cluster, "kick_seconds", 7)


def test_a_node_that_was_away_takes_them_over(cluster: Cluster) -> None:
    wait_until(lambda: cluster.leader() in NAMES, CLUSTER_SECONDS, "a leader")
    away = next(name for name in NAMES if name != cluster.leader())
    other = next(name for name in NAMES if name not in (away, cluster.leader()))
    cluster.stop(away)
    edit(cluster, other, edit_minutes=9)
    cluster.nodes[other].chatd("reload")
    cluster.start(away)
    cluster.wait_for_hubs(away)
    wait_until(lambda: written(cluster, "edit_minutes", 9), CLUSTER_SECONDS, "the file of that node")


def test_a_leader_that_is_killed_after_a_reload_loses_no_setting(cluster: Cluster) -> None:
    wait_until(lambda: cluster.leader() in NAMES, CLUSTER_SECONDS, "a leader")
    leader = cluster.nodes[cluster.leader()]
    other = next(name for name in NAMES if name != cluster.leader())
    edit(cluster, other, rooms_per_user=55)
    cluster.nodes[other].chatd("reload")
    os.kill(leader.child("hub")["pid"], signal.SIGKILL)
    cluster.wait_until_writable(other)
    wait_until(lambda: written(cluster, "rooms_per_user", 55), CLUSTER_SECONDS, "the files of all nodes")
    wait_until(lambda: in_line(cluster), CLUSTER_SECONDS, "no drift")
