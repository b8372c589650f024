"""Kicks, bans, redactions and expired certificates in the window: real daemon, real X server."""

from __future__ import annotations

import gc
import os
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from chatctl.client import Client, read_identity
from chatctl.window.controller import Controller
from chatd.pki.authority import Authority
from chatd.pki.identity import write_identity
from tests.support.certificates import DEVICE, forge, signer
from tests.support.daemon import Daemon, wait_until
from tests.support.windows import WAIT, chat_window, titled_window
from tests.support.xvfb import Display, missing, open_window

if TYPE_CHECKING:
    from chatctl.window.window import Window

    Opener = Callable[[Callable[[], Client]], Window]

tk = pytest.importorskip("tkinter")

pytestmark = pytest.mark.skipif(bool(missing()), reason=f"windows cannot be tested here: {missing()}")


def test_a_kicked_user_sees_by_whom_and_why(screen: Display, daemon: Daemon, bob: Client) -> None:
    bob.request("create", room="#garden")
    with chat_window(screen, daemon, "carol", room="garden") as window:
        window.wait_for_text("carol joined #garden")
        daemon.chatctl("kick", "carol", "--room", "garden", "--reason", "trod on flowers", "--yes")
        window.wait_for_room("#lobby")
        window.wait_for_text("you were removed from #garden by alice: trod on flowers\n")
        daemon.chatctl("kick", "carol", "--reason", "and again", "--yes")
        wait_until(lambda: online(bob, "carol") == "offline", what="the end of the session")
        # The window waits for the end of the kick; nobody has to open it again.
        daemon.chatctl("unban", "carol")
        window.say("/reconnect")
        wait_until(lambda: online(bob, "carol") == "online", what="the new session")
        bob.send("#lobby", "welcome back").wait(WAIT)
        window.wait_for_text("welcome back")
        window.say("/kick")
        window.wait_for_text("/kick needs NAME")
        window.say("/kick bob")
        window.wait_for_text("--\t/kick: the role user may not do this")
        window.quit()


def online(client: Client, user: str) -> object:
    return client.request("whois", user=user)["state"]


def test_other_members_see_a_kick_and_a_ban(screen: Display, daemon: Daemon, bob: Client) -> None:
    with chat_window(screen, daemon, "carol") as window:
        window.wait_for_text("bob")
        for command, options in (("kick", ()), ("ban", ("--reason", "rough words"))):
            with Client(read_identity(daemon.identity("bob"))) as again:
                again.wait_connected(WAIT)
                daemon.chatctl(command, "bob", *options, "--yes")
            daemon.chatctl("unban", "bob")
        assert "bob was kicked by alice\n" in window.wait_for_text("bob was banned by alice: rough words\n")
        window.quit()


@pytest.fixture
def open_window_here(lasting_screen: Display, tmp_path: Path) -> Iterator[Opener]:
    """Opens windows in this process, for what cannot be read from outside, such as lists."""
    from chatctl.window.drafts import Drafts
    from chatctl.window.theme import Theme
    from chatctl.window.window import Window

    windows: list[Window] = []

    def start(connect: Callable[[], Client]) -> Window:
        root = tk.Tk(screenName=lasting_screen.name)
        control = Controller(connect, "#lobby")
        theme = Theme(root, scale=None, environ=os.environ)
        windows.append(Window(root, control, theme, Drafts(tmp_path), dark=False, notify=False))
        control.start()
        return windows[-1]

    yield start
    while windows:
        window = windows.pop()
        window.control.network.close()
        window.root.destroy()
        del window
    # Collect now: Tk's variables must not be collected on another thread.
    gc.collect()


def expired(path: Path, daemon: Daemon) -> Path:
    """Write an expired identity of bob's."""
    authority = Authority.load(daemon.home / "certs")
    issued = forge(signer(authority), DEVICE, end=-timedelta(minutes=30))
    names = {"instance": "lab", "user": "bob", "device": "laptop"}
    write_identity(path, issued, authority.certificate, servers=[f"127.0.0.1:{daemon.port}"], **names)
    return path


def iterate(window: Window) -> bool:
    """Run one iteration of the window's loop. Return True, for use in conditions."""
    window.control.network.poll()
    window.draw()
    window.root.update()
    return True


