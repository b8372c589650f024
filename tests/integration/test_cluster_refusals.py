"""chatd cluster init and join with wrong input: a clear refusal, and nothing is left behind."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.daemon import Daemon


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    daemon = Daemon(tmp_path_factory.mktemp("refusals") / "home")
    daemon.init()
    yield daemon
    daemon.stop()


ARGUMENTS = {
    "two": (["b=10.0.0.2"], "E600", "3 or 5 nodes"),
    "four": (["b=10.0.0.2", "c=10.0.0.3", "d=10.0.0.4"], "E600", "3 or 5 nodes"),
    "twice": (["b=10.0.0.2", "b=10.0.0.3"], "E600", "one name"),
    "own": (["node-1=10.0.0.2", "c=10.0.0.3"], "E600", "one name"),
    "name": (["B b=10.0.0.2", "c=10.0.0.3"], "E600", "no name for a node"),
    "same address": (["b=10.0.0.2", "c=10.0.0.2"], "E600", "the same address"),
    "everywhere": (["b=0.0.0.0", "c=10.0.0.3"], "E600", "no node can connect"),
    "no host": (["b", "c=10.0.0.3"], "", "is not NAME=HOST"),
    "port": (["b=10.0.0.2:99999", "c=10.0.0.3"], "", "is not HOST[:PORT]"),
    "client": (["--address=d=10.0.0.4:5000", "b=10.0.0.2", "c=10.0.0.3"], "", "no node d"),
    "no client port": (["--address=b=10.0.0.2", "b=10.0.0.2", "c=10.0.0.3"], "", "not HOST:PORT"),
}


@pytest.mark.parametrize(("arguments", "code", "words"), ARGUMENTS.values(), ids=ARGUMENTS)
def test_a_wrong_cluster_is_not_begun(
    server: Daemon, tmp_path: Path, arguments: list[str], code: str, words: str
) -> None:
    settings = (server.home / "config" / "settings.json").read_text()
    certs = sorted(path.name for path in (server.home / "certs").iterdir())
    refused = server.chatd("cluster", "init", "--out", str(tmp_path), *arguments, check=False)
    assert refused.returncode
    assert words in refused.stderr
    assert code in refused.stderr
    assert "Traceback" not in refused.stderr
    assert not list(tmp_path.iterdir())
    assert (server.home / "config" / "settings.json").read_text() == settings
    assert sorted(path.name for path in (server.home / "certs").iterdir()) == certs


@pytest.fixture(scope="module")
def join_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("joins")
    first = Daemon(root / "first")
    first.init()
    first.chatd("cluster", "init", "--no-wait", "--out", str(root), "b=127.0.0.1:1", "c=127.0.0.1:2")
    return root / "b.join"


def test_a_changed_file_makes_no_home(join_file: Path, tmp_path: Path) -> None:
    tree = json.loads(join_file.read_text())
    tree["node"] = "c"
    changed = tmp_path / "changed.join"
    changed.write_text(json.dumps(tree))
    node = Daemon(tmp_path / "node")
    node.home.mkdir()
    refused = node.chatd("cluster", "join", str(changed), check=False)
    assert "(E623)" in refused.stderr
    assert changed.exists()
    assert not list(node.home.glob("certs"))


def test_a_file_that_cannot_be_installed_leaves_no_half_home(join_file: Path, tmp_path: Path) -> None:
    node = Daemon(tmp_path / "node")
    (node.home / "certs").mkdir(parents=True)
    (node.home / "certs" / "node.key").write_text("of somebody else")
    refused = node.chatd("cluster", "join", str(join_file), check=False)
    assert "(E606)" in refused.stderr
    assert join_file.exists()
    assert [path.name for path in (node.home / "certs").iterdir()] == ["node.key"]
    assert not (node.home / "config" / "settings.json").exists()


def test_unreachable_members_are_named_and_the_home_is_made(join_file: Path, tmp_path: Path) -> None:
    node = Daemon(tmp_path / "node")
    node.home.mkdir()
    copy = tmp_path / "b.join"
    copy.write_bytes(join_file.read_bytes())
    joined = node.chatd("cluster", "join", str(copy))
    assert "does not answer" in joined.stderr
    assert not copy.exists()
    assert json.loads((node.home / "config" / "settings.json").read_text())["cluster"]["node"] == "b"
    for name in ("ca.key", "server.key", "envelope.key", "node.key", "node-ca.key", "record.key"):
        assert (node.home / "certs" / name).stat().st_mode & 0o777 == 0o600


def test_a_home_joins_no_cluster(server: Daemon, join_file: Path) -> None:
    refused = server.chatd("cluster", "join", str(join_file), check=False)
    assert "(E602)" in refused.stderr
    assert join_file.exists()


def test_a_log_that_was_in_no_stream_yet_may_begin_that_of_several_nodes(tmp_path: Path) -> None:
    """chatd cluster init says so to whoever ends it while it waits for the other nodes."""
    first = Daemon(tmp_path / "home")
    first.init()
    first.start()
    try:
        begun = first.chatd(
            *("cluster", "init", "--no-wait", "--out", str(tmp_path), "b=127.0.0.1:1", "c=127.0.0.1:2")
        )
        assert "cluster reseed" in begun.stderr
    finally:
        first.stop()
    assert "makes the stream anew" in first.chatd("cluster", "reseed").stdout
