"""The room browser: all rooms that the server tells of, with their topics and how many are in them."""

from __future__ import annotations

import tkinter as tk
from collections.abc import Callable
from tkinter import ttk

from chatctl.model import render
from chatctl.model.finder import Destination
from chatctl.window.choose_panel import ChoosePanel
from chatctl.window.row_list import ListItem
from chatctl.window.theme import Theme
from chatd.errors import ChatdError
from chatd.proto.frames import JsonObject


class BrowsePanel(ChoosePanel):
    """``enter`` joins a room or switches to it. ``create`` asks for a new one; None: not permitted."""

    def __init__(
        self,
        parent: tk.Misc,
        theme: Theme,
        enter: Callable[[str, Callable[[ChatdError], None]], None],
        create: Callable[[], None] | None,
    ) -> None:
        self._rooms: dict[str, tuple[int, bool]] = {}  # members, and whether this user is one
        self._invited: frozenset[str] = frozenset()
        self._button: ttk.Button | None = None
        super().__init__(parent, theme, "Rooms", "asking the server\u2026", [], enter)
        self.buttons.configure(padding=(0, theme.unit, 0, 0))
        self._button = ttk.Button(self.buttons, text="Join", style="Accent.TButton", command=self.rows.open)
        self._button.pack(side="right")
        ttk.Button(self.buttons, text="Close", command=self.close).pack(side="right", padx=theme.unit)
        if create is not None:
            ttk.Button(self.buttons, text="New room\u2026", command=create).pack(side="left")
        self.rows.moved = self._name_button
        self._name_button()
        self.finish(self.entry)

    def list_rooms(self, entries: list[JsonObject]) -> None:
        """Show the server's reply to ``rooms``."""
        if not self.winfo_exists():
            return
        rooms = [(render.safe(str(e.get("room", ""))), e) for e in entries]
        self._rooms = {name: (_number(e.get("members")), e.get("joined") is True) for name, e in rooms}
        self._invited = frozenset(name for name, e in rooms if e.get("invited") is True)
        self.offer(
            [Destination(name, render.safe(str(e.get("topic", "")))) for name, e in rooms if name[:1] == "#"]
        )
        joined = sum(is_member for _, is_member in self._rooms.values())
        text = f"{len(self._rooms)} rooms, you are in {joined}; type a part of a name to find one"
        self.state_line.configure(text=text)

    def refill(self) -> None:
        found = self.found()
        rows = [self._row(place) for place in found]
        self.rows.show(rows, found[0].address if found else "")
        self._name_button()

    def _row(self, place: Destination) -> ListItem:
        members, joined = self._rooms.get(place.address, (0, False))
        count = f"{members} member{'' if members == 1 else 's'}"
        state = "joined \u00b7 " if joined else "invited \u00b7 " if place.address in self._invited else ""
        mark = f"{state}{count}"
        return ListItem(place.address, place.name, mark, sign="#", detail=place.detail)

    def _name_button(self) -> None:
        if self._button is not None:
            room = self.rows.cursor
            joined = self._rooms.get(room, (0, False))[1]
            self._button.configure(text="Open" if joined else "Join")
            self._button.state(["!disabled" if room else "disabled"])


def destination_of(entry: JsonObject) -> Destination:
    """Return the place of an entry of the reply to ``rooms``."""
    return Destination(render.safe(str(entry.get("room", ""))), render.safe(str(entry.get("topic", ""))))


def _number(value: object) -> int:
    return value if isinstance(value, int) else 0
