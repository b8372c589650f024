"""Kicked or banned for a while: clients for people stay, count down and come back."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from chatctl.client import Client, Connected, Disconnected
from chatd.pki.identity import read_identity
from tests.support.chat_program import admin_client
from tests.support.daemon import BIN, TIMEOUT_SECONDS, Daemon
from tests.support.terminal import TMUX, Terminal

LONG = 600


def next_of(client: Client, kind: type[Connected] | type[Disconnected]) -> Connected | Disconnected:
    while (event := client.next_event(TIMEOUT_SECONDS)) is not None:
        if isinstance(event, kind):
            return event
    raise AssertionError(f"no {kind.__name__}")


def user_of(daemon: Daemon, name: str) -> str:
    daemon.add_user(name)
    return name


def test_a_client_that_waits_comes_back_when_the_ban_has_ended(shared_daemon: Daemon) -> None:
    identity = read_identity(shared_daemon.identity(user_of(shared_daemon, "nora")))
    with admin_client(shared_daemon) as alice, Client(identity, wait_out=True) as nora:
        nora.wait_connected(TIMEOUT_SECONDS)
        next_of(nora, Connected)
        alice.request("ban", user="nora", seconds=2)
        ended = next_of(nora, Disconnected)
        assert isinstance(ended, Disconnected)
        assert ended.error.code == "E207"
        assert ended.retry_in is not None
        assert 2 <= ended.retry_in <= 5
        next_of(nora, Connected)


def test_trying_early_is_refused_with_what_is_left(shared_daemon: Daemon) -> None:
    identity = read_identity(shared_daemon.identity(user_of(shared_daemon, "nils")))
    with admin_client(shared_daemon) as alice, Client(identity, wait_out=True) as nils:
        next_of(nils, Connected)
        alice.request("ban", user="nils", seconds=LONG)
        next_of(nils, Disconnected)
        nils.try_now()
        again = next_of(nils, Disconnected)
        assert isinstance(again, Disconnected)
        assert again.retry_in is not None
        assert again.retry_in <= LONG + 2
        alice.request("unban", user="nils")
        nils.try_now()
        next_of(nils, Connected)


@pytest.mark.parametrize(("wait_out", "seconds"), [(False, 2), (True, 2 * 3600), (True, None)])
def test_a_client_ends_when_it_need_not_or_should_not_wait(
    shared_daemon: Daemon, wait_out: bool, seconds: int | None
) -> None:
    name = user_of(shared_daemon, f"olaf-{wait_out}-{seconds}".lower())
    identity = read_identity(shared_daemon.identity(name))
    with admin_client(shared_daemon) as alice, Client(identity, wait_out=wait_out) as olaf:
        next_of(olaf, Connected)
        alice.request("ban", user=name, seconds=seconds)
        ended = next_of(olaf, Disconnected)
        assert isinstance(ended, Disconnected)
        assert ended.retry_in is None


@pytest.fixture
def terminal(tmp_path: Path, shared_daemon: Daemon) -> Iterator[Terminal]:
    terminal = Terminal(tmp_path, {**shared_daemon.environ, "XDG_STATE_HOME": str(tmp_path)})
    yield terminal
    terminal.close()


@pytest.mark.skipif(TMUX is None, reason="tmux is not installed")
def test_the_line_client_counts_down_and_comes_back(terminal: Terminal, shared_daemon: Daemon) -> None:
    name = user_of(shared_daemon, "pia")
    terminal.open("pia", (str(BIN / "chat"), "--identity", str(shared_daemon.identity(name))), columns=120)
    terminal.wait("pia", "\u00b7 connected \u00b7")
    with admin_client(shared_daemon) as alice:
        alice.request("ban", user=name, seconds=4, reason="cool down")
        terminal.wait("pia", "-- not connected: pia is banned for 4s: cool down (E207).")
        terminal.wait_for("pia", r"\u00b7 reconnecting in \d s \u00b7 /reconnect")
        terminal.wait("pia", "-- connected again --")

        alice.request("ban", user=name, seconds=LONG, reason="again")
        terminal.wait_for("pia", rf"\u00b7 reconnecting in {LONG // 100}\d\d s \u00b7 /reconnect|in 59\d s")
        terminal.keys("pia", "-l", "typed while out")
        terminal.keys("pia", "Enter")
        terminal.wait("pia", "(1 unsent)")
        alice.request("unban", user=name)
        terminal.keys("pia", "-l", "/reconnect")
        terminal.keys("pia", "Enter")
        terminal.wait("pia", "<pia> typed while out")
        terminal.wait("pia", "\u00b7 connected \u00b7")


@pytest.mark.skipif(TMUX is None, reason="tmux is not installed")
def test_an_error_names_the_command_it_belongs_to(terminal: Terminal, shared_daemon: Daemon) -> None:
    name = user_of(shared_daemon, "quirin")
    terminal.open("q", (str(BIN / "chat"), "--identity", str(shared_daemon.identity(name))), columns=120)
    terminal.wait("q", "\u00b7 connected \u00b7")
    for line, error in (
        ("/whois nobody", "/whois: there is no user 'nobody'"),
        ("/j none", "/join: "),
    ):
        terminal.keys("q", "-l", line)
        terminal.keys("q", "Enter")
        terminal.wait("q", error)
