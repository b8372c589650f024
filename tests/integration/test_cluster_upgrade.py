"""Three nodes are updated one after the other while people write: followers first, then by handover."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

import chatd
from chatctl.client import Client, Sent
from chatd.cluster import stream_message
from chatd.pki.identity import read_identity
from tests.support.cluster import CLUSTER_SECONDS, NAMES, Cluster, clustered
from tests.support.daemon import Daemon, wait_until

NEWER_VERSION = "9.9.9"


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    with clustered(tmp_path) as cluster:
        cluster.wait_for_hubs()
        yield cluster


def newer_chatd(folder: Path) -> Path:
    """Make a chatd of a later version, which writes a newer format; return its folder."""
    source = Path(chatd.__file__).parent
    newer = folder / "newer"
    shutil.copytree(source, newer / source.name, ignore=shutil.ignore_patterns("__pycache__"))
    for path, name, value in (
        (newer / "chatd" / "__init__.py", "__version__", f'"{NEWER_VERSION}"'),
        (
            newer / "chatd" / Path(stream_message.__file__).relative_to(source),
            "NEWEST_FORMAT: Final",
            str(stream_message.NEWEST_FORMAT + 1),
        ),
    ):
        text, count = re.subn(rf"^({name}) = .*$", rf"\1 = {value}", path.read_text(), flags=re.MULTILINE)
        assert count == 1, path
        path.write_text(text)
    return newer


def restart_with(node: Daemon, code: Path | None) -> None:
    """Stop a node; start it with other code, or with that of before."""
    node.stop()
    node.environ.pop("PYTHONPATH", None)
    if code is not None:
        node.environ["PYTHONPATH"] = str(code)
    node.chatd("start", "--wait", "1", check=False)


def versions(cluster: Cluster, name: str) -> dict[str, str]:
    members = cluster.status(name).get("members", ())
    return {one["node"]: one["version"] for one in members if one["answers"]}


def formats_told(node: Daemon) -> list[int]:
    return [line["format"] for line in node.log_lines() if line["event"] == "stream_format"]


def test_nodes_are_updated_one_by_one_under_load(cluster: Cluster, tmp_path: Path) -> None:
    newer = newer_chatd(tmp_path)
    sent: list[Sent] = []
    with Client(read_identity(cluster.identity()), state=tmp_path / "state") as client:

        def goes_on() -> None:
            sent.append(client.send("#lobby", f"message {len(sent)}"))
            sent[-1].wait(CLUSTER_SECONDS)

        def update(name: str) -> None:
            restart_with(cluster.nodes[name], newer)
            sent.extend(client.send("#lobby", f"message {len(sent)} during {name}") for _ in range(3))
            cluster.wait_for_hubs(name)
            goes_on()
            wait_until(cluster.have_one_log, CLUSTER_SECONDS, "equal logs")

        goes_on()
        wait_until(lambda: cluster.leader() in NAMES, CLUSTER_SECONDS, "a leader")
        last = cluster.leader()
        followers = [name for name in NAMES if name != last]
        for name in followers:
            update(name)
        assert len(set(versions(cluster, last).values())) == 2
        assert "versions of chatd differ" in cluster.nodes[last].chatd("cluster", "status").stdout
        # An updated node leads now, and the old one still reads all that it writes.
        cluster.nodes[last].chatd("cluster", "lead", followers[0])
        wait_until(lambda: cluster.leader() == followers[0], CLUSTER_SECONDS, "the handover")
        goes_on()
        wait_until(cluster.have_one_log, CLUSTER_SECONDS, "equal logs")
        assert formats_told(cluster.nodes[followers[0]]) == []
        update(last)
        wait_until(lambda: formats_told(cluster.nodes[cluster.leader() or last]), CLUSTER_SECONDS)
        goes_on()
        for message in sent:
            message.wait(CLUSTER_SECONDS)
        assert set(versions(cluster, last).values()) == {NEWER_VERSION}
        # Whoever goes back to the old version reads nothing wrong: it ends, and says why.
        back = cluster.nodes[last]
        back.stop()
        goes_on()
        restart_with(back, None)
        wait_until(
            lambda: any(line.get("code") == "E618" for line in back.log_lines("errors.log")), CLUSTER_SECONDS
        )
        restart_with(back, newer)
        cluster.wait_for_hubs(last)
        wait_until(cluster.have_one_log, CLUSTER_SECONDS, "equal logs")
        seqs = [message.wait(1).seq for message in sent]
    assert len(set(seqs)) == len(sent)
