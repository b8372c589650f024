"""The side lists: conversations with unread counts, members with roles."""

from __future__ import annotations

import tkinter as tk
from collections.abc import Callable
from tkinter import ttk
from typing import NamedTuple

from chatctl.window.theme import Theme

# ttk's padding at both ends of a cell, in pixels.
CELL_PADDING = 8


class ListItem(NamedTuple):
    """One line of a list: ``text`` on the left, ``mark`` on the right, in the style ``tag``."""

    key: str
    text: str
    mark: str = ""
    tag: str = ""


class SideList(ttk.Frame):
    """A list of items; ``choose`` gets the key of an item that is clicked or opened with Enter."""

    def __init__(
        self,
        parent: tk.Misc,
        theme: Theme,
        heading: str,
        *,
        widest_mark: str,
        text_chars: int,
        choose: Callable[[str], None],
    ) -> None:
        super().__init__(parent)
        self._theme = theme
        self._text_chars, self._widest_mark = text_chars, widest_mark
        self._choose = choose
        self._shown: list[ListItem] = []
        self.heading = ttk.Label(self, text=heading, style="Quiet.TLabel")
        self.heading.pack(anchor="w", padx=theme.unit, pady=(theme.unit // 2, 0))
        self._selected = ""
        self._frame = tk.Frame(self, borderwidth=0, highlightthickness=1)
        self._frame.pack(side="top", fill="both", expand=True)
        self._frame.pack_propagate(False)
        self.tree = ttk.Treeview(self._frame, columns=("mark",), show="tree", selectmode="browse")
        self.tree.pack(fill="both", expand=True)
        self.tree.bind("<FocusIn>", lambda _: self._on_focus_in())
        self.tree.bind("<FocusOut>", lambda _: self._on_focus_out())
        self.tree.bind("<ButtonRelease-1>", self._clicked)
        for key in ("<Return>", "<KP_Enter>", "<space>"):
            self.tree.bind(key, self._open)

    def restyle(self) -> None:
        """Apply the theme's current colours and fonts."""
        p, tree, body = self._theme.palette, self.tree, self._theme.body
        tree.column("#0", width=body.measure("n" * self._text_chars), minwidth=20, stretch=True)
        # ttk cuts what does not fit without a sign, and a cut number is another number.
        mark = self._theme.bold.measure(f"{self._widest_mark} ") + CELL_PADDING
        tree.column("mark", width=mark, minwidth=mark, stretch=False, anchor="e")
        # A visible tree does not ask for more space itself.
        self._frame.configure(width=body.measure("n" * self._text_chars) + mark)
        self._draw_border(focused=False)
        tree.tag_configure("unread", font=self._theme.bold)
        tree.tag_configure("mention", font=self._theme.bold, foreground=p.accent)
        tree.tag_configure("quiet", foreground=p.quiet)
        tree.tag_configure("away", foreground=p.warn)

    def show(self, items: list[ListItem], selected: str = "") -> None:
        """Draw the items and select one."""
        if items != self._shown:
            self._draw(items)
        # New data must not move the selection while somebody uses the list with the keyboard.
        if selected != self._selected or self.focus_get() is not self.tree:
            self._selected = selected
            self._select(selected)

    def _select(self, key: str) -> None:
        if key and self.tree.exists(key):
            if self.tree.selection() != (key,):
                self.tree.selection_set(key)
                self.tree.focus(key)
                self.tree.see(key)
        else:
            self.tree.selection_set(())

    def _on_focus_in(self) -> None:
        self._draw_border(focused=True)
        if not self.tree.selection() and (first := self.tree.get_children()):
            self._select(first[0])

    def _on_focus_out(self) -> None:
        self._draw_border(focused=False)
        self._select(self._selected)

    def _draw_border(self, *, focused: bool) -> None:
        p = self._theme.palette
        border = p.accent if focused else p.panel
        self._frame.configure(background=p.panel, highlightbackground=border, highlightcolor=border)

    def _draw(self, items: list[ListItem]) -> None:
        tree, keys = self.tree, {item.key for item in items}
        tree.delete(*(key for key in tree.get_children() if key not in keys))
        for place, item in enumerate(items):
            values = {"text": f" {item.text}", "values": (f"{item.mark} ",), "tags": (item.tag,)}
            if tree.exists(item.key):
                tree.item(item.key, **values)  # type: ignore[call-overload]
                tree.move(item.key, "", place)
            else:
                tree.insert("", place, item.key, **values)  # type: ignore[arg-type]
        self._shown = items

    def _clicked(self, event: tk.Event[ttk.Treeview]) -> None:
        if key := self.tree.identify_row(event.y):
            self._choose(key)

    def _open(self, _: object) -> str:
        if key := self.tree.focus():
            self._choose(key)
        return "break"
