"""Lists that are drawn on a canvas: keys, headings, long texts; real widgets on a real X server."""

from __future__ import annotations

import gc
import os
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from tests.support.xvfb import Display, missing

if TYPE_CHECKING:
    from chatctl.window.row_list import ListItem, RowList

tk = pytest.importorskip("tkinter")

pytestmark = pytest.mark.skipif(bool(missing()), reason=f"windows cannot be tested here: {missing()}")

CHOSEN: list[str] = []


@pytest.fixture
def rows(lasting_screen: Display) -> Iterator[RowList]:
    from chatctl.window.palette import LIGHT
    from chatctl.window.row_list import RowList
    from chatctl.window.theme import Theme

    CHOSEN.clear()
    root = tk.Tk(screenName=lasting_screen.name)
    root.geometry("240x400")
    theme = Theme(root, scale=None, environ=os.environ)
    theme.use(LIGHT)
    rows = RowList(root, theme, CHOSEN.append)
    rows.pack(fill="both", expand=True)
    rows.restyle()
    yield rows
    root.destroy()
    # Collect now: Tk's images and fonts must not be collected on another thread.
    del rows, theme, root
    gc.collect()


def show(rows: RowList, items: list[ListItem], selected: str = "") -> list[str]:
    """Show items, and return the texts that are drawn, from top to bottom."""
    rows.show(items, selected)
    rows.update()
    texts = [item for item in rows.find_all() if "text" in (rows.itemconfigure(item) or {})]
    texts.sort(key=lambda item: rows.coords(item)[1])
    return [str((rows.itemconfigure(item) or {})["text"][-1]) for item in texts]


def people(count: int) -> list[ListItem]:
    from chatctl.window.row_list import ListItem

    return [ListItem(f"user{n}", f"user{n}", person=f"user{n}", state="online") for n in range(count)]


def test_only_rows_in_view_are_drawn(rows: RowList) -> None:
    few = len(show(rows, people(40)))
    assert len(show(rows, people(5_000))) == few < 50
    rows.step(5_000)
    rows.update()
    assert rows.cursor == "user4999"
    assert show(rows, people(5_000))[-1] in ("user4999", "U")


def test_headings_are_skipped_and_not_chosen(rows: RowList) -> None:
    from chatctl.window.row_list import ListItem

    items = [ListItem("", "Rooms"), ListItem("#a", "a", sign="#"), ListItem("", "People"), *people(2)]
    assert "Rooms" in show(rows, items, "#a")
    for steps, expected in ((1, "user0"), (-1, "#a"), (-1, "#a"), (9, "user1")):
        rows.step(steps)
        assert rows.cursor == expected
    rows.open()
    rows.event_generate("<ButtonRelease-1>", x=20, y=5)
    rows.event_generate("<ButtonRelease-1>", x=20, y=rows.row_height + 5)
    assert CHOSEN == ["user1", "#a"]


def test_a_long_text_is_cut_with_a_sign_and_its_mark_is_whole(rows: RowList) -> None:
    from chatctl.window.row_list import ListItem

    drawn = show(rows, [ListItem("#x", "a-name-that-is-longer-than-its-list", "999k+", "unread")])
    assert "999k+" in drawn
    (text,) = [one for one in drawn if one.startswith("a-name")]
    assert text.endswith("\u2026")
    assert show(rows, []) == []


def test_the_keyboards_row_stays_while_others_change(rows: RowList) -> None:
    show(rows, people(5), "user0")
    rows.focus_force()
    rows.update()
    rows.step(2)
    show(rows, people(6), "user0")
    assert rows.cursor == ("user2" if rows.focus_get() is rows else "user0")
    show(rows, people(6), "user4")
    assert rows.cursor == "user4"
