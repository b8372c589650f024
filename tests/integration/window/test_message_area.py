"""What stands beside and between the messages: avatars, times, lines; real widgets on a real X server."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from chatd.proto.events import Message
from tests.support.windows import Opener, draw
from tests.support.xvfb import missing

if TYPE_CHECKING:
    from chatctl.window.window import Window

pytest.importorskip("tkinter")

pytestmark = pytest.mark.skipif(bool(missing()), reason=f"windows cannot be tested here: {missing()}")

NOON = 1_750_000_000_000
MINUTE = 60_000


def say(window: Window, seq: int, user: str, body: str, at: int = NOON) -> None:
    fields = {"device": "x", "role": "user", "msg_id": f"{seq:032x}", "kind": "text", "reply_to": None}
    event = {"type": "message", "seq": seq, "at": at, "room": "#lobby", "user": user, "body": body}
    window.model.take(Message.model_validate({**event, **fields}))


def avatars(window: Window) -> list[str]:
    """Return whose avatars are in the margin, from top to bottom."""
    return [person for _, person in window.messages.margin.people]


def test_each_group_of_messages_has_one_avatar_beside_its_heading(offline_window: Opener) -> None:
    window = offline_window()
    for seq, user in enumerate(("alice", "alice", "bob", "alice"), 1):
        say(window, seq, user, f"text {seq}", NOON + seq * MINUTE)
    draw(window)
    assert avatars(window) == ["alice", "bob", "alice"]
    text, margin = window.messages.text, window.messages.margin
    for shown in window.messages.in_view():
        if shown.block.person:
            (line, *_) = text.index(f"@0,{shown.top + window.theme.unit + 2}").split(".")
            assert text.get(f"{line}.0", f"{line}.end").startswith(shown.block.person)
    written: list[str] = []
    margin.write_to = written.append
    x, y = 3 * window.theme.unit, margin.people[1][0] + window.theme.unit
    margin.event_generate("<Motion>", x=x, y=y)
    margin.event_generate("<Button-1>", x=x, y=y)
    assert written == ["bob"]


def test_the_time_of_a_further_message_is_shown_under_the_pointer(offline_window: Opener) -> None:
    window = offline_window()
    say(window, 1, "bob", "first")
    say(window, 2, "bob", "second", NOON + 2 * MINUTE)
    draw(window)
    margin, text = window.messages.margin, window.messages.text
    assert not margin.find_withtag("time")
    (second,) = [shown for shown in window.messages.in_view() if shown.block.seq == 2]
    text.event_generate("<Motion>", x=20, y=second.top + 5)
    draw(window)
    (time,) = margin.find_withtag("time")
    assert margin.itemconfigure(time)["text"][-1] == "15:08Z"  # type: ignore[index]
    text.event_generate("<Leave>")
    draw(window)
    assert not margin.find_withtag("time")


def test_a_message_for_me_stands_out_in_the_text_and_in_the_margin(offline_window: Opener) -> None:
    window = offline_window()
    say(window, 1, "bob", "to all")
    say(window, 2, "bob", "carol: for you")
    draw(window)
    margin, text = window.messages.margin, window.messages.text
    begin, end = map(str, text.tag_ranges("mention"))
    assert text.get(begin, end) == "carol: for you\n"
    (mine,) = [shown for shown in window.messages.in_view() if shown.block.seq == 2]
    boxes = [margin.coords(item) for item in margin.find_all() if len(margin.coords(item)) == 4]
    assert {(box[1], box[3]) for box in boxes} == {(mine.top, mine.bottom)}


def test_lines_divide_the_days(offline_window: Opener) -> None:
    window = offline_window()
    say(window, 1, "bob", "today")
    say(window, 2, "bob", "tomorrow", NOON + 24 * 60 * MINUTE)
    draw(window)
    view = window.messages
    lines = [rule for rule in view._rules if rule.winfo_ismapped()]
    assert len(lines) == 4
    days = [view.text.search(day, "1.0") for day in ("2025-06-15", "2025-06-16")]
    for day in days:
        box = view.text.bbox(day)
        assert box is not None
        assert sum(box[1] < rule.winfo_y() < box[1] + box[3] for rule in lines) == 2


def test_the_margin_is_drawn_only_for_what_is_in_view(offline_window: Opener) -> None:
    window = offline_window()
    for seq in range(1, 900):
        say(window, seq, f"user{seq % 7}", "text", NOON + seq)
    draw(window)
    shown = list(window.messages.in_view())
    assert shown[-1].block.seq == 899
    assert len(shown) < 80
    assert len(avatars(window)) <= len(shown)
    window.messages.text.yview_moveto(0.5)
    draw(window)
    assert not window.messages.following
    assert avatars(window)
    last = list(window.messages.in_view())[-1]
    assert last.block.seq < 899


def test_the_panel_of_one_long_line_shows_many_rows_of_it(offline_window: Opener) -> None:
    from chatctl.window.text_panel import LINES_SHOWN, TextPanel

    window = offline_window()
    say(window, 1, "bob", "short")
    fields = {"device": "x", "role": "user", "msg_id": "0" * 32, "kind": "snippet", "at": NOON}
    for body, rows in (("word " * 1_000, LINES_SHOWN), ("word", 1), ("one\ntwo\nthree", 3)):
        event = {"type": "message", "seq": 2, "room": "#lobby", "user": "bob", "body": body}
        window.show_whole(Message.model_validate({**event, **fields}))
        panel = window.dialogs.panel
        assert isinstance(panel, TextPanel)
        assert int(str(panel.text.cget("height"))) == rows


def test_a_menu_entry_leaves_the_focus_in_the_input(offline_window: Opener) -> None:
    window = offline_window()
    window.messages.text.focus_force()
    window.root.update()
    menu = window._menu._menu
    entry = next(
        n for n in range(40) if menu.type(n) == "command" and menu.entrycget(n, "label") == "Larger text"
    )
    menu.invoke(entry)
    window.root.update()
    assert window.root.focus_get() is window.composer.text
