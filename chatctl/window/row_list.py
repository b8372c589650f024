"""A list drawn on a canvas: only the rows in view exist, so that thousands cost as much as thirty."""

from __future__ import annotations

import tkinter as tk
from collections.abc import Callable
from tkinter import font
from typing import Any, NamedTuple

from chatctl.window import shapes
from chatctl.window.avatars import draw_avatar
from chatctl.window.theme import Theme

# Rows drawn above and below those in view, so that scrolling does not show gaps.
_MARGIN_ROWS = 2
_WHEEL_ROWS = 3


class ListItem(NamedTuple):
    """One row: ``text`` on the left, ``mark`` on the right, in the style ``tag``.

    ``sign`` is a letter before the text, ``person`` a user whose avatar is there, with a dot for ``state``.
    ``detail`` follows the text in grey. A row without a ``key`` is a heading and cannot be selected.
    """

    key: str
    text: str
    mark: str = ""
    tag: str = ""
    sign: str = ""
    person: str = ""
    state: str = ""
    detail: str = ""


class RowList(tk.Canvas):
    """``choose`` gets the key of a row that is clicked or opened with Enter or Space.

    ``ground`` names the colour of the palette that is behind the rows.
    """

    def __init__(
        self, parent: tk.Misc, theme: Theme, choose: Callable[[str], None], ground: str = "panel"
    ) -> None:
        super().__init__(parent, borderwidth=0, highlightthickness=0, takefocus=True, width=10, height=10)
        self.theme, self._choose, self._ground_name = theme, choose, ground
        self._items: list[ListItem] = []
        self._places: dict[str, int] = {}
        self._selected = ""
        self.cursor = ""  # the key of the row that the keyboard acts on
        self._hovered = -1
        self._awaiting_draw = False
        # Whether the selection follows the keyboard, and what to call when the keyboard's row has changed.
        self.selecting = False
        self.moved: Callable[[], None] = lambda: None
        self._bar: Callable[[float, float], None] | None = None
        self.configure(yscrollcommand=self._scrolled)
        self.bind("<Configure>", lambda _: self._resized())
        self.bind("<Motion>", lambda event: self._hover(event.y))
        self.bind("<Leave>", lambda _: self._hover(-1))
        self.bind("<ButtonRelease-1>", self._clicked)
        for name, step in (("<Button-4>", -1), ("<Button-5>", 1)):
            self.bind(name, lambda _, step=step: self._wheel(step))  # type: ignore[misc]
        self.bind("<MouseWheel>", lambda event: self._wheel(-1 if event.delta > 0 else 1))
        for name in ("<Return>", "<KP_Enter>", "<space>"):
            self.bind(name, lambda _: self.open())
        page = self._rows_in_view
        for name, move in (
            ("<Up>", lambda: -1),
            ("<Down>", lambda: 1),
            ("<Prior>", lambda: -page()),
            ("<Next>", page),
            ("<Home>", lambda: -len(self._items)),
            ("<End>", lambda: len(self._items)),
        ):
            self.bind(name, lambda _, move=move: self.step(move()))  # type: ignore[misc]
        self.bind("<FocusIn>", lambda _: self._focused())
        self.bind("<FocusOut>", lambda _: self._unfocused())

    # -- what others ask

    def exists(self, key: str) -> bool:
        """Whether there is a row with this key."""
        return key in self._places

    def item(self, key: str) -> ListItem:
        """Return the row with a key."""
        return self._items[self._places[key]]

    def keys(self) -> list[str]:
        """Return the keys of all rows that can be selected, from top to bottom."""
        return list(self._places)

    @property
    def row_height(self) -> int:
        """The height of a row in pixels."""
        return self.theme.body.metrics("linespace") + self.theme.unit + self.theme.unit // 2

    @property
    def ground(self) -> str:
        """The colour behind the rows."""
        return str(getattr(self.theme.palette, self._ground_name))

    def scrolls(self, bar: Callable[[float, float], None]) -> None:
        """Tell a scrollbar of each change: ``bar`` is its `set`."""
        self._bar = bar

    # -- drawing

    def show(self, items: list[ListItem], selected: str = "") -> None:
        """Draw rows and select one; the keyboard's row stays while somebody uses the list."""
        if items != self._items:
            self._items = items
            self._places = {item.key: place for place, item in enumerate(items) if item.key}
            self._resized()
        if selected != self._selected or self.cursor not in self._places:
            busy = self.focus_get() is self and self.cursor in self._places and selected == self._selected
            self._selected = selected
            if not busy:
                self.cursor = selected
                self.see(selected)
        self.redraw()

    def restyle(self) -> None:
        """Apply the theme's current colours and fonts."""
        self.configure(background=self.ground, yscrollincrement=max(1, self.row_height // 2))
        self._resized()

    def redraw(self) -> None:
        """Draw the rows in view once Tk is idle."""
        if not self._awaiting_draw:
            self._awaiting_draw = True
            self.after_idle(self._draw)

    def see(self, key: str) -> None:
        """Scroll so that a row is in view."""
        if key not in self._places:
            return
        top, height, total = self._places[key] * self.row_height, self.winfo_height(), self._total()
        first = self.canvasy(0)
        if top < first:
            self.yview_moveto(top / total)
        elif top + self.row_height > first + height:
            self.yview_moveto((top + self.row_height - height) / total)

    def _total(self) -> int:
        return max(1, len(self._items) * self.row_height)

    def _resized(self) -> None:
        self.configure(scrollregion=(0, 0, self.winfo_width(), max(self._total(), self.winfo_height())))
        self.redraw()

    def _scrolled(self, first: float, last: float) -> None:
        if self._bar is not None:
            self._bar(first, last)
        self.redraw()

    def _draw(self) -> None:
        if not self.winfo_exists():
            return
        self._awaiting_draw = False
        self.delete("all")
        height, top = self.row_height, int(self.canvasy(0))
        first = max(0, top // height - _MARGIN_ROWS)
        last = (top + self.winfo_height()) // height + _MARGIN_ROWS
        for place in range(first, min(last + 1, len(self._items))):
            self._draw_row(place, self._items[place])

    def _draw_row(self, place: int, item: ListItem) -> None:
        theme, p = self.theme, self.theme.palette
        unit, height = theme.unit, self.row_height
        y, middle, width = place * height, place * height + height // 2, self.winfo_width()
        if not item.key:
            font = theme.small_bold
            shown = shortened(item.text, font, width - 3 * unit)
            self.create_text(2 * unit, y + height - unit, text=shown, fill=p.quiet, font=font, anchor="sw")
            return
        selected = item.key == self._selected
        ground = p.soft if selected else p.hover if place == self._hovered else self.ground
        self._draw_ground(item, ground, y, width)
        right = self._draw_mark(item, width - 2 * unit, middle, ground)
        left = self._draw_sign(item, 2 * unit, middle, ground)
        strong = selected or item.tag in ("unread", "mention")
        font = theme.bold if strong else theme.body
        quiet = {"quiet": p.quiet, "away": p.quiet}.get(item.tag, p.text)
        text = shortened(item.text, font, right - left)
        colour = p.on_soft if selected else quiet
        self.create_text(left, middle, text=text, fill=colour, font=font, anchor="w")
        if item.detail:
            left += font.measure(text) + unit
            detail = shortened(item.detail, theme.small, right - left)
            self.create_text(
                left, middle, text=detail, fill=colour if selected else p.quiet, font=theme.small, anchor="w"
            )

    def _draw_ground(self, item: ListItem, ground: str, y: int, width: int) -> None:
        theme = self.theme
        focused = item.key == self.cursor and self.focus_get() is self
        if ground == self.ground and not focused:
            return
        ring = theme.ring if focused else 0
        size = (max(1, width - theme.unit), self.row_height - 2)
        border = theme.palette.accent if focused else ""
        image = theme.image(shapes.rounded, *size, theme.radius, self.ground, ground, border, ring)
        self.create_image(theme.unit // 2, y + 1, image=image, anchor="nw")

    def _draw_sign(self, item: ListItem, left: int, middle: int, ground: str) -> int:
        """Draw what is before the text; return where the text begins."""
        theme, p, unit = self.theme, self.theme.palette, self.theme.unit
        size = 2 * unit + unit // 2
        if item.person:
            place = (left, middle - size // 2)
            draw_avatar(self, theme, item.person, place, size, ground, state=item.state)
        elif item.sign:
            colour = p.on_soft if item.key == self._selected else p.quiet
            self.create_text(left + size // 2, middle, text=item.sign, fill=colour, font=theme.body)
        else:
            return left
        return left + size + unit

    def _draw_mark(self, item: ListItem, right: int, middle: int, ground: str) -> int:
        """Draw what is on the right; return where the text must end."""
        if not item.mark:
            return right
        theme, p, unit = self.theme, self.theme.palette, self.theme.unit
        if item.tag not in ("unread", "mention"):
            colour = p.on_soft if ground == p.soft else p.quiet
            self.create_text(right, middle, text=item.mark, fill=colour, font=theme.small, anchor="e")
            return right - theme.small.measure(item.mark) - unit
        left, _, width, height = self.mark_box(item.key)
        fill, ink = (p.accent, p.on_accent) if item.tag == "mention" else (p.line, p.text)
        pill = theme.image(shapes.rounded, width, height, height // 2, ground, fill)
        self.create_image(left, middle, image=pill, anchor="w")
        self.create_text(
            left + width // 2, middle, text=item.mark, fill=ink, font=theme.small_bold, tags="mark"
        )
        return left - unit

    def mark_box(self, key: str) -> tuple[int, int, int, int]:
        """Return x, y, width and height of the pill with the mark of a row."""
        unit, font = self.theme.unit, self.theme.small_bold
        height = font.metrics("linespace") + 2
        width = max(height, font.measure(self.item(key).mark) + unit + unit // 2)
        top = self._places[key] * self.row_height + (self.row_height - height) // 2
        return self.winfo_width() - 2 * unit - width, top, width, height

    # -- keys and mouse

    def step(self, by: int) -> str:
        """Move the keyboard's row; headings are skipped."""
        keys = self.keys()
        if keys:
            at = keys.index(self.cursor) if self.cursor in self._places else (-1 if by > 0 else len(keys))
            self.cursor = keys[max(0, min(len(keys) - 1, at + by))]
            if self.selecting:
                self._selected = self.cursor
            self.see(self.cursor)
            self.redraw()
            self.moved()
        return "break"

    def open(self) -> str:
        """Choose the keyboard's row."""
        if self.cursor in self._places:
            self._choose(self.cursor)
        return "break"

    def _rows_in_view(self) -> int:
        return max(1, self.winfo_height() // self.row_height - 1)

    def _focused(self) -> None:
        if self.cursor not in self._places:
            self.step(1)
        self.redraw()

    def _unfocused(self) -> None:
        self.cursor = self._selected
        self.redraw()

    def _place_at(self, y: int) -> int:
        return int(self.canvasy(y)) // self.row_height if y >= 0 else -1

    def _hover(self, y: int) -> None:
        if (place := self._place_at(y)) != self._hovered:
            self._hovered = place
            self.redraw()

    def _clicked(self, event: tk.Event[Any]) -> None:
        place = self._place_at(event.y)
        if 0 <= place < len(self._items) and self._items[place].key:
            self._choose(self._items[place].key)

    def _wheel(self, direction: int) -> None:
        if self._total() > self.winfo_height():
            self.yview_scroll(direction * 2 * _WHEEL_ROWS, "units")


def shortened(text: str, used: font.Font, width: int) -> str:
    """Cut a text to a width in pixels, with a sign that it was cut."""
    if used.measure(text) <= width:
        return text
    fits, too_long = 0, len(text)
    while too_long - fits > 1:
        half = (fits + too_long) // 2
        fits, too_long = (half, too_long) if used.measure(f"{text[:half]}\u2026") <= width else (fits, half)
    return f"{text[:fits].rstrip()}\u2026" if fits else ""
