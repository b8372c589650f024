"""Rooms with rules and groups in the window: made with the keyboard, told to whoever enters."""

from __future__ import annotations

import pytest

from chatctl.client import Client
from chatd.errors import ChatdError
from tests.support.daemon import Daemon
from tests.support.windows import chat_window, wait_for_message
from tests.support.xvfb import Display, missing

pytestmark = pytest.mark.skipif(bool(missing()), reason=f"windows cannot be tested here: {missing()}")


def test_a_room_by_invitation_is_made_in_the_panel(screen: Display, daemon: Daemon, bob: Client) -> None:
    with chat_window(screen, daemon, "alice", device="console") as window:
        screen.keys("ctrl+n")
        screen.type("den")
        screen.keys("Tab", "Tab", "Tab", "space", "Tab", "space")
        screen.keys("shift+Tab", "shift+Tab", "shift+Tab", "Return")
        # Both at once are refused in the panel, which stays open.
        screen.keys("Tab", "Tab", "Tab", "space", "shift+Tab", "shift+Tab", "shift+Tab", "Return")
        window.wait_for_room("#den")
        window.wait_for_text("alice created #den, closed to guests, entered by invitation")
        with pytest.raises(ChatdError, match="E404"):
            bob.request("join", room="#den")
        window.say("/invite bob")
        window.wait_for_text("alice invited bob to #den")
        assert bob.request("join", room="#den")["mode"] == "members"
        window.say("/quit")


def test_an_invited_user_enters_and_is_told_the_rules(screen: Display, daemon: Daemon, bob: Client) -> None:
    bob.request("create", room="#nook", mode="members", history="since_join")
    bob.send("#nook", "before carol").wait(30)
    with chat_window(screen, daemon, "carol") as window:
        bob.request("invite", room="#nook", user="carol")
        # "bob invited you to #nook" where the window is connected by now, else "you are invited to #nook".
        window.wait_for_text("to #nook: /join #nook")
        window.say("/join nook")
        window.wait_for_room("#nook")
        text = window.wait_for_text("#nook: entered by invitation, members read what follows their joining")
        assert "before carol" not in text
        window.say("/quit")


def test_an_invitation_of_before_the_start_is_listed_and_accepted_with_a_click(
    screen: Display, daemon: Daemon, bob: Client
) -> None:
    bob.request("create", room="#nest", mode="members")
    bob.request("invite", room="#nest", user="carol")
    for number in range(40):
        bob.send("#lobby", f"line {number}").wait(30)
    with chat_window(screen, daemon, "carol") as window:
        # Below the history, and in the list at the left.
        text = window.wait_for_text("line 39")
        assert "you are invited to #nest" in window.wait_for_text("you are invited to #nest")[-200:], text
        window.click_until(lambda: window.room == "#nest", 80, range(50, 120, 8))
        window.say("/quit")


def test_a_group_is_opened_and_left(screen: Display, daemon: Daemon, bob: Client) -> None:
    with chat_window(screen, daemon, "carol") as window:
        window.say("/msg bob,alice hello both")
        assert wait_for_message(bob, "hello both").room == "@alice,bob,carol"
        window.say("/group alice bob")
        window.wait_for_text("hello both")
        window.say("and more")
        assert wait_for_message(bob, "and more").room == "@alice,bob,carol"
        window.say("@dora are you there?")
        window.wait_for_text("dora is not in this conversation")
        window.say("/part")
        window.wait_for_text("your own messages included. To leave it, repeat: /part @alice,bob,carol")
        window.say("/part")
        window.wait_for_room("#lobby")
