"""Record the conversation shown in the README: ``python -m tests.tools.recording`` (needs tmux).

It uses a real daemon, three real clients and a real kill -9. Only the timing is edited: waits are
shortened, text to read is held, and the supervisor is stopped while the mark of the unsent message shows.
"""

from __future__ import annotations

import os
import random
import signal
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.support.daemon import BIN, TIMEOUT_SECONDS, Daemon, running, wait_until
from tests.support.rendered_screens import Row, Screen
from tests.support.terminal import Terminal
from tests.tools.film import Film, Frame

IMAGES = Path(__file__).parents[2] / "docs" / "images"
CAST, PICTURE = IMAGES / "recording.cast", IMAGES / "recording.svg"
TITLE = "chatd: a conversation that goes on while its server is killed"
ALICE = "alice, an admin, at the server"
COLUMNS, ROWS = 80, 18
KEY_SECONDS = 0.06
# Each screen seen during a wait is shown for at most this long.
WAIT_SECONDS = 0.6
LAST_SECONDS = 4.5


class Recorder:
    """Records the terminal of ``person``. ``_now`` is the time in the film, not on the clock."""

    def __init__(self, terminal: Terminal, person: str = "alice", caption: str = ALICE) -> None:
        self.terminal = terminal
        self.person = person
        self.caption = self._usual_caption = caption
        self._frames: list[Frame] = []
        self._now = 0.0
        self._random = random.Random(1)

    def film(self) -> Film:
        """Return the recording."""
        return Film(tuple(self._frames), round(self._now, 2), COLUMNS, ROWS)

    def hold(self, seconds: float) -> None:
        """Show the current screen for a while."""
        self._add(self._stable_screen(), seconds)

    def type(self, text: str, *, enter: bool = True) -> None:
        """Type a text, key by key."""
        for key in text:
            self.terminal.keys(self.person, "-l", key)
            self._add(self._stable_screen(), KEY_SECONDS * self._random.uniform(0.6, 1.4))
        self.hold(0.35)
        if enter:
            self.terminal.keys(self.person, "Enter")

    def paste(self, text: str) -> None:
        """Paste a line and press Enter."""
        self.terminal.keys(self.person, "-l", text)
        self.hold(1.6)
        self.terminal.keys(self.person, "Enter")

    def wait(self, *texts: str) -> None:
        """Record until all texts are on the screen."""
        deadline = time.monotonic() + TIMEOUT_SECONDS
        while True:
            began = time.monotonic()
            screen = self._stable_screen()
            self._add(screen, min(time.monotonic() - began, WAIT_SECONDS))
            shown = "\n".join(_text(row) for row in screen.rows)
            if all(text in shown for text in texts):
                return
            assert time.monotonic() < deadline, f"{texts} did not appear:\n{shown}"

    def _stable_screen(self) -> Screen:
        """Capture the screen when two captures agree, so that it is never half drawn."""
        before = self.terminal.screen(self.person)
        while True:
            time.sleep(0.03)
            screen = self.terminal.screen(self.person)
            if screen == before:
                return screen
            before = screen

    def _add(self, screen: Screen, seconds: float) -> None:
        last = self._frames[-1] if self._frames else None
        if last is None or (last.screen, last.caption) != (screen, self.caption):
            alert = self.caption != self._usual_caption
            self._frames.append(Frame(round(self._now, 2), screen, self.caption, alert))
        self._now += seconds


def _text(row: Row) -> str:
    text = ""
    for column, piece, _ in row:
        text = text.ljust(column) + piece
    return text


def say(terminal: Terminal, name: str, text: str) -> None:
    """Send a message as bob or carol."""
    terminal.keys(name, "-l", text)
    terminal.keys(name, "Enter")


@contextmanager
def stopped(pid: int) -> Iterator[None]:
    """Stop a process meanwhile."""
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def converse(record: Recorder, daemon: Daemon) -> None:
    """Play the script of the recording."""
    terminal = record.terminal
    record.hold(0.6)
    record.type("chat")
    record.wait("· connected ·")
    record.hold(1.4)
    say(terminal, "bob", "db1 has been swapping since 14:02, both replicas are behind")
    record.wait("replicas are behind")
    record.hold(1.2)
    record.type("who is on it?")
    record.wait("> who is on it?")
    record.hold(0.8)
    say(terminal, "bob", "me. moving the load over, @alice can you watch the graphs?")
    record.wait("watch the graphs?")
    record.hold(1.6)
    record.type("/who")
    record.wait("carol")
    record.hold(1.8)
    record.type("watching. latency is coming down", enter=False)
    record.caption = "kill -9: the process that owns the log is gone"
    hub, supervisor = daemon.child("hub")["pid"], daemon.status()["pid"]
    with stopped(supervisor):  # else the new hub answers before anybody has seen the mark
        os.kill(hub, signal.SIGKILL)
        record.hold(0.8)
        terminal.keys("alice", "Enter")
        record.wait("... #lobby watching")
        record.hold(1.2)
    say(terminal, "bob", "good. replica 1 has caught up")
    say(terminal, "carol", "customers can log in again")
    record.wait("log in again", "has caught up", "] <alice*> watching. latency")
    wait_until(lambda: daemon.child("hub").get("pid") not in (None, hub), what="the new hub")
    record.caption = "a new hub: nothing lost, nothing duplicated"
    record.hold(2.4)
    say(terminal, "carol", "SELECT name, card FROM customers")
    record.wait("card FROM")
    record.hold(1.2)
    record.caption = ALICE
    record.type("/kick carol that was the wrong window, breathe")
    record.wait("was kicked by")
    record.hold(1.6)
    say(terminal, "bob", "db1 is back, all green")
    record.wait("all green")
    record.hold(LAST_SECONDS)


def record(folder: Path) -> Film:
    """Start the daemon and the clients in ``folder``, and record the script."""
    with running(folder / "home") as daemon:
        environ = {k: v for k, v in daemon.environ.items() if k != "NO_COLOR"}
        environ |= {"XDG_STATE_HOME": str(folder), "PATH": f"{BIN}:{os.environ['PATH']}"}
        environ |= {"PS1": "$ ", "CHATD_HOME": str(daemon.home)}
        terminal = Terminal(folder, environ)
        try:
            for name in ("bob", "carol"):
                command = (str(BIN / "chat"), "--identity", str(daemon.add_user(name)))
                terminal.open(name, command)
                terminal.wait(name, "· connected ·")
            terminal.open("alice", ("sh",), columns=COLUMNS, rows=ROWS)
            terminal.wait("alice", "$")
            recorder = Recorder(terminal)
            converse(recorder, daemon)
            return recorder.film()
        finally:
            terminal.close()


def main() -> None:
    """Record, and write both files."""
    with tempfile.TemporaryDirectory() as folder:
        film = record(Path(folder))
    film.save(CAST, PICTURE, TITLE)


if __name__ == "__main__":
    main()
