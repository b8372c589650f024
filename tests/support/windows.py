"""Opens windows of the desktop client, types into them and reads them."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from chatctl.client import Client
from chatd.proto.events import Message
from tests.support.daemon import Daemon, wait_until
from tests.support.xvfb import Display, open_window, text_of

if TYPE_CHECKING:
    from chatctl.window.window import Window

# Opens a window in this process.
Opener = Callable[..., "Window"]
WAIT = 30.0
_TITLE = re.compile(r"^(?:\((\d+)\) )?(.*) - chatd$")


class ChatWindow:
    """A window, by its X id, and its process."""

    def __init__(self, screen: Display, process: subprocess.Popen[str], title: str, before: set[str]) -> None:
        """Wait for a window with this title that is not one of ``before``, and focus it."""
        self.screen = screen
        self.process = process
        self.id = screen.window(title, before)
        screen.focus(self.id)

    def wait_for_room(self, room: str) -> None:
        """Wait until the window shows a conversation."""
        wait_until(lambda: self.room == room, what=f"a window at {room}")

    def go_to(self, name: str) -> None:
        """Go to a conversation by keyboard: "lobby" or "@bob"."""
        self.screen.focus(self.id)
        self.screen.keys("ctrl+k")
        self.screen.type(name)
        self.screen.keys("Return")
        self.wait_for_room(name if name.startswith("@") else f"#{name}")

    @property
    def room(self) -> str:
        """The conversation named in the title."""
        return _TITLE.sub(r"\2", self.screen.title(self.id))

    @property
    def unread(self) -> int:
        """The unread count in the title."""
        return int(_TITLE.sub(r"\1", self.screen.title(self.id)) or 0)

    def click_until(self, done: Callable[[], bool], x: int, ys: range) -> None:
        """Click at each of ``ys`` until one click has an effect."""
        # On a busy machine the next click may undo an effect before it is seen: try several rounds.
        for y in [*ys] * 3:
            self.screen.click(self.id, x, y)
            with suppress(AssertionError):
                wait_until(done, seconds=1.0)
                return
        raise AssertionError(f"no click at x = {x}, y in {ys} had an effect")

    def wait_for_text(self, text: str) -> str:
        """Wait until the message area contains a text; return the whole area."""

        def area() -> str:
            shown = self.text()
            return shown if text in shown else ""

        found: str = wait_until(area, what=repr(text))
        return found

    def text(self) -> str:
        """Return the text of the message area."""
        return text_of(self.screen, self.id)

    def say(self, text: str) -> None:
        """Type a line and press Enter."""
        self.screen.focus(self.id)
        self.screen.type(text)
        self.screen.keys("Return")

    def quit(self) -> str:
        """Close the window; return its stderr."""
        self.screen.focus(self.id)
        self.screen.keys("ctrl+q")
        assert self.process.wait(WAIT) == 0
        assert self.process.stderr is not None
        return self.process.stderr.read()


@contextmanager
def chat_window(
    screen: Display,
    daemon: Daemon,
    user: str,
    room: str = "lobby",
    device: str = "laptop",
    environ: dict[str, str] | None = None,
) -> Iterator[ChatWindow]:
    """Open a user's window in a room and wait for it; kill its process at the end."""
    arguments = ("--identity", str(daemon.identity(user, device)), "--room", room)
    with titled_window(screen, environ or daemon.environ, "chatd", *arguments) as window:
        window.wait_for_room(f"#{room}")
        yield window


@contextmanager
def titled_window(
    screen: Display, environ: dict[str, str], title: str, *arguments: str
) -> Iterator[ChatWindow]:
    """Run `chat window` and wait for a window with this title; kill the process at the end."""
    before = screen.windows(title)
    with open_window(screen, environ, *arguments) as process:
        try:
            yield ChatWindow(screen, process, title, before)
        finally:
            process.kill()


def wait_for_message(client: Client, body: str) -> Message:
    """Return the message with this body once it arrives."""
    while (event := client.next_event(WAIT)) is not None:
        if isinstance(event, Message) and event.body == body:
            return event
    raise AssertionError(f"{body!r} did not arrive")


def draw(window: Window) -> None:
    """Let a window of this process draw everything that has changed."""
    for _ in range(3):
        window.draw()
        window.root.update()
