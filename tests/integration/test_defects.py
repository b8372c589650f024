"""A mistake in the client's own code: real programs in which one function fails, against a real daemon."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.support.daemon import BIN, Daemon
from tests.support.terminal import TMUX, Terminal

# Python runs this before the program: of all that arrives, the first frame after the welcome is too much.
FAULT = """
from chatctl.client._session import ConnectionPhase, ClientSession

receive = ClientSession.receive


def fail_later(self, message, now):
    if self.phase is ConnectionPhase.GREETING:
        return receive(self, message, now)
    raise LookupError("a fault of the test's")


ClientSession.receive = fail_later
"""
SAID = (
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
def test_it_is_told_in_one_line(shared_daemon: Daemon, environ: dict[str, str], command: tuple[str]) -> None:
    done = run(shared_daemon, environ, *command)
    assert (done.stderr, done.returncode) == (f"{SAID}\n", 1)


def test_its_traceback_is_shown_on_demand(shared_daemon: Daemon, environ: dict[str, str]) -> None:
    done = run(shared_daemon, {**environ, "CHATD_DEBUG": "1"}, "chatctl", "users")
    assert done.stderr.startswith("Traceback (most recent call last):\n")
    assert "in fail_later\n" in done.stderr
    assert done.stderr.endswith(f"\n{SAID}\n")
    assert done.returncode == 1


@pytest.mark.skipif(TMUX is None, reason="tmux is not installed")
def test_on_a_terminal_the_line_client_ends_with_it(
    shared_daemon: Daemon, environ: dict[str, str], tmp_path: Path
) -> None:
    terminal = Terminal(tmp_path, environ)
    try:
        command = (str(BIN / "chat"), "--identity", str(shared_daemon.identity("alice", "console")))
        terminal.open("defect", command, columns=160)
        assert terminal.wait_end("defect") == 1
        shown = terminal.text("defect")
        assert f"\n{SAID}\n" in shown and "Traceback" not in shown
    finally:
        terminal.close()
