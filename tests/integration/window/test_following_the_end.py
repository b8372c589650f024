"""Whether the message area stays at its end: whatever arrives, until the person scrolls up."""

from __future__ import annotations

import pytest

from tests.integration.window.test_message_area import say
from tests.support.windows import Opener, draw
from tests.support.xvfb import missing

pytest.importorskip("tkinter")

pytestmark = pytest.mark.skipif(bool(missing()), reason=f"windows cannot be tested here: {missing()}")


@pytest.mark.parametrize("burst", [1, 7, 40])
def test_the_end_stays_in_view_during_bursts_of_long_and_short_messages(
    offline_window: Opener, burst: int
) -> None:
    window = offline_window()
    area, seq = window.messages, 0
    while seq < 280:
        for _ in range(burst):
            seq += 1
            say(window, seq, f"user{seq % 3}", "long words \u6f22\u5b57 " * (seq * 7 % 60) + str(seq))
        window.draw()
        window.root.update()
        assert area.following
    draw(window)
    assert [one.block.seq for one in area.in_view()][-1] == seq
    assert area.text.yview()[1] == 1.0


def test_who_scrolls_up_stays_there_until_the_end_is_in_view_again(offline_window: Opener) -> None:
    window = offline_window()
    for seq in range(1, 101):
        say(window, seq, "bob", f"line {seq}")
    draw(window)
    area = window.messages
    area.text.yview_scroll(-3, "units")
    draw(window)
    assert not area.following
    say(window, 101, "bob", "one more")
    draw(window)
    assert not area.following
    assert [one.block.seq for one in area.in_view()][-1] < 101
    area.page(1)
    draw(window)
    assert area.following


def test_lines_that_turn_out_longer_than_estimated_do_not_end_the_following(offline_window: Opener) -> None:
    window = offline_window()
    for seq in range(1, 101):
        say(window, seq, "bob", f"line {seq}")
    draw(window)
    area = window.messages
    area._scrolled(0.5, 0.9)  # Tk says so once it has measured them; nobody has moved the text
    assert area.following
    area.text.yview_scroll(-3, "units")
    area._scrolled(0.5, 0.9)
    assert not area.following
