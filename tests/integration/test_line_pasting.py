"""A block pasted into the line client stays one message, even while others write and the size changes."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from chatctl.client import Client, Message, read_identity
from tests.support.daemon import BIN, Daemon, running, wait_until
from tests.support.terminal import TMUX, Terminal

pytestmark = pytest.mark.skipif(TMUX is None, reason="tmux is not installed")

_HIGH_LIMITS = {"messages_per_second": 100_000, "burst": 100_000}
PASTES = 12


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[Daemon]:
    """A server with a high rate limit."""
    with running(tmp_path / "home", CHATD_LIMITS__PER_ROLE=json.dumps({"user": _HIGH_LIMITS})) as daemon:
        yield daemon


@pytest.fixture
def terminal(tmp_path: Path, daemon: Daemon) -> Iterator[Terminal]:
    terminal = Terminal(tmp_path, {**daemon.environ, "XDG_STATE_HOME": str(tmp_path)})
    yield terminal
    terminal.close()


@contextmanager
def stream(identity: Path) -> Iterator[None]:
    """Send messages as one user without a pause."""
    stop = threading.Event()
    with Client(read_identity(identity), live=False) as client:

        def talk() -> None:
            for number in range(1_000_000):
                if stop.wait(0.002):
                    return
                client.send("#lobby", f"noise {number} and so on, and so on").wait(30)

        thread = threading.Thread(target=talk, name="stream")
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join(60)


def test_a_paste_in_a_stream_of_messages_is_one_message(terminal: Terminal, daemon: Daemon) -> None:
    daemon.add_user("ann")
    noise, reader = daemon.add_user("noise"), daemon.add_user("reader")
    blocks = [f"block {n}\n  of {n}\nend {n}" for n in range(PASTES)]
    with Client(read_identity(reader)) as client:
        client.wait_connected(30)
        client.request("join", room="#lobby")
        command = (str(BIN / "chat"), "--identity", str(daemon.identity("ann")))
        terminal.open("ann", command, columns=70, rows=12)
        terminal.wait("ann", "· connected ·")
        with stream(noise):
            terminal.wait("ann", "noise 20 ")
            for number, block in enumerate(blocks):
                terminal.paste("ann", block)
                # A resize redraws everything, which prompt_toolkit does with bracketed paste off.
                terminal.resize("ann", 70 + number % 2, 12 + number % 3)
                terminal.keys("ann", "Enter")
        bodies: list[str] = []
        while len(bodies) < PASTES:
            event = client.next_event(30)
            assert event is not None, bodies
            if isinstance(event, Message) and event.user == "ann":
                bodies.append(event.body)
        assert bodies == blocks
    raw = terminal.raw("ann")
    assert raw.count(b"\x1b[?2004h") >= 1
    assert b"\x1b[?2004l" not in raw
    terminal.keys("ann", "C-d")
    assert terminal.wait_end("ann") == 0
    wait_until(lambda: terminal.raw("ann").endswith(b"0\r\n"), what="the end of the output")
    assert terminal.raw("ann").count(b"\x1b[?2004l") == 1


def test_ctrl_z_stops_the_client_and_fg_continues_it(terminal: Terminal, daemon: Daemon) -> None:
    daemon.add_user("ann")
    terminal.open("ann", ("env", "PS1=shell> ", "ENV=", "sh", "-i"))
    terminal.wait("ann", "shell>")
    terminal.keys("ann", "-l", f"{BIN / 'chat'} --identity {daemon.identity('ann')}")
    terminal.keys("ann", "Enter")
    terminal.wait("ann", "· connected ·")
    terminal.keys("ann", "-l", "a draft")
    terminal.wait("ann", "#lobby> a draft")
    terminal.keys("ann", "C-z")
    terminal.wait_for("ann", r"(?i)(stopped|suspended)[^$]*shell>")
    paste_off_at = terminal.raw("ann", b"\x1b[?2004l").rindex(b"\x1b[?2004l")
    terminal.keys("ann", "-l", "fg")
    terminal.keys("ann", "Enter")
    terminal.wait_for("ann", r"fg\n(.*\n)*#lobby> a draft\n")
    wait_until(
        lambda: b"\x1b[?2004h" in terminal.raw("ann")[paste_off_at:], what="bracketed paste to be on again"
    )


def test_a_paste_that_no_server_accepts_is_refused_with_a_note(terminal: Terminal, daemon: Daemon) -> None:
    daemon.add_user("ann")
    terminal.open("ann", (str(BIN / "chat"), "--identity", str(daemon.identity("ann"))), columns=90, rows=12)
    terminal.wait("ann", "· connected ·")
    terminal.keys("ann", "-l", "kept ")
    terminal.paste("ann", "x" * 100_000)
    terminal.wait("ann", "-- not pasted: 100,000 characters, of which 32,763 fit --")
    terminal.paste("ann", "words")
    terminal.keys("ann", "Enter")
    terminal.wait("ann", "<ann> kept words")
