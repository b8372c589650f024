"""What a terminal sends in the middle of a line, and a defect, leave the typed text and the talk alone."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.daemon import BIN, Daemon
from tests.support.terminal import Terminal

# A screen whose completion has a defect.
DEFECT = """
import asyncio
from prompt_toolkit.completion import Completer
from chatctl.terminal.screen import Screen

class Broken(Completer):
    def get_completions(self, document, complete_event):
        raise ValueError("no such thing")

screen = Screen(
    prompt=lambda pasting: [("", "> ")],
    status=lambda: [("", "ready")],
    on_line=lambda line, pasted: screen.show([[("", f"got {line}")]]),
    completer=Broken(),
)
asyncio.run(screen.run())
"""


@pytest.fixture
def terminal(tmp_path: Path) -> Iterator[Terminal]:
    terminal = Terminal(tmp_path, {**os.environ, "HOME": str(tmp_path)})
    yield terminal
    terminal.close()


def test_colours_of_an_unbracketed_paste_do_not_end_the_line(
    terminal: Terminal, shared_daemon: Daemon
) -> None:
    shared_daemon.add_user("fay")
    terminal.open("fay", [str(BIN / "chat"), "--identity", str(shared_daemon.identity("fay"))])
    terminal.wait("fay", "· connected ·")
    for text in (
        "one \x1b[31mERROR\x1b[0m end",
        "two \x1b[1;31mERROR\x1b[5m end",
        "three \x1b[38;5;196mERROR\x1b[m end",
        "four \x1b[<3mERROR\x1b[;;;m end",
    ):
        terminal.keys("fay", "-l", text)
        terminal.keys("fay", "Enter")
        terminal.wait_for("fay", rf"<fay> {text.split()[0]} .*ERROR.* end\n")
    assert "Unhandled" not in terminal.text("fay")


def test_a_defect_is_told_in_one_line_and_the_typed_text_stays(terminal: Terminal) -> None:
    terminal.open("bug", [sys.executable, "-c", DEFECT])
    terminal.wait("bug", "ready")
    terminal.keys("bug", "-l", "half a thought")
    terminal.keys("bug", "Tab")
    terminal.wait("bug", "error: this is a bug: ValueError: no such thing.")
    terminal.wait("bug", "> half a thought")
    terminal.keys("bug", "Enter")
    terminal.wait("bug", "got half a thought")
    assert "Traceback (" not in terminal.text("bug")
