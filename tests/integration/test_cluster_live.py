"""A cluster of one node: a real nats-server under the supervisor, its end, its loss, and the way back."""

from __future__ import annotations

import json
import os
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path

import apsw
import pytest

from tests.support.daemon import Daemon, running, wait_until
from tests.support.lobby import history, say

SECRET = "the-password-is-swordfish"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    with running(tmp_path_factory.mktemp("cluster") / "home") as daemon:
        say(daemon, "before the cluster")
        yield daemon


@pytest.fixture
def node(server: Daemon) -> Daemon:
    """A server that was made a node while it ran."""
    if not place(server)["node"]:
        server.chatd("cluster", "init", "--node", "alpha")
        server.chatd("restart")
    return server


def place(daemon: Daemon) -> dict[str, object]:
    answer: dict[str, object] = json.loads(daemon.chatd("cluster", "status", "--json").stdout)
    return answer


def kill(daemon: Daemon, name: str) -> None:
    pid = daemon.child(name)["pid"]
    os.kill(pid, signal.SIGKILL)
    wait_until(lambda: daemon.child(name).get("state") == "running" and daemon.child(name)["pid"] != pid)


def test_the_log_goes_on_in_the_stream(node: Daemon) -> None:
    before = place(node)
    say(node, "in the stream")
    after = place(node)
    assert (after["node"], after["leader"]) == ("alpha", "alpha")
    assert after["seq"] > before["seq"]  # type: ignore[operator]
    assert "before the cluster" in history(node)
    assert node.chatd("verify").stdout.startswith("ok")


@pytest.mark.parametrize("name", ["nats", "hub"])
def test_a_killed_process_costs_nothing(node: Daemon, name: str) -> None:
    epoch = place(node)["epoch"]
    say(node, f"before the end of {name}")
    kill(node, name)
    say(node, f"after the end of {name}")
    shown = history(node)
    assert f"before the end of {name}" in shown
    assert f"after the end of {name}" in shown
    if name == "hub":
        assert place(node)["epoch"] > epoch  # type: ignore[operator]


def test_nats_never_has_anything_readable_and_a_redaction_destroys_the_key(node: Daemon) -> None:
    seq = say(node, SECRET)
    keys = tail_keys(node.home)
    assert len(keys) == 1
    assert SECRET.encode() not in stream_bytes(node.home)
    node.chatctl("redact", "#lobby", str(seq), "--yes")
    assert not set(keys) & set(tail_keys(node.home))
    say(node, "after the redaction")
    node.chatd("restart")
    assert SECRET.encode() not in stream_bytes(node.home)
    log = b"".join(path.read_bytes() for path in (node.home / "data").iterdir() if path.is_file())
    assert keys[0] not in stream_bytes(node.home) + log
    assert "after the redaction" in history(node)


def test_only_a_running_node_decides(node: Daemon) -> None:
    node.chatd("stop")
    refused = node.chatd("user", "add", "bob", check=False)
    assert refused.returncode
    assert "(E603)" in refused.stderr
    node.chatd("start")
    node.chatd("user", "add", "bob")


def test_a_lost_stream_is_refused_until_it_is_made_anew(node: Daemon) -> None:
    say(node, "before the loss")
    generation = place(node)["generation"]
    node.chatd("stop")
    shutil.rmtree(node.home / "data" / "stream")
    refused = node.chatd("start", check=False)
    assert "(E621)" in refused.stderr
    assert "chatd cluster reseed" in refused.stderr
    node.chatd("stop")
    node.chatd("cluster", "reseed")
    node.chatd("start")
    say(node, "after the loss")
    assert place(node)["generation"] > generation  # type: ignore[operator]
    assert "before the loss" in history(node)


def test_settings_without_the_node_are_refused_and_a_dissolved_cluster_is_gone(node: Daemon) -> None:
    say(node, "before the end of the cluster")
    node.chatd("stop")
    node.write_settings(lambda tree: tree["cluster"].update(node=""))
    refused = node.chatd("start", check=False)
    assert "(E621)" in refused.stderr
    assert "chatd cluster dissolve" in refused.stderr
    node.chatd("stop")
    node.chatd("cluster", "dissolve")
    node.chatd("start")
    say(node, "on one machine again")
    assert not node.child("nats")
    assert not (node.home / "data" / "stream").exists()
    assert "before the end of the cluster" in history(node)
    assert node.chatd("verify").stdout.startswith("ok")


def test_a_wrong_name_is_refused(node: Daemon) -> None:
    refused = node.chatd("cluster", "init", "--node", "No Name", check=False)
    assert "(E600)" in refused.stderr


def stream_bytes(home: Path) -> bytes:
    return b"".join(path.read_bytes() for path in (home / "data" / "stream").rglob("*") if path.is_file())


def tail_keys(home: Path) -> list[bytes]:
    connection = apsw.Connection(str(home / "data" / "events.db"), flags=apsw.SQLITE_OPEN_READONLY)
    try:
        rows = connection.execute("SELECT value FROM meta WHERE key LIKE 'tail_key:%'").fetchall()
    finally:
        connection.close()
    return [value for (value,) in rows if isinstance(value, bytes)]
