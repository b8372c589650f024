"""A server without its log does not start, and one whose log vanishes acknowledges nothing more."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from chatctl.client import Client
from chatd.pki.identity import read_identity
from tests.support.daemon import Daemon, running, wait_until

FILES = ("events.db", "events.db-wal", "mark")


def _unmount(data: Path) -> None:
    data.rename(data.with_name("data.unmounted"))
    data.mkdir(mode=0o700)


def _empty(data: Path) -> None:
    for path in data.iterdir():
        path.unlink()


def _truncate(data: Path) -> None:
    for name in FILES:
        if (data / name).exists():
            (data / name).write_bytes(b"")


@pytest.mark.parametrize("lose", [_unmount, shutil.rmtree, _empty, _truncate])
def test_a_home_without_its_log_does_not_start(tmp_path: Path, lose: Callable[[Path], None]) -> None:
    with running(tmp_path / "home") as daemon:
        daemon.stop()
        lose(daemon.home / "data")
        started = daemon.chatd("start", check=False)
        assert started.returncode
        assert "E610" in started.stderr
        assert "mount the disk" in started.stderr
        daemon.stop()
        added = daemon.chatd("user", "add", "bob", check=False)
        assert "E610" in added.stderr
        checked = daemon.chatd("check", check=False)
        assert checked.returncode
        assert "E610" in checked.stdout
        assert not (daemon.home / "data" / "events.db").exists() or lose is _truncate


def _lose_database(data: Path) -> None:
    (data / "events.db").unlink()


@pytest.mark.parametrize("lose", [_unmount, _empty, _truncate, _lose_database])
def test_a_new_log_is_begun_only_on_request(tmp_path: Path, lose: Callable[[Path], None]) -> None:
    with running(tmp_path / "home") as daemon:
        daemon.stop()
        refused = daemon.chatd("init", "--new-log", check=False)
        assert refused.returncode
        assert "E602" in refused.stderr
        lose(daemon.home / "data")
        # Says why it does not serve, once more too.
        for _ in range(2):
            assert "chatd init --new-log begins" in daemon.chatd("start", check=False).stderr
        daemon.stop()
        daemon.chatd("init", "--new-log")
        daemon.chatd("user", "add", "alice", "--device", "again", "--role", "admin")
        daemon.start()
        # The identities of the lost log are not taken any more.
        assert (
            daemon.run("chatctl", "--home", str(daemon.home), "whoami", "--json").stdout.find('"again"') > 0
        )
        with Client(read_identity(daemon.identity("alice", "again"))) as client:
            assert client.send("#lobby", "here again").wait(30).seq


@pytest.mark.parametrize("name", ["", *FILES])
def test_nothing_is_acknowledged_into_files_that_were_removed(daemon: Daemon, name: str) -> None:
    with Client(read_identity(daemon.identity("alice", "console"))) as client:
        client.send("#lobby", "stored").wait(30)
        if name:
            (daemon.home / "data" / name).unlink()
        else:
            _unmount(daemon.home / "data")
        sent = client.send("#lobby", "lost")
        wait_until(lambda: daemon.child("hub")["state"] == "fatal", what="the hub to give up")
        assert sent.state == "pending"
        status = daemon.chatd("status").stdout
        assert "removed or replaced while chatd ran" in status
