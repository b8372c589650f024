"""Search as one panel: a field, the messages found (newest first), Enter goes to one."""

from __future__ import annotations

import tkinter as tk
from collections import deque
from collections.abc import Callable
from tkinter import ttk

from chatctl.model import render
from chatctl.model.conversations import RedactedRange
from chatctl.window.controller import Controller
from chatctl.window.panels import Sheet
from chatctl.window.theme import Theme
from chatd.errors import ChatdError
from chatd.proto.events import Message

ROWS = 10
ERASED_LIMIT = 1_000
# Letters below which only the words are shown.
NARROW = 62


class SearchSheet(Sheet):
    """``go`` gets the message that was chosen."""

    def __init__(
        self,
        parent: tk.Misc,
        theme: Theme,
        control: Controller,
        go: Callable[[Message], None],
        closed: Callable[[], None],
        query: str = "",
    ) -> None:
        super().__init__(parent, theme, "Search", closed)
        self._control, self._go = control, go
        self._found: dict[str, Message] = {}
        # Since the panel was opened: an answer that was made before may be shown after.
        self._erased: deque[RedactedRange] = deque(maxlen=ERASED_LIMIT)
        self._query = tk.StringVar(self, query)
        self.entry = ttk.Entry(self, textvariable=self._query, font=theme.body)
        self.entry.pack(fill="x")
        self.entry.bind("<Return>", lambda _: self.run())
        self.entry.bind("<Down>", lambda _: self._into())
        self._state = ttk.Label(
            self, style="Quiet.TLabel", text="All words must occur. from:NAME in:#room since:2h"
        )
        self._state.pack(anchor="w", pady=(theme.unit // 2, theme.unit))
        self.list = ttk.Treeview(
            self, columns=("room", "time"), show="tree", height=ROWS, selectmode="browse"
        )
        measure = theme.body.measure
        self.list.column("#0", width=measure("n" * 26), stretch=True)
        self.list.column("room", width=measure("n" * 11), stretch=False)
        self.list.column(
            "time", width=measure("0000-00-00 00:00Z") + 3 * theme.unit, stretch=False, anchor="e"
        )
        # In a narrow window there is room for the words only.
        self._narrow = parent.winfo_width() < measure("n" * NARROW)
        self.list.configure(displaycolumns=() if self._narrow else ("room", "time"))
        self.list.pack(fill="both", expand=True)
        self.list.bind("<Return>", lambda _: self._choose())
        self.list.bind("<Double-Button-1>", lambda _: self._choose())
        self.finish(self.entry)
        self.entry.icursor("end")
        if query:
            self.run()

    def run(self) -> None:
        """Ask the server."""
        if query := self._query.get().strip():
            self._state.configure(text="searching \u2026", style="Quiet.TLabel")
            self._control.find(query, self._show, self._failed)

    def _show(self, events: list[Message], more: bool) -> None:
        if not self.winfo_exists():
            return
        self.list.delete(*self.list.get_children())
        self._found = {str(event.seq): event for event in events if not self._gone(event)}
        for key, event in self._found.items():
            room = self._control.model.title(event.room)
            time = f"{render.day_of(event.at)} {render.clock_of(event.at)[:5]}Z"
            where = f"{room} " if self._narrow else ""
            text = f" {where}{render.name(event.user)}: {render.snippet(event.body, 100)}"
            self.list.insert("", "end", key, text=text, values=(f" {room}", time))
        words = f"{len(self._found)} found" + (", the newest of more: narrow the search" if more else "")
        self._state.configure(text=words if self._found else "nothing was found")
        if self.focus_get() is self.list:
            self._into()  # what was selected there is gone; without it the keys do nothing

    def erase(self, erased: list[RedactedRange]) -> None:
        """Take away what the server has erased."""
        self._erased += erased
        for key in [key for key, event in self._found.items() if self._gone(event)]:
            after = self.list.next(key) or self.list.prev(key)
            chosen = self.list.focus() == key
            self.list.delete(key)
            del self._found[key]
            if chosen and after:
                self.list.focus(after)
                self.list.selection_set(after)
            left = f"{len(self._found)} left" if self._found else "nothing is left"
            self._state.configure(text=f"{left}; the rest was erased")

    def _gone(self, event: Message) -> bool:
        return any(one.has(event) for one in self._erased)

    def _failed(self, error: ChatdError) -> None:
        if self.winfo_exists():
            self._state.configure(text=f"{error.reason}; {error.fix}", style="Bad.TLabel")

    def _into(self) -> None:
        if first := self.list.get_children():
            self.list.focus_set()
            self.list.focus(first[0])
            self.list.selection_set(first[0])

    def _choose(self) -> None:
        if (event := self._found.get(self.list.focus())) is not None:
            self.close()
            self._go(event)
