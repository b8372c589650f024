"""How a room, a session, a message or a certificate ends in the window: real daemon, real X server."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from chatctl.client import Client, read_identity
from chatctl.client.window.control import Control
from tests.support.daemon import Daemon, wait_until
from tests.support.windows import WAIT, opened
from tests.support.xvfb import Display, missing

if TYPE_CHECKING:
    from chatctl.client.window.app import Window

tk = pytest.importorskip("tkinter")

pytestmark = pytest.mark.skipif(bool(missing()), reason=f"windows cannot be tested here: {missing()}")


def test_who_is_put_out_is_told_by_whom_and_why(screen: Display, daemon: Daemon, bob: Client) -> None:
    bob.request("create", room="#garden")
    with opened(screen, daemon, "carol", "--room", "garden") as window:
        window.at("#garden")
        window.shows("carol joined #garden")
        daemon.chatctl("kick", "carol", "--room", "garden", "--reason", "trod on flowers", "--yes")
        window.at("#lobby")
        window.shows("you were put out of #garden by alice: trod on flowers\n")
        daemon.chatctl("kick", "carol", "--reason", "and again", "--yes")
        assert ": and again; come back later" in window.shows("the connection ended: carol is kicked")
        daemon.chatctl("unban", "carol")
        window.quit()


@pytest.fixture
def here(screen: Display, daemon: Daemon, tmp_path: Path) -> Iterator[Window]:
    """carol's window in this very process: what stands in a list of Tk's cannot be read from outside."""
    from chatctl.client.window.app import Window
    from chatctl.client.window.drafts import Drafts
    from chatctl.client.window.theme import Theme

    root = tk.Tk(screenName=screen.name)
    control = Control(lambda: Client(read_identity(daemon.identity("carol"))), "#lobby")
    theme = Theme(root, scale=None, environ=os.environ)
    window = Window(root, control, theme, Drafts(tmp_path), dark=False, notify=False)
    control.start()
    wait_until(lambda: turn(window) and "bob" in control.model.here.members, what="the members of the room")
    yield window
    control.link.close()
    root.destroy()


def turn(window: Window) -> bool:
    """What the window's own loop does again and again."""
    window.control.link.poll()
    window.draw()
    window.root.update()
    return True


def test_what_is_erased_goes_from_the_search_panel(daemon: Daemon, bob: Client, here: Window) -> None:
    from chatctl.client.window.search import SearchSheet

    def until(found: list[str]) -> bool:
        turn(here)
        assert isinstance(here.sheet, SearchSheet)
        items = here.sheet.list.get_children()
        return [here.sheet.list.item(item, "text").strip() for item in items] == found

    seqs = [bob.send("#lobby", f"thimble {number}").wait(WAIT).seq for number in range(3)]
    here.search("thimble")
    wait_until(lambda: until([f"bob: thimble {number}" for number in (2, 1, 0)]), what="what was found")
    panel = here.sheet
    assert isinstance(panel, SearchSheet)
    panel.list.focus_set()
    panel.list.focus(str(seqs[1]))
    panel.list.selection_set(str(seqs[1]))
    daemon.chatctl("redact", "lobby", str(seqs[1]), "--yes")
    wait_until(lambda: until(["bob: thimble 2", "bob: thimble 0"]), what="one less")
    # The keys go on from the next one.
    assert (panel.list.focus(), panel.list.selection()) == (str(seqs[0]), (str(seqs[0]),))
    for seq in (seqs[0], seqs[2]):
        daemon.chatctl("redact", "lobby", str(seq), "--yes")
    wait_until(lambda: until([]), what="an empty list")
    panel.run()
    bob.send("#lobby", "thimble 3").wait(WAIT)
    panel.run()
    wait_until(lambda: until(["bob: thimble 3"]), what="the answer")
