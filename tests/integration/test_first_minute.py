"""Creating and starting a server with one command, and its first status."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.daemon import Daemon, free_port


@pytest.mark.parametrize("start", [True, False])
def test_init_names_the_next_command_unless_it_starts_the_server(tmp_path: Path, start: bool) -> None:
    daemon = Daemon(tmp_path)
    daemon.port = free_port()
    options = ("--start",) if start else ()
    try:
        result = daemon.chatd("init", "--listen", f"127.0.0.1:{daemon.port}", *options)
        assert ("next: chatd" in result.stderr) == (not start)
        assert (f"chatd listens on 127.0.0.1:{daemon.port}" in result.stdout) == start
        assert (daemon.chatd("status", check=False).returncode == 0) == start
    finally:
        daemon.stop()


def test_status_and_stats_show_the_same_table_of_processes(shared_daemon: Daemon) -> None:
    status = shared_daemon.chatd("status").stdout.splitlines()
    stats = shared_daemon.chatctl("stats").stdout.splitlines()
    table = [lines[[line.split()[:1] for line in lines].index(["process"]) :] for lines in (status, stats)]
    assert table[0][0].split() == table[1][0].split()
    running = [{line.split()[0] for line in lines[1:]} for lines in table]
    assert running[1] - running[0] == {"supervisor"}
