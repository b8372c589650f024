"""Take the pictures of the window in the documentation: ``python -m tests.tools.pictures``.

It needs Xvfb and xdotool. It uses a real daemon and six real clients; the pictures are what the virtual
screen shows.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import NamedTuple

from chatctl.client import Client, read_identity
from chatctl.window.status_line import ALERT_SECONDS
from tests.support.daemon import TIMEOUT_SECONDS, Daemon, running
from tests.support.framebuffer import read_screen
from tests.support.windows import ChatWindow, titled_window
from tests.support.xvfb import Display, display

IMAGES = Path(__file__).parents[2] / "docs" / "images"
LARGE, FIRST_RUN = (1280, 800), (720, 448)
# Nothing outside tells that a window has drawn everything.
DRAWN_SECONDS = 3.0
ADMIN, PEOPLE = "alice", ("bob", "carol", "dana", "eve", "frank")
INCIDENT = "#incident"
ROOMS = {
    INCIDENT: "db1 is swapping; both replicas are behind",
    "#deploys": "Releases and rollbacks",
    "#random": "",
    "#security": "Advisories and patches",
    "#night-shift": "Who is on call, and until when",
}
GRAPH = """```
$ free -m
               total   used   free
Mem:           64215  63110    201
Swap:           8191   7920    271
```"""
LONG = (
    "The long version: the nightly vacuum overlapped with an import that was started by hand, so the working "
    "set no longer fits and every query walks through swap. I have paused the import; it resumes at night."
)


class Shot(NamedTuple):
    """One picture: the size of the window, and what is pressed before."""

    name: str
    size: tuple[int, int]
    act: Callable[[ChatWindow], None] = lambda _: None


def searched(window: ChatWindow) -> None:
    """Search, and select the second result."""
    window.screen.keys("ctrl+f")
    window.screen.type("replica")
    window.screen.keys("Return")
    time.sleep(1)
    window.screen.keys("Down", "Down")


def going(window: ChatWindow) -> None:
    """Open the list to go somewhere."""
    window.screen.keys("ctrl+k")
    window.screen.type("d")


SHOTS = (
    Shot("window-narrow", (420, 640)),
    Shot("window-search", (1000, 640), searched),
    Shot("window-go", (1000, 640), going),
)


def talk(stack: ExitStack, daemon: Daemon) -> dict[str, Client]:
    """Let six people talk; return their clients, which stay connected."""
    clients = {}
    for user in (ADMIN, *PEOPLE):
        device = "console" if user == ADMIN else "laptop"
        client = Client(read_identity(daemon.identity(user, device)), state=daemon.home / "states" / user)
        clients[user] = stack.enter_context(client)
        client.wait_connected(TIMEOUT_SECONDS)
    for room, topic in ROOMS.items():
        clients[ADMIN].request("create", room=room, topic=topic)
        for user in PEOPLE[:4]:
            clients[user].request("join", room=room)

    def say(
        user: str, text: str, to: str = INCIDENT, *, kind: str = "text", reply_to: int | None = None
    ) -> int:
        return clients[user].send(to, text, kind=kind, reply_to=reply_to).wait(TIMEOUT_SECONDS).seq

    first = say("alice", "db1 has been swapping for an hour, who is on it?")
    say("bob", "me. moving the load over, five minutes")
    say("bob", "graphs: https://grafana.example.net/d/db1")
    say("carol", LONG)
    say("carol", GRAPH)
    say("dana", "thanks! can you try `vm.swappiness=1` first?", reply_to=first)
    say("carol", "alice: your turn, the failover needs your key", reply_to=first)
    say("eve", "is watching the graphs", kind="action")
    say("alice", "starting the failover now")
    say("alice", "two minutes of read-only, then we are on db2")
    say("bob", "replica 1 has caught up, replica 2 is a minute behind")
    say("alice", "runbook?", "@bob")
    say("carol", "thanks for staying late", "@alice")
    clients["dana"].request("away", text="lunch")
    return clients


def make_unread(clients: dict[str, Client]) -> None:
    """Send what the pictures show as unread: after alice's window has seen the rest."""
    for number in range(4):
        clients["dana"].send("#deploys", f"build {number} is green").wait(TIMEOUT_SECONDS)
    clients["eve"].send("#random", "alice, lunch?").wait(TIMEOUT_SECONDS)
    clients["bob"].send("@alice", "can you check my runbook before you start?").wait(TIMEOUT_SECONDS)


def take(screen: Display, folder: Path, name: str, size: tuple[int, int]) -> None:
    """Write the picture of the window in the corner; the pointer is outside."""
    screen.xdotool("mousemove", str(size[0] + 60), str(size[1] + 60))
    time.sleep(DRAWN_SECONDS)
    (IMAGES / f"{name}.png").write_bytes(read_screen(folder).crop(0, 0, *size).png())


def resize(screen: Display, window: ChatWindow, size: tuple[int, int]) -> None:
    """Put a window into the corner, with this size."""
    screen.xdotool("windowmove", window.id, "0", "0", "windowsize", "--sync", window.id, *map(str, size))
    screen.focus(window.id)
    time.sleep(DRAWN_SECONDS)


@contextmanager
def alices_window(screen: Display, daemon: Daemon, size: tuple[int, int]) -> Iterator[ChatWindow]:
    """Open alice's window."""
    options = ("--identity", str(daemon.identity(ADMIN, "console")), "--room", INCIDENT, "--scale", "1")
    with titled_window(screen, daemon.environ, "chatd", *options) as window:
        window.wait_for_room(INCIDENT)
        resize(screen, window, size)
        yield window


def shoot_first_run(screen: Display, folder: Path, daemon: Daemon) -> None:
    """Write the picture of the first run."""
    environ = {**daemon.environ, "XDG_CONFIG_HOME": str(folder / "none"), "HOME": str(folder)}
    with titled_window(screen, environ, "Welcome", "--scale", "1") as window:
        resize(screen, window, FIRST_RUN)
        take(screen, folder, "window-first-run", FIRST_RUN)


def main() -> None:
    """Take all pictures."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        daemon = stack.enter_context(running(folder / "home"))
        for user in PEOPLE:
            daemon.add_user(user, "guest" if user == "frank" else "user")
        screen = stack.enter_context(display(1400, 1000, picture=folder))
        clients = talk(stack, daemon)
        shoot_first_run(screen, folder, daemon)
        # The dark one last: a window remembers its palette.
        for shot in SHOTS:
            with alices_window(screen, daemon, shot.size) as window:
                shot.act(window)
                take(screen, folder, shot.name, shot.size)
        with alices_window(screen, daemon, LARGE) as window:
            make_unread(clients)
            time.sleep(ALERT_SECONDS)
            take(screen, folder, "window-light", LARGE)
            window.screen.keys("ctrl+t")
            take(screen, folder, "window-dark", LARGE)


if __name__ == "__main__":
    main()
