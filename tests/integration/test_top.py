"""`chatctl top` on a real terminal and in scripts, against a real daemon."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.daemon import BIN, Daemon, wait_until
from tests.support.terminal import ENDED, TMUX, Terminal

needs_tmux = pytest.mark.skipif(TMUX is None, reason="tmux is not installed")


@pytest.fixture
def terminal(tmp_path: Path, shared_daemon: Daemon) -> Iterator[Terminal]:
    terminal = Terminal(tmp_path, shared_daemon.environ)
    yield terminal
    terminal.close()


def command(daemon: Daemon, *arguments: str) -> tuple[str, ...]:
    return (str(BIN / "chatctl"), "top", "--identity", str(daemon.identity("alice", "console")), *arguments)


@needs_tmux
def test_top_redraws_until_q_and_restores_the_terminal(terminal: Terminal, shared_daemon: Daemon) -> None:
    terminal.open("top", command(shared_daemon, "--every", "0.5"), columns=90, rows=24)
    shown = terminal.wait("top", "restarts")
    assert "lab  chatd " in shown and "q quits" in shown and "worker-1" in shown
    terminal.resize("top", 40, 8)
    # At the new size the processes do not fit.
    wait_until(lambda: "restarts" not in (now := terminal.text("top")) and "latency" in now)
    terminal.keys("top", "q")
    assert terminal.wait_end("top") == 0
    raw = terminal.raw("top", ENDED.encode())
    assert raw.count(b"\x1b[?1049h") == raw.count(b"\x1b[?1049l") == 1
    assert b"\x1b[?25h" in raw and b"\x1b[1m" not in raw, "NO_COLOR is set"


def test_top_prints_one_page_without_a_terminal(shared_daemon: Daemon) -> None:
    result = shared_daemon.chatctl("top")
    lines = result.stdout.splitlines()
    assert lines[0].startswith("lab  chatd ") and "\x1b" not in result.stdout
    assert [line.split()[0] for line in lines[1:5]] == ["connections", "accepted", "delivered", "latency"]
    assert {"hub", "worker-1", "worker-2"} <= {line.split()[0] for line in lines[8:]}


def test_top_prints_stats_and_rates_as_json(shared_daemon: Daemon) -> None:
    stats = json.loads(shared_daemon.chatctl("top", "--once", "--json", "--every", "0.5").stdout)
    assert stats["schema"] == 1 and stats["latency_ms"] > 0
    assert {"accepted_per_second", "delivered_per_second", "connections", "processes"} <= stats.keys()


def test_top_exits_with_4_if_not_permitted(shared_daemon: Daemon) -> None:
    shared_daemon.add_user("bob")
    result = shared_daemon.run(
        "chatctl", "top", "--identity", str(shared_daemon.identity("bob")), check=False
    )
    assert (result.returncode, "(E300)" in result.stderr) == (4, True)
