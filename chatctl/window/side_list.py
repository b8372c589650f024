"""The lists at the sides: conversations with unread counts, members with roles."""

from __future__ import annotations

import tkinter as tk
from collections.abc import Callable, Sequence
from tkinter import ttk
from typing import NamedTuple

from chatctl.window.theme import Theme


class Entry(NamedTuple):
    """One line of a list. ``tag``: how it looks."""

    key: str
    text: str
    mark: str = ""
    tag: str = ""


class SideList(ttk.Frame):
    """A list of entries; ``chosen`` gets the key of the one that is clicked or selected by keys."""

    def __init__(
        self,
        parent: tk.Misc,
        theme: Theme,
        heading: str,
        *,
        mark_chars: int,
        text_chars: int,
        chosen: Callable[[str], None],
    ) -> None:
        super().__init__(parent)
        self._theme = theme
        self._chars = (text_chars, mark_chars)
        self._chosen = chosen
        self._shown: list[Entry] = []
        self._heading = ttk.Label(self, text=heading, style="Quiet.TLabel")
        self._heading.pack(anchor="w", padx=theme.unit, pady=(theme.unit // 2, 0))
        self._selected = ""
        self._frame = tk.Frame(self, borderwidth=0, highlightthickness=1)
        self._frame.pack(side="top", fill="both", expand=True)
        self.tree = ttk.Treeview(self._frame, columns=("mark",), show="tree", selectmode="browse")
        self.tree.pack(fill="both", expand=True)
        self.tree.bind("<FocusIn>", lambda _: self._focused())
        self.tree.bind("<FocusOut>", lambda _: self._left())
        self.tree.bind("<ButtonRelease-1>", self._clicked)
        for key in ("<Return>", "<KP_Enter>", "<space>"):
            self.tree.bind(key, self._entered)

    def restyle(self) -> None:
        """Take the theme's present colours and sizes."""
        p, tree, body = self._theme.palette, self.tree, self._theme.body
        tree.column("#0", width=body.measure("n" * self._chars[0]), minwidth=20, stretch=True)
        tree.column("mark", width=body.measure("n" * self._chars[1]), minwidth=10, stretch=False, anchor="e")
        self._edge(focused=False)
        tree.tag_configure("unread", font=self._theme.bold)
        tree.tag_configure("called", font=self._theme.bold, foreground=p.accent)
        tree.tag_configure("quiet", foreground=p.quiet)
        tree.tag_configure("away", foreground=p.warn)

    @property
    def heading(self) -> str:
        """What stands above the list."""
        return str(self._heading.cget("text"))

    @heading.setter
    def heading(self, text: str) -> None:
        self._heading.configure(text=text)

    def show(self, entries: Sequence[Entry], selected: str = "") -> None:
        """Draw the entries and mark one as current."""
        fresh = list(entries)
        if fresh != self._shown:
            self._draw(fresh)
        # While somebody goes through the list with the keys, what arrives does not take them elsewhere.
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

    def _focused(self) -> None:
        self._edge(focused=True)
        if not self.tree.selection() and (first := self.tree.get_children()):
            self._select(first[0])

    def _left(self) -> None:
        self._edge(focused=False)
        self._select(self._selected)

    def _edge(self, *, focused: bool) -> None:
        p = self._theme.palette
        edge = p.accent if focused else p.panel
        self._frame.configure(background=p.panel, highlightbackground=edge, highlightcolor=edge)

    def _draw(self, fresh: list[Entry]) -> None:
        tree, wanted = self.tree, {entry.key for entry in fresh}
        tree.delete(*(key for key in tree.get_children() if key not in wanted))
        for place, entry in enumerate(fresh):
            values = {"text": f" {entry.text}", "values": (f"{entry.mark} ",), "tags": (entry.tag,)}
            if tree.exists(entry.key):
                tree.item(entry.key, **values)  # type: ignore[call-overload]
                tree.move(entry.key, "", place)
            else:
                tree.insert("", place, entry.key, **values)  # type: ignore[arg-type]
        self._shown = fresh

    def _clicked(self, event: tk.Event[ttk.Treeview]) -> None:
        if key := self.tree.identify_row(event.y):
            self._chosen(key)

    def _entered(self, _: object) -> str:
        if key := self.tree.focus():
            self._chosen(key)
        return "break"
