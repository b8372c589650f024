"""Drivers with a screen: the line client in tmux, the window on its own X server."""

from __future__ import annotations

import re
import shutil
import subprocess
from abc import abstractmethod
from contextlib import ExitStack
from pathlib import Path
from typing import ClassVar

from tests.conformance.driver import TOKEN, Driver, ShownMessage, parse_lines
from tests.support.daemon import BIN, Daemon, wait_until
from tests.support.terminal import Terminal
from tests.support.xvfb import Display, copied_text, display, open_window, text_of


class TypedDriver(Driver):
    """A client for people; everything is done by typing commands."""

    @abstractmethod
    def type_line(self, line: str) -> None:
        """Type a line and press Enter."""

    @abstractmethod
    def wait_at(self, where: str) -> None:
        """Wait until a conversation is current."""

    @abstractmethod
    def paste(self, lines: list[str]) -> None:
        """Send one message of several lines, after /paste."""

    @abstractmethod
    def search(self, query: str, room: str) -> None:
        """Find the only message that matches, which is in a room."""

    @abstractmethod
    def show_whole(self, seq: int, end: str) -> None:
        """Show a whole snippet, which ends with a text."""

    @abstractmethod
    def wait_end(self) -> int:
        """Wait until the client has ended; return its exit code."""

    def send_action(self, room: str, body: str) -> None:
        self.type_line(f"/me {body}")

    def away(self, why: str) -> None:
        self.type_line(f"/away {why}")

    def leave(self, room: str) -> None:
        self.type_line("/part")


class LineDriver(TypedDriver):
    """The line client on a real terminal."""

    name = "line"

    def __init__(self, daemon: Daemon, user: str, folder: Path) -> None:
        super().__init__(daemon, user, folder)
        self._terminal = Terminal(folder, {**daemon.environ, "XDG_STATE_HOME": str(folder)})
        self._opened = False
        self._rung = 0

    def enter(self, where: str) -> None:
        if where.startswith("@"):
            return  # direct messages are printed in every room
        if not self._opened:
            self._opened = True
            command = (str(BIN / "chat"), "--identity", str(self.identity), "--room", where)
            self._terminal.open("chat", command, columns=100)
        else:
            self.type_line(f"/join {where}")
        self._terminal.wait_for("chat", rf"-- {where}\b.*--(.*\n)*{where}> *\n")
        self._terminal.wait("chat", "· connected ·")

    def say(self, where: str, body: str) -> None:
        self.type_line(f"/msg {where[1:]} {body}" if where.startswith("@") else body)

    def shown(self, where: str) -> list[ShownMessage]:
        label = where if where.startswith("@") else ""
        # Without the dated lines of /history, which are printed below newer ones.
        lines = re.sub(r"(?m)^\[\d{4}-.*$", "", self._terminal.text("chat")).splitlines()
        return parse_lines(lines, label)

    def history(self, room: str) -> list[ShownMessage]:
        self.type_line("/history 500")
        self._terminal.wait("chat", "there is nothing earlier")
        earlier = re.findall(r"(?m)^\[\d{4}-.*$", self._terminal.text("chat"))
        return parse_lines(earlier) + self.shown(room)

    def output(self) -> str:
        return self._terminal.text("chat")

    def wait_at(self, where: str) -> None:
        self._terminal.wait_for("chat", rf"{where}> *\n")

    def paste(self, lines: list[str]) -> None:
        self.type_line("/paste")
        self._terminal.wait("chat", "Ctrl-D sends")
        for number, line in enumerate(lines):
            self._terminal.keys("chat", *(["Enter"] if number else []))
            self._terminal.keys("chat", "-l", line)
        self._terminal.keys("chat", "C-d")

    def search(self, query: str, room: str) -> None:
        self.type_line(f"/search {query}")
        self._terminal.wait_for("chat", rf"Z\] {room} <\w+> {query}.*\n-- 1 found --")

    def show_whole(self, seq: int, end: str) -> None:
        self.type_line(f"/show {seq}")
        self._terminal.wait("chat", end)

    def wait_end(self) -> int:
        return self._terminal.wait_end("chat")

    def alerted(self) -> bool:
        return b"\x07" in self._terminal.raw("chat")

    def close(self) -> None:
        self._terminal.close()

    def type_line(self, line: str) -> None:
        self._terminal.keys("chat", "-l", line)
        self._terminal.keys("chat", "Enter")


