"""The first minute of a server: it is made and started by one command, and shows its figures in one form."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.daemon import Daemon, free_port


@pytest.mark.parametrize("at_once", [True, False])
def test_init_names_the_next_command_only_where_there_is_one(tmp_path: Path, at_once: bool) -> None:
    daemon = Daemon(tmp_path)
    daemon.port = free_port()
    options = ("--start",) if at_once else ()
    try:
        done = daemon.chatd("init", "--listen", f"127.0.0.1:{daemon.port}", *options)
        assert ("next: chatd" in done.stderr) == (not at_once)
        assert (f"chatd listens on 127.0.0.1:{daemon.port}" in done.stdout) == at_once
        assert (daemon.chatd("status", check=False).returncode == 0) == at_once
    finally:
        daemon.stop()


def test_status_and_stats_show_figures_alike(shared_daemon: Daemon) -> None:
    status = shared_daemon.chatd("status").stdout.splitlines()
    stats = shared_daemon.chatctl("stats").stdout.splitlines()
    table = [lines[[line.split()[:1] for line in lines].index(["process"]) :] for lines in (status, stats)]
    assert table[0][0].split() == table[1][0].split()
    running = [{line.split()[0] for line in lines[1:]} for lines in table]
    assert running[1] - running[0] == {"supervisor"}
