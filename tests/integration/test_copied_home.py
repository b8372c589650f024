"""A copy of a home neither harms the original nor continues its log by mistake."""

from __future__ import annotations

import shutil
from contextlib import closing
from pathlib import Path

from chatd.proto.lineage import Branch
from chatd.store.event_log import EventLog
from tests.support.daemon import Daemon, free_port
from tests.support.storelog import NOW


def read_branches(daemon: Daemon) -> tuple[Branch, ...]:
    with closing(EventLog.open(daemon.home / "data", now=NOW)) as log:
        return log.lineage


def copy_of(daemon: Daemon, home: Path) -> Daemon:
    """Copy a home, whether it runs or not, and give the copy a port of its own."""
    shutil.copytree(daemon.home, home, ignore=shutil.ignore_patterns("*.sock"))
    copy = Daemon(home)
    copy.port = free_port()
    copy.environ["CHATD_SERVER__PORT"] = str(copy.port)
    return copy


def test_a_copy_of_a_running_home_leaves_the_original_alone(daemon: Daemon, tmp_path: Path) -> None:
    pids = daemon.pids()
    copy = copy_of(daemon, tmp_path / "copy")
    try:
        refused = copy.chatd("start", check=False)
        assert refused.returncode
        assert "E619" in refused.stderr
        assert str(daemon.home) in refused.stderr
        copy.chatd("start", "--as-copy")
        assert daemon.pids() == pids
        assert [child["restarts"] for child in daemon.status()["children"]] == [0, 0, 0, 0]
        copy.chatd("restart")
        assert daemon.pids() == pids
        assert copy.chatd("verify").stdout.startswith("ok")
    finally:
        copy.stop()


def test_the_copy_has_a_branch_of_its_own(daemon: Daemon, tmp_path: Path) -> None:
    daemon.stop()
    copy = copy_of(daemon, tmp_path / "copy")
    try:
        assert "E619" in copy.chatd("start", check=False).stderr, "the original is there, though stopped"
        copy.chatd("start", "--as-copy")
        copy.stop()
        branches = [read_branches(home) for home in (daemon, copy)]
        assert len(branches[1]) == len(branches[0]) + 1
    finally:
        copy.stop()


def test_a_home_that_was_moved_or_whose_original_is_gone_starts(daemon: Daemon, tmp_path: Path) -> None:
    daemon.stop()
    copy = copy_of(daemon, tmp_path / "copy")
    moved = Daemon(daemon.home.rename(tmp_path / "moved"))
    for home in (moved, copy):
        home.chatd("start")
        home.stop()
    moved.home.rename(daemon.home)
