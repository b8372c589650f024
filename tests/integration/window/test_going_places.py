"""The list to go somewhere, the room browser and the foot of the list: real widgets, a real daemon."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from chatctl.client import Client, Disconnected
from chatctl.window.browse_panel import BrowsePanel
from chatctl.window.choose_panel import GoPanel
from chatd.errors import ChatdError
from tests.support.daemon import Daemon, wait_until
from tests.support.windows import Opener, chat_window, draw, wait_for_message
from tests.support.xvfb import Display, missing

if TYPE_CHECKING:
    from chatctl.window.window import Window

pytest.importorskip("tkinter")

pytestmark = pytest.mark.skipif(bool(missing()), reason=f"windows cannot be tested here: {missing()}")


def test_a_room_is_found_in_the_browser_and_joined_by_keyboard(
    screen: Display, daemon: Daemon, bob: Client
) -> None:
    bob.request("create", room="#bees", topic="Honey and smoke")
    bob.request("create", room="#birds")
    with chat_window(screen, daemon, "carol") as window:
        window.wait_for_text("carol")

        def joined() -> bool:
            """Try until the server's list is there: nothing outside shows that."""
            screen.focus(window.id)
            screen.keys("Escape", "ctrl+b")
            screen.type("bees")
            screen.keys("Return")
            return window.room == "#bees"

        wait_until(joined, what="#bees")
        window.wait_for_text("carol joined #bees")
        window.say("hum")
        assert wait_for_message(bob, "hum").room == "#bees"
        # A command is begun in the input; one argument is missing.
        screen.keys("ctrl+k")
        screen.type("/topi")
        screen.keys("Return")
        window.say("Honey")
        window.wait_for_text("carol set the topic of #bees: Honey")
        # A person who shares no room with this window, and a room that does not exist.
        screen.keys("ctrl+k")
        screen.type("nowhere")
        screen.keys("Return", "Escape")
        window.go_to("@bob")
        assert window.quit() == ""


def go_panel(window: Window) -> GoPanel:
    window.dialogs.go()
    draw(window)
    assert isinstance(window.dialogs.panel, GoPanel)
    return window.dialogs.panel


def typed(panel: GoPanel | BrowsePanel, text: str) -> list[str]:
    panel.entry.delete(0, "end")
    panel.entry.insert(0, text)
    return panel.rows.keys()


def test_any_name_can_be_reached_and_the_arrow_keys_select(offline_window: Opener) -> None:
    window = offline_window()
    for name in ("#deploys", "#dev"):
        window.model.joined.add(name)
        window.model.conversation(name)
    panel = go_panel(window)
    assert typed(panel, "de") == ["#dev", "#deploys", "#de"]
    assert panel.rows.cursor == "#dev"
    panel.entry.event_generate("<Down>")
    assert panel.rows.cursor == "#deploys"
    assert typed(panel, "@zoe") == ["@zoe"]
    assert typed(panel, "/qui") == ["/quit"]
    panel.entry.event_generate("<Return>")
    draw(window)
    assert window.dialogs.panel is None
    assert window.composer.value == "/quit "
    assert typed(go_panel(window), "#lobby")[0] == "#lobby"


def test_a_name_that_cannot_be_is_refused_in_the_panel(offline_window: Opener) -> None:
    window = offline_window()
    panel = go_panel(window)
    typed(panel, "@no such person!")
    panel.rows.open()
    assert "contains '!'" in str(panel.state_line.cget("text"))
    assert window.dialogs.panel is panel


def test_the_browser_shows_what_the_server_lists(offline_window: Opener) -> None:
    window = offline_window()
    window.dialogs.browse()
    panel = window.dialogs.panel
    assert isinstance(panel, BrowsePanel)
    panel.list_rooms(
        [
            {"room": "#a", "topic": "one\x1b", "members": 1, "joined": True},
            {"room": "#b", "topic": "", "members": 12, "joined": False},
            {"room": 7, "members": "x"},
        ]
    )
    assert panel.rows.keys() == ["#a", "#b"]
    assert panel.rows.item("#a")[2:3] == ("joined \u00b7 1 member",)
    assert panel.rows.item("#a").detail == "one\\x1b"
    assert panel.rows.item("#b").mark == "12 members"
    assert str(panel._button.cget("text")) == "Open"  # type: ignore[union-attr]
    panel.rows.step(1)
    assert str(panel._button.cget("text")) == "Join"  # type: ignore[union-attr]


def test_the_foot_tells_who_this_is_and_the_state_of_the_connection(offline_window: Opener) -> None:
    window = offline_window()
    assert window.layout.own.shown == ("carol", "connecting", "connecting")
    window.model.take(Disconnected(ChatdError("E607", "no answer", "wait"), 5.0))
    draw(window)
    assert window.layout.own.shown[1].startswith("reconnecting in ")
    assert window.layout.status.winfo_ismapped()
    window.model.take(Disconnected(ChatdError("E202", "expired", "ask"), None))
    draw(window)
    assert window.layout.own.shown[1:] == ("not connected", "ended")