class WindowDriver(TypedDriver):
    """The window, used by keyboard and read from its message area."""

    name = "window"
    _NAMES: ClassVar[tuple[str, ...]] = ("bob",)

    def __init__(self, daemon: Daemon, user: str, folder: Path) -> None:
        super().__init__(daemon, user, folder)
        self._stack = ExitStack()
        self._screen: Display = self._stack.enter_context(display())
        self._window = ""
        self._process: subprocess.Popen[str] | None = None
        self._told = ""

    def enter(self, where: str) -> None:
        if not self._window:
            arguments = ("--identity", str(self.identity), "--room", where)
            environ = {**self.daemon.environ, "XDG_STATE_HOME": str(self.folder)}
            self._process = open_window(self._screen, environ, *arguments)
            self._window = self._screen.window("chatd", set())
            self._screen.focus(self._window)
        elif where not in self._title().split():
            self.type_line(f"/msg {where[1:]}" if where.startswith("@") else f"/join {where}")
        self.wait_at(where)

    def say(self, where: str, body: str) -> None:
        self.enter(where)
        self.type_line(body)

    def shown(self, where: str) -> list[ShownMessage]:
        self.enter(where)
        return self._read(text_of(self._screen, self._window))

    def history(self, room: str) -> list[ShownMessage]:
        self.enter(room)

        def scrolled() -> str:
            self._screen.focus(self._window)
            self._screen.keys(*["Prior"] * 10)
            text = text_of(self._screen, self._window)
            return text if f"Beginning of {room}" in text else ""

        return self._read(wait_until(scrolled, what="the beginning of the room"))

    def output(self) -> str:
        return text_of(self._screen, self._window)

    def wait_at(self, where: str) -> None:
        def shown() -> bool:
            title = self._title()
            # The title of a group has spaces.
            return where in title if " " in where else where in title.split()

        wait_until(shown, what=f"the window to show {where}")

    def paste(self, lines: list[str]) -> None:
        self.type_line("/paste")
        wait_until(lambda: "begins a new line" in self.output(), what="the note on pasting")
        for number, line in enumerate(lines):
            self._screen.keys(*(["shift+Return"] if number else ["Escape"]))
            self._screen.type(line)
        self._screen.keys("Return")

    def search(self, query: str, room: str) -> None:
        self.type_line(f"/search {query}")

        def chosen() -> bool:
            self._screen.keys("Down", "Return")
            return room in self._title().split()

        wait_until(chosen, what=f"the window to show {query} in {room}")

    def show_whole(self, seq: int, end: str) -> None:
        def copied() -> bool:
            # The panel's other button copies the text. Keys that come before the panel do something else.
            self.type_line(f"/show {seq}")
            self._screen.keys("Tab", "space")
            return copied_text(self._screen).endswith(end)

        wait_until(copied, what="the panel with the text")
        self._screen.keys("Escape")

    def wait_end(self) -> int:
        assert self._process is not None
        return self._process.wait(30)

    def close(self) -> None:
        if self._process is not None:
            self._process.kill()
            with self._process:
                pass
        self._stack.close()

    def type_line(self, line: str) -> None:
        self._screen.focus(self._window)
        self._screen.keys("Escape")
        self._screen.type(line)
        self._screen.keys("Return")

    def _title(self) -> str:
        return self._screen.title(self._window)

    def _read(self, text: str) -> list[ShownMessage]:
        found, who = [], ""
        for line in text.splitlines():
            if heading := re.fullmatch(rf"({self.user}|bob)(?: \w+)?(?:  \d\d:\d\dZ)?", line):
                who = heading[1]
            elif action := re.fullmatch(r"\* (\w+) (.*?)  \d\d:\d\dZ", line):
                if TOKEN.search(action[2]):
                    found.append(ShownMessage(action[1], "action", action[2]))
            elif TOKEN.search(line):
                found.append(ShownMessage(who, "text", line))
        return found


def missing_terminal() -> str:
    """Return why the line client cannot be tested here; "" if it can."""
    return "" if shutil.which("tmux") else "tmux is not installed"