def test_redacted_messages_disappear_from_the_search_panel(
    daemon: Daemon, bob: Client, open_window_here: Opener
) -> None:
    from chatctl.window.search_panel import SearchPanel

    window = open_window_here(lambda: Client(read_identity(daemon.identity("carol"))))
    wait_until(lambda: iterate(window) and "bob" in window.model.here.members, what="the members of the room")

    def shows(results: list[str]) -> bool:
        iterate(window)
        assert isinstance(window.dialogs.panel, SearchPanel)
        items = window.dialogs.panel.list.get_children()
        return [window.dialogs.panel.list.item(item, "text").strip() for item in items] == results

    seqs = [bob.send("#lobby", f"thimble {number}").wait(WAIT).seq for number in range(3)]
    window.search("thimble")
    wait_until(
        lambda: shows([f"bob: \u00abthimble\u00bb {number}" for number in (2, 1, 0)]), what="the results"
    )
    panel = window.dialogs.panel
    assert isinstance(panel, SearchPanel)
    panel.list.focus_set()
    panel.list.focus(str(seqs[1]))
    panel.list.selection_set(str(seqs[1]))
    daemon.chatctl("redact", "lobby", str(seqs[1]), "--yes")
    wait_until(
        lambda: shows(["bob: \u00abthimble\u00bb 2", "bob: \u00abthimble\u00bb 0"]), what="one result less"
    )
    # The next result is selected, so that the arrow keys keep working.
    assert (panel.list.focus(), panel.list.selection()) == (str(seqs[0]), (str(seqs[0]),))
    for seq in (seqs[0], seqs[2]):
        daemon.chatctl("redact", "lobby", str(seq), "--yes")
    wait_until(lambda: shows([]), what="an empty list")
    panel.run()
    bob.send("#lobby", "thimble 3").wait(WAIT)
    panel.run()
    wait_until(lambda: shows(["bob: \u00abthimble\u00bb 3"]), what="the new result")


def test_members_are_grey_while_there_is_no_connection(daemon: Daemon, open_window_here: Opener) -> None:
    window = open_window_here(lambda: Client(read_identity(daemon.identity("carol"))))
    rows = window.layout.members.rows

    def shows(style: str, heading: str) -> bool:
        """Return whether carol's item has this style, and the list a heading with this text."""
        iterate(window)
        found = str(window.layout.members.heading.cget("text"))
        return rows.exists("carol") and rows.item("carol").tag == style and heading in found

    wait_until(lambda: shows("", "Members: "), what="carol in the list")
    daemon.chatd("stop")
    wait_until(lambda: shows("quiet", "Members as of "), what="a grey list")
    daemon.start()
    wait_until(lambda: shows("", "Members: "), what="the current list")


def test_an_expired_certificate_is_explained(
    daemon: Daemon, tmp_path: Path, open_window_here: Opener
) -> None:
    files = [expired(tmp_path / "expired.pem", daemon), daemon.identity("carol")]
    window = open_window_here(lambda: Client(read_identity(files.pop(0))))
    # The server refuses it after the client has finished its handshake.
    wait_until(lambda: iterate(window) and window.model.connection == "ended", what="the connection to end")
    iterate(window)
    shown = window.messages.text.get("1.0", "end")
    assert "the connection ended: your certificate expired on " in shown
    assert "; ask an admin for a new identity file (" in shown
    # The next read of the file finds a valid identity.
    window.connect_now()
    wait_until(lambda: iterate(window) and window.model.connection == "connected", what="a connection")


def test_an_expired_identity_is_asked_for_again(screen: Display, daemon: Daemon, tmp_path: Path) -> None:
    old = expired(tmp_path / "old.pem", daemon)
    named = open_window(screen, daemon.environ, "--identity", str(old))
    _, stderr = named.communicate(timeout=60)
    assert (named.returncode, stderr.count("\n")) == (4, 1)
    assert "your certificate expired on " in stderr
    assert "ask an admin for a new identity file" in stderr
    config = tmp_path / "config" / "chatd"
    config.mkdir(parents=True)
    old.rename(config / "identity.pem")
    daemon.chatd("user", "add", "grace", "--device", "pad", "--out", str(tmp_path / "grace.pem"))
    environ = {**daemon.environ, "XDG_CONFIG_HOME": str(config.parent), "HOME": str(tmp_path)}
    with titled_window(screen, environ, "Welcome") as window:

        def accepted() -> bool:
            """Type until it works: nothing shows when the window has the keyboard."""
            screen.focus(window.id)
            screen.keys("ctrl+a")
            screen.type(str(tmp_path / "grace.pem"))
            screen.keys("Return")
            with suppress(AssertionError):
                wait_until(lambda: window.room == "#lobby", seconds=8.0)
            return window.room == "#lobby"

        wait_until(accepted, seconds=60.0, what="a window at #lobby")
        window.wait_for_text("grace joined #lobby")
    assert read_identity(config / "identity.pem").user == "grace"
    assert (config / "identity.pem.old").exists()
