"""Panels to go somewhere: a field, and a list of what fits it; the arrow keys move in the list."""

from __future__ import annotations

import tkinter as tk
from collections.abc import Callable
from tkinter import ttk

from chatctl.model.finder import Destination, find
from chatctl.window.panels import Panel
from chatctl.window.row_list import ListItem, RowList
from chatctl.window.theme import Theme
from chatd.errors import ChatdError

ROWS = 11


class ChoosePanel(Panel):
    """``choose`` gets the address of a row that is clicked or opened with Enter.

    It is called with a function that shows a refusal; the panel closes when the conversation changes.
    """

    def __init__(
        self,
        parent: tk.Misc,
        theme: Theme,
        title: str,
        hint: str,
        places: list[Destination],
        choose: Callable[[str, Callable[[ChatdError], None]], None],
    ) -> None:
        super().__init__(parent, theme, title)
        self._places, self._choose_address = places, choose
        self._query = tk.StringVar(self)
        self.entry = entry = ttk.Entry(self, textvariable=self._query, font=theme.body)
        entry.pack(fill="x")
        self.state_line = ttk.Label(self, style="Quiet.TLabel", text=hint)
        self.state_line.pack(anchor="w", pady=(theme.unit // 2, theme.unit // 2))
        self.buttons = ttk.Frame(self)
        self.buttons.pack(side="bottom", fill="x")
        body = ttk.Frame(self)
        body.pack(fill="both", expand=True)
        self.rows = RowList(body, theme, self._chosen, "page")
        bar = ttk.Scrollbar(body, command=self.rows.yview)
        self.rows.scrolls(bar.set)
        self.rows.selecting = True
        bar.pack(side="right", fill="y")
        self.rows.pack(side="left", fill="both", expand=True)
        self.rows.configure(height=ROWS * self.rows.row_height)
        self.rows.restyle()
        self._query.trace_add("write", lambda *_: self.refill())
        for key, move in (("<Up>", -1), ("<Down>", 1), ("<Prior>", -ROWS), ("<Next>", ROWS)):
            entry.bind(key, lambda _, move=move: self.rows.step(move))  # type: ignore[misc]
        for key in ("<Return>", "<KP_Enter>"):
            entry.bind(key, lambda _: self.rows.open())
        self.refill()

    @property
    def query(self) -> str:
        """What has been typed."""
        return self._query.get().strip()

    def restyle(self) -> None:
        self.rows.restyle()
        super().restyle()

    def offer(self, places: list[Destination]) -> None:
        """Replace what can be chosen."""
        if self.winfo_exists():
            self._places = places
            self.refill()

    def refill(self) -> None:
        """List what fits the query, the best selected."""
        found = self.found()
        self.rows.show([row_of(place) for place in found], found[0].address if found else "")
        self.rows.yview_moveto(0)

    def found(self) -> list[Destination]:
        """Return what fits the query, the best first."""
        return find(self.query, self._places)

    def refuse(self, error: ChatdError) -> None:
        """Show a refusal, and what to do."""
        if self.winfo_exists():
            self.state_line.configure(text=f"{error.reason}; {error.fix}", style="Bad.TLabel")

    def _chosen(self, address: str) -> None:
        self._choose_address(address, self.refuse)


class GoPanel(ChoosePanel):
    """Goes to any room or person, also to one that the model does not know, or begins a command."""

    def found(self) -> list[Destination]:
        found = super().found()
        typed = self.query
        # A name that is typed in full must be reachable though it is unknown here.
        if typed and all(place.address != typed and place.name != typed for place in found):
            if typed[0] == "@":
                found.append(Destination(typed, "write to this person"))
            elif typed[0] != "/":
                found.append(Destination(typed if typed[0] == "#" else f"#{typed}", "enter this room"))
        return found


def row_of(place: Destination) -> ListItem:
    """Return the row of a place."""
    kind, name = place.address[:1], place.name
    unread = str(place.unread) if place.unread else ""
    tag = "unread" if unread else ""
    if kind == "@":
        return ListItem(place.address, name, unread, tag, person=name, detail=place.detail)
    return ListItem(place.address, name, unread, tag, sign=kind, detail=place.detail)
