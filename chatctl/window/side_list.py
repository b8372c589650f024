"""The side lists: conversations with unread counts, members with their presence."""

from __future__ import annotations

import tkinter as tk
from collections.abc import Callable
from tkinter import ttk

from chatctl.window import shapes
from chatctl.window.row_list import ListItem, RowList
from chatctl.window.styles import SIDE
from chatctl.window.theme import Theme


class SideList(ttk.Frame):
    """A heading, buttons beside it, and a list; ``choose`` gets the key of an item that is opened."""

    def __init__(
        self, parent: tk.Misc, theme: Theme, heading: str, *, width: int, choose: Callable[[str], None]
    ) -> None:
        super().__init__(parent, style="Side.TFrame")
        self._theme, self._width = theme, width
        self._buttons: list[tuple[ttk.Button, str]] = []
        unit = theme.unit
        self.top = ttk.Frame(self, style="Side.TFrame", padding=(2 * unit, unit, unit, unit // 2))
        self.top.pack(fill="x")
        self.heading = ttk.Label(self.top, text=heading, style="SideHeading.TLabel")
        self.heading.pack(side="left")
        body = ttk.Frame(self, style="Side.TFrame")
        body.pack(fill="both", expand=True)
        self.rows = RowList(body, theme, choose)
        bar = ttk.Scrollbar(body, command=self.rows.yview, style=f"{SIDE}.Vertical.TScrollbar")
        self.rows.scrolls(bar.set)
        bar.pack(side="right", fill="y")
        self.rows.pack(side="left", fill="both", expand=True)

    def restyle(self) -> None:
        """Apply the theme's current colours and fonts."""
        self.rows.configure(width=self._width * self._theme.unit)
        self.rows.restyle()
        p = self._theme.palette
        for button, icon in self._buttons:
            button.configure(
                image=self._theme.image(shapes.icon, icon, 2 * self._theme.unit, p.panel, p.quiet)
            )

    def add_button(self, icon: str, text: str, run: Callable[[], None]) -> ttk.Button:
        """Add a button beside the heading, with an icon of `shapes` and a text that is only spoken of."""
        button = ttk.Button(self.top, text=text, style=f"{SIDE}.TButton", command=run)
        button.pack(side="right")
        self._buttons.append((button, icon))
        return button

    def show(self, items: list[ListItem], selected: str = "") -> None:
        """Draw the items and select one."""
        self.rows.show(items, selected)
