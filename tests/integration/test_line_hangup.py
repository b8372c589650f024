"""The line client ends when its terminal is gone, as after a closed window or a cut ssh connection."""

from __future__ import annotations

import os
import pty
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.daemon import BIN, TIMEOUT_SECONDS, Daemon, running


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    with running(tmp_path_factory.mktemp("hangup") / "home") as daemon:
        yield daemon


def read_until(master: int, words: bytes) -> None:
    seen = b""
    deadline = time.monotonic() + TIMEOUT_SECONDS
    while words not in seen:
        assert time.monotonic() < deadline, seen
        seen += os.read(master, 65536)


@pytest.mark.parametrize("session_leader", [True, False], ids=["with SIGHUP", "without SIGHUP"])
@pytest.mark.parametrize("busy", [False, True], ids=["quiet", "while others write"])
def test_the_client_ends_when_its_terminal_closes(
    daemon: Daemon, *, session_leader: bool, busy: bool
) -> None:
    master, slave = pty.openpty()
    chat = subprocess.Popen(
        [BIN / "chat", "--identity", str(identity(daemon))],
        env=daemon.environ | {"TERM": "xterm"},
        stdin=slave,
        stdout=slave,
        stderr=slave,
        # Only the leader of the terminal's session gets SIGHUP.
        preexec_fn=lambda: take_controlling_terminal(slave) if session_leader else os.setsid(),
    )
    os.close(slave)
    try:
        read_until(master, b"#lobby>")
        if busy:
            talker = subprocess.Popen(
                [BIN / "chat", "--identity", str(identity(daemon)), "send", "lobby", "--lines"],
                env=daemon.environ,
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
            )
            assert talker.stdin
            talker.stdin.write(b"".join(b"line %d\n" % n for n in range(20)))
            talker.stdin.close()
            read_until(master, b"line 3")
        os.close(master)
        assert chat.wait(TIMEOUT_SECONDS) is not None
        if busy:
            talker.wait(TIMEOUT_SECONDS)
    finally:
        chat.kill()
        chat.wait()


def identity(daemon: Daemon) -> Path:
    return daemon.identity("alice", "console")


def take_controlling_terminal(slave: int) -> None:
    os.setsid()
    os.close(os.open(os.ttyname(slave), os.O_RDWR))  # becomes the session's controlling terminal
