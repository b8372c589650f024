"""Reporting of bugs in the clients: real programs in which one function raises an exception."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.support.daemon import BIN, Daemon
from tests.support.terminal import TMUX, Terminal

# Python runs this before the program; it makes the first frame after the welcome raise.
FAULT = """
from chatctl.client._session import ConnectionPhase, ClientSession

receive = ClientSession.receive


def fail_later(self, message, now):
    if self.phase is ConnectionPhase.GREETING:
        return receive(self, message, now)
    raise LookupError("a fault of the test's")


ClientSession.receive = fail_later
"""
REPORT = (
    "error: the client failed: LookupError: a fault of the test's (E614). "
    "report this; CHATD_DEBUG=1 shows where it happened"
)


@pytest.fixture
def environ(shared_daemon: Daemon, tmp_path: Path) -> dict[str, str]:
    (tmp_path / "sitecustomize.py").write_text(FAULT)
    state = tmp_path / "state"
    return {**shared_daemon.environ, "PYTHONPATH": str(tmp_path), "XDG_STATE_HOME": str(state)}


def run(daemon: Daemon, environ: dict[str, str], *command: str) -> subprocess.CompletedProcess[str]:
    identity = str(daemon.identity("alice", "console"))
    program, *arguments = command
    return subprocess.run(
        [str(BIN / program), "--identity", identity, *arguments],
        env=environ,
        input="",
        capture_output=True,
        text=True,
        timeout=60,
    )


@pytest.mark.parametrize(
    "command",
    [("chatctl", "users"), ("chat", "send", "lobby", "x"), ("chat", "tail", "lobby"), ("chat",)],
    ids=" ".join,
)
def test_a_bug_is_reported_in_one_line(
    shared_daemon: Daemon, environ: dict[str, str], command: tuple[str]
) -> None:
    result = run(shared_daemon, environ, *command)
    named = "chatctl users: " if command[0] == "chatctl" else ""
    assert (result.stderr, result.returncode) == (f"{named}{REPORT}\n", 1)


def test_debug_mode_prints_the_traceback_of_a_bug(shared_daemon: Daemon, environ: dict[str, str]) -> None:
    result = run(shared_daemon, {**environ, "CHATD_DEBUG": "1"}, "chatctl", "users")
    assert result.stderr.startswith("Traceback (most recent call last):\n")
    assert "in fail_later\n" in result.stderr
    assert result.stderr.endswith(f"\nchatctl users: {REPORT}\n")
    assert result.returncode == 1


@pytest.mark.skipif(TMUX is None, reason="tmux is not installed")
def test_a_bug_ends_the_line_client(shared_daemon: Daemon, environ: dict[str, str], tmp_path: Path) -> None:
    terminal = Terminal(tmp_path, environ)
    try:
        command = (str(BIN / "chat"), "--identity", str(shared_daemon.identity("alice", "console")))
        terminal.open("defect", command, columns=160)
        assert terminal.wait_end("defect") == 1
        shown = terminal.text("defect")
        assert f"\n{REPORT}\n" in shown and "Traceback" not in shown
    finally:
        terminal.close()
