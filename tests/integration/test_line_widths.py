"""The line client on narrow terminals, during resizes, and with characters of uncertain width."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from chatctl.client import Client, read_identity
from tests.support.daemon import BIN, Daemon, wait_until
from tests.support.terminal import TMUX, Terminal

pytestmark = pytest.mark.skipif(TMUX is None, reason="tmux is not installed")

FAMILY = "\U0001f468\u200d\U0001f469\u200d\U0001f467"


@pytest.fixture
def terminal(tmp_path: Path, shared_daemon: Daemon) -> Iterator[Terminal]:
    terminal = Terminal(tmp_path, {**shared_daemon.environ, "XDG_STATE_HOME": str(tmp_path)})
    yield terminal
    terminal.close()


def open_chat(terminal: Terminal, daemon: Daemon, name: str, columns: int) -> None:
    daemon.add_user(name)
    command = (str(BIN / "chat"), "--identity", str(daemon.identity(name)))
    terminal.open(name, command, columns=columns, rows=30)
    terminal.wait(name, "\n #lobby ·")
    terminal.wait_for(name, r"-- #lobby: (.*\n)*#lobby> *\n")


@pytest.fixture
def alice(shared_daemon: Daemon) -> Iterator[Client]:
    with Client(read_identity(shared_daemon.identity("alice", "console")), live=False) as client:
        client.wait_connected(30)
        yield client


def resize(terminal: Terminal, name: str, columns: int) -> None:
    """Change the width and wait until the client has redrawn."""
    before = len(terminal.raw(name))
    terminal.resize(name, columns, 30)
    wait_until(lambda: len(terminal.raw(name)) > before, what=f"something drawn at {columns} columns")


def open_filled_chat(terminal: Terminal, daemon: Daemon, alice: Client, name: str) -> list[str]:
    """Open a chat and fill the terminal with messages; return them.

    With blank rows left, tmux would scroll the beginning of a rewrapped line off the screen.
    """
    open_chat(terminal, daemon, name, 80)
    messages = [f"line {number} for {name}" for number in range(35)]
    for line in messages:
        alice.send("#lobby", line).wait(30)
    terminal.wait(name, messages[-1])
    return messages


def test_a_resize_never_duplicates_a_long_input_line(
    terminal: Terminal, shared_daemon: Daemon, alice: Client
) -> None:
    messages = open_filled_chat(terminal, shared_daemon, alice, "max")
    draft = " ".join(f"word{number}" for number in range(40))
    terminal.keys("max", "-l", draft)
    for columns in (80, 41, 63, 30, 25, 100):
        if columns != 80:
            resize(terminal, "max", columns)
        terminal.keys("max", "-l", "!")
        draft += "!"
        draft_without_spaces = draft.replace(" ", "")
        wait_until(lambda: draft_without_spaces in "".join(terminal.text("max").split()), what=draft)  # noqa: B023 - called at once
        shown = terminal.text("max")
        assert shown.count("#lobby> ") == shown.count(" #lobby ·") == 1, shown
        assert [line for line in messages if shown.count(f"{line}\n") != 1] == [], shown


def test_a_resize_never_duplicates_a_shortened_input_line(
    terminal: Terminal, shared_daemon: Daemon, alice: Client
) -> None:
    messages = open_filled_chat(terminal, shared_daemon, alice, "moe")
    terminal.keys("moe", "-l", "some words " * 15)
    terminal.wait("moe", "words some words some")
    # The terminal still takes the row to be as long as before.
    terminal.keys("moe", *["BSpace"] * 11 * 13)
    terminal.wait_for("moe", r"\n#lobby> some words some words *\n( *\n)* #lobby ·")
    resize(terminal, "moe", 50)
    terminal.keys("moe", "-l", "end")
    terminal.wait_for("moe", r"\n#lobby> some words some words end *\n( *\n)* #lobby ·")
    shown = terminal.text("moe")
    assert shown.count("#lobby> ") == shown.count(" #lobby ·") == 1, shown
    assert [line for line in messages if shown.count(f"{line}\n") != 1] == [], shown


def test_a_terminal_of_20_columns_is_usable(terminal: Terminal, shared_daemon: Daemon, alice: Client) -> None:
    open_chat(terminal, shared_daemon, "kay", 20)
    alice.send("#lobby", f"families {FAMILY} {FAMILY} {FAMILY} {FAMILY} {FAMILY} and words of some length")
    # Names stay whole and continuation rows are indented, so that no body starts at the left edge.
    terminal.wait_for("kay", r"<alice\*>\n    families(.*\n)+?    some length\n")
    rows = terminal.rows("kay")
    first = next(n for n, row in enumerate(rows) if "families" in row)
    last = next(n for n, row in enumerate(rows) if "length" in row)
    assert all(row.startswith("    ") for row in rows[first : last + 1]), rows
    alice.send("@kay", "psst")
    terminal.wait_for("kay", r"@alice\s+<alice\*> psst\n")


def test_joined_emoji_do_not_displace_the_cursor(terminal: Terminal, shared_daemon: Daemon) -> None:
    open_chat(terminal, shared_daemon, "leo", 60)
    terminal.keys("leo", "-l", f"x{FAMILY} and \u2764\ufe0f and \U0001f1e9\U0001f1ea end")
    parts = FAMILY.replace("\u200d", "")
    terminal.wait_for("leo", rf"\n#lobby> x{parts} and \u2764 and DE end\n")
    for _ in range(3):
        terminal.keys("leo", "Left")
    terminal.keys("leo", "-l", "the ")
    terminal.wait_for("leo", rf"\n#lobby> x{parts} and \u2764 and DE the end *\n")
    terminal.keys("leo", "Home", "Delete")
    terminal.wait_for("leo", rf"\n#lobby> {parts} and \u2764 and DE the end *\n")
    terminal.keys("leo", "Enter")
    # The message is sent as it was typed.
    terminal.wait_for("leo", rf"<leo> {FAMILY} and \u2764\ufe0f and \U0001f1e9\U0001f1ea the end\n")
