"""The window after an absence: the divider above the first unread message, and the way to it."""

from __future__ import annotations

import pytest

from chatctl.client import Client
from chatd.pki.identity import read_identity
from tests.support.chat_program import admin_client
from tests.support.daemon import Daemon, wait_until
from tests.support.windows import WAIT, chat_window
from tests.support.xvfb import Display, missing

pytestmark = pytest.mark.skipif(bool(missing()), reason=f"windows cannot be tested here: {missing()}")

# More than the window fetches on entering a room.
MESSAGES = 90


def unread_of(client: Client, room: str) -> int | None:
    """Return the server's count of a room; None without a marker."""
    entries = {entry["room"]: entry["unread"] for entry in client.request("unread")["rooms"]}
    return entries.get(room)


def test_a_key_leads_to_the_first_unread_message_and_what_was_shown_is_read(
    screen: Display, daemon: Daemon
) -> None:
    room = "#absence"
    with admin_client(daemon) as alice, Client(read_identity(daemon.identity("carol")), live=False) as carol:
        alice.request("create", room=room, guests=True)
        carol.request("join", room=room)
        seen = alice.send(room, "seen before").wait(WAIT).seq
        carol.request("read", room=room, seq=seen)
        for one in [alice.send(room, f"news-{number}") for number in range(MESSAGES)]:
            one.wait(WAIT)
        assert unread_of(carol, room) == MESSAGES
        with chat_window(screen, daemon, "carol", room="absence") as window:
            window.screen.focus(window.id)
            shown = window.wait_for_text(f"news-{MESSAGES - 1}")
            assert "news-0\n" not in shown
            assert unread_of(carol, room) == MESSAGES, "what was not on the screen is not read"
            window.screen.keys("ctrl+j")
            shown = window.wait_for_text("news-0\n")
            before, _, after = shown.partition("\nnew\n")
            assert "seen before" in before
            assert "news-0\n" in after
            window.screen.keys("ctrl+j", *["Next"] * 12)  # reading the text has scrolled down
            window.say("/join #lobby")
            window.wait_for_room("#lobby")
            wait_until(lambda: unread_of(carol, room) == 0, what="the read marker")
            # A marker of another device while the window shows another room takes the unread mark off.
            late = alice.send(room, "one more").wait(WAIT).seq
            wait_until(lambda: window.unread == 1, what="the unread mark")
            carol.request("read", room=room, seq=late)
            wait_until(lambda: window.unread == 0, what="the mark to go")
