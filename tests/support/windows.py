"""Windows of the desktop client under test: opened, typed into, read."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from chatctl.client import Client
from chatd.proto.events import Message
from tests.support.daemon import Daemon, wait_until
from tests.support.xvfb import Display, open_window, text_of

WAIT = 30.0
_TITLE = re.compile(r"^(?:\((\d+)\) )?(.*) - chatd$")


class Opened:
    """A window, by its X id, and the process behind it."""

    def __init__(self, screen: Display, process: subprocess.Popen[str], title: str, before: set[str]) -> None:
        self.screen = screen
        self.process = process
        self.id = screen.window(title, before)
        screen.focus(self.id)

    def at(self, room: str) -> None:
        """Wait until it shows a conversation, whatever is unread elsewhere."""
        wait_until(lambda: self.room == room, what=f"a window at {room}")

    def go(self, name: str) -> None:
        """Look at a conversation, by the keyboard: "lobby", "@bob"."""
        self.screen.focus(self.id)
        self.screen.keys("ctrl+k")
        self.screen.type(name)
        self.screen.keys("Return")
        self.at(name if name.startswith("@") else f"#{name}")

    @property
    def room(self) -> str:
        """The conversation in its title."""
        return _TITLE.sub(r"\2", self.screen.title(self.id))

    @property
    def unread(self) -> int:
        """The count in its title."""
        return int(_TITLE.sub(r"\1", self.screen.title(self.id)) or 0)

    def click_until(self, done: Callable[[], bool], x: int, ys: range) -> None:
        """Click at one place after the other until one of them had an effect."""
        # On a busy machine an effect may come after the next click undid it: hence several rounds.
        for y in [*ys] * 3:
            self.screen.click(self.id, x, y)
            with suppress(AssertionError):
                wait_until(done, seconds=1.0)
                return
        raise AssertionError(f"no click at x = {x}, y in {ys}, did it")

    def shows(self, text: str) -> str:
        """Wait until the message area has a text; all of it."""

        def has_it() -> str:
            shown = self.text()
            return shown if text in shown else ""

        found: str = wait_until(has_it, what=repr(text))
        return found

    def text(self) -> str:
        """What the message area has."""
        return text_of(self.screen, self.id)

    def say(self, text: str) -> None:
        """Type a line and press Enter."""
        self.screen.focus(self.id)
        self.screen.type(text)
        self.screen.keys("Return")

    def quit(self) -> str:
        """Close it; what it said on stderr."""
        self.screen.focus(self.id)
        self.screen.keys("ctrl+q")
        assert self.process.wait(WAIT) == 0
        assert self.process.stderr is not None
        return self.process.stderr.read()


@contextmanager
def opened(
    screen: Display, daemon: Daemon, user: str, *more: str, title: str = "chatd", device: str = "laptop"
) -> Iterator[Opened]:
    before = screen.windows(title)
    identity = str(daemon.identity(user, device))
    with started(screen, daemon.environ, "--identity", identity, *more) as process:
        yield Opened(screen, process, title, before)


@contextmanager
def started(screen: Display, environ: dict[str, str], *arguments: str) -> Iterator[subprocess.Popen[str]]:
    with open_window(screen, environ, *arguments) as process:
        try:
            yield process
        finally:
            process.kill()


def heard(client: Client, body: str) -> Message:
    """The message with this body, as soon as it comes."""
    while (event := client.next_event(WAIT)) is not None:
        if isinstance(event, Message) and event.body == body:
            return event
    raise AssertionError(f"{body!r} never came")
