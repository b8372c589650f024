"""Each file of a stopped home is missing, empty or of another home: the server starts whole or says why."""

from __future__ import annotations

import dataclasses
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from chatctl.client import Client
from chatd.pki.identity import read_identity
from tests.support.daemon import Daemon, free_port

# Files without which the server works: they are derived, or made anew.
REPLACEABLE = ("data/reserve", "data/search.db", "data/hub.lock", "data/supervisor.lock")
REQUIRED = (
    *("certs/ca.pem", "certs/server.pem", "certs/server.key", "certs/envelope.pem", "certs/envelope.key"),
    *("config/settings.json", "data/events.db", "data/mark"),
)
# The running server does not need them; another home's must not be used unnoticed.
KEPT_APART = ("certs/ca.key", "certs/record.pem", "certs/record.key")
FILES = (*REPLACEABLE, *REQUIRED, *KEPT_APART)


@pytest.fixture(scope="module")
def homes(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Two stopped homes of different servers, each with a message."""
    made = []
    for name in ("one", "two"):
        daemon = Daemon(tmp_path_factory.mktemp("homes") / name)
        daemon.init()
        daemon.start()
        with Client(read_identity(daemon.identity("alice", "console"))) as client:
            client.send("#lobby", "hello").wait(30)
        daemon.stop()
        made.append(daemon.home)
    return made[0], made[1]


def _missing(path: Path, other: Path) -> None:
    path.unlink(missing_ok=True)


def _empty(path: Path, other: Path) -> None:
    path.write_bytes(b"")


def _of_another_home(path: Path, other: Path) -> None:
    if other.exists() and path.name != "ca.pem":  # with another CA's certificate nobody can log in
        shutil.copyfile(other, path)


@pytest.mark.parametrize("change", [_missing, _empty, _of_another_home])
@pytest.mark.parametrize("name", FILES)
def test_the_server_starts_whole_or_says_why_not(
    name: str, change: Callable[[Path, Path], None], homes: tuple[Path, Path], tmp_path: Path
) -> None:
    daemon = Daemon(tmp_path / "home")
    shutil.copytree(homes[0], daemon.home)
    (daemon.home / "data" / "place").unlink(missing_ok=True)  # the copy of a home is another matter
    change(daemon.home / name, homes[1] / name)
    daemon.port = free_port()
    daemon.environ["CHATD_SERVER__PORT"] = str(daemon.port)
    events = (daemon.home / "data" / "events.db").exists()
    try:
        started = daemon.chatd("start", check=False)
        said = started.stdout + started.stderr
        assert "Traceback" not in said
        if started.returncode:
            assert name not in REPLACEABLE, said
            assert re.search(r"\(E6\d\d\)", said), said
            assert events or not (daemon.home / "data" / "events.db").exists(), "it made a log"
        else:
            assert name not in REQUIRED or change is not _empty, said
            _assert_serves(daemon)
        checked = daemon.chatd("check", check=False)
        assert "Traceback" not in checked.stdout + checked.stderr
        if started.returncode:
            assert checked.returncode, "check finds nothing wrong"
    finally:
        daemon.stop()


def _assert_serves(daemon: Daemon) -> None:
    identity = read_identity(daemon.identity("alice", "console"))
    identity = dataclasses.replace(identity, servers=(f"127.0.0.1:{daemon.port}",))
    with Client(identity) as client:
        assert client.send("#lobby", "again").wait(30).seq
        assert [event["body"] for event in client.request("search", query="hello")["events"]] == ["hello"]
    assert daemon.chatd("verify").stdout.startswith("ok")
