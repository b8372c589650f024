"""The search panel: a field and the messages found, newest first."""

from __future__ import annotations

import tkinter as tk
from collections import deque
from collections.abc import Callable, Iterable
from tkinter import ttk

from chatctl.model import render
from chatctl.model.chat_model import RedactedRange
from chatctl.model.hits import HIT, Hits
from chatctl.model.render import Line
from chatctl.model.times import Times
from chatctl.window.panels import Panel, Refuse
from chatctl.window.row_list import shortened
from chatctl.window.theme import Theme
from chatd.errors import ChatdError
from chatd.proto.events import Message

ROWS = 10
REDACTED_LIMIT = 1_000
# In a panel narrower than this many letters, the room and time columns are hidden.
NARROW_CHARS = 62
# Of a text in the list, without the writer, at least so many.
MIN_CHARS = 20

# Starts a search for a query; calls back with the messages, newest first, and what there is to say of them.
Find = Callable[[str, Callable[[list[Message], str], None], Refuse], None]


class SearchPanel(Panel):
    """``title`` gives a room's title; ``go`` shows a message in its room."""

    def __init__(
        self,
        parent: tk.Misc,
        theme: Theme,
        find: Find,
        title: Callable[[str], str],
        go: Callable[[Message], None],
        query: str = "",
        times: Times = Times.UTC,
    ) -> None:
        super().__init__(parent, theme, "Search")
        self._find, self._title_of, self._go, self._times = find, title, go, times
        self._found: dict[str, Message] = {}
        self._texts: dict[str, str] = {}  # of the rows, in full
        # Redactions since the panel opened: a result may have been computed before one and arrive after it.
        self._redacted: deque[RedactedRange] = deque(maxlen=REDACTED_LIMIT)
        self._query = tk.StringVar(self, query)
        entry = ttk.Entry(self, textvariable=self._query, font=theme.body)
        entry.pack(fill="x")
        entry.bind("<Return>", lambda _: self.run())
        entry.bind("<Down>", lambda _: self._focus_first())
        hint = "Finds messages with all words. swap* is a beginning. Filters: from:NAME in:#room in:@NAME"
        self._state = ttk.Label(self, style="Quiet.TLabel", text=hint)
        self._state.pack(anchor="w", pady=(theme.unit // 2, theme.unit))
        self._narrow = parent.winfo_width() < theme.body.measure("n" * NARROW_CHARS)
        self.list = self._make_list()
        self.finish(entry)
        entry.icursor("end")
        if query:
            self.run()

    def _make_list(self) -> ttk.Treeview:
        found = ttk.Treeview(self, columns=("room", "time"), show="tree", height=ROWS, selectmode="browse")
        measure = self.theme.body.measure
        time_width = measure("0000-00-00 00:00Z") + 3 * self.theme.unit
        found.column("#0", width=measure("n" * 26), stretch=True)
        found.column("room", width=measure("n" * 11), stretch=False)
        found.column("time", width=time_width, stretch=False, anchor="e")
        found.configure(displaycolumns=() if self._narrow else ("room", "time"))
        found.pack(fill="both", expand=True)
        found.bind("<Return>", lambda _: self._choose())
        found.bind("<Double-Button-1>", lambda _: self._choose())
        found.bind("<Configure>", lambda _: self.after_idle(self._shorten))
        return found

    def run(self) -> None:
        """Start the search."""
        if query := self._query.get().strip():
            self._state.configure(text="searching\u2026", style="Quiet.TLabel")
            self._find(query, self._show, self._refuse)

    def _show(self, events: list[Message], told: str) -> None:
        if not self.winfo_exists():
            return
        self.list.delete(*self.list.get_children())
        self._texts.clear()
        self._found = {str(event.seq): event for event in events if not self._is_redacted(event)}
        hits = Hits(self._query.get())
        for key, event in self._found.items():
            room = self._title_of(event.room)
            time = f"{self._times.day(event.at)} {self._times.clock(event.at, seconds=False)}"
            where = f"{room} " if self._narrow else ""
            head = f"{where}{render.safe(event.user)}: "
            self._texts[key] = self._excerpt(head, event.body, hits)
            self.list.insert("", "end", key, values=(f" {room}", time))
        self._shorten()
        self._state.configure(text=told)
        if self.focus_get() is self.list:
            self._focus_first()  # the arrow keys need a selected row, and the old one is gone

    def _excerpt(self, head: str, body: str, hits: Hits) -> str:
        """Return a row's text; of one that does not fit its column, a part around the first word found."""
        font, width = self.theme.body, self._text_width()
        text = head + _marked(hits.excerpt(body))
        if font.measure(text) <= width:
            return text
        chars = max(MIN_CHARS, width // font.measure("e") - len(head))
        return head + _marked(hits.excerpt(body, limit=chars))

    def _text_width(self) -> int:
        return int(self.list.column("#0", "width")) - 4 * self.theme.unit

    def _shorten(self) -> None:
        """Fit the texts into their column; Tk would cut them without a sign."""
        if not self.winfo_exists():
            return
        width = self._text_width()
        for key in self.list.get_children():
            self.list.item(key, text=f" {shortened(self._texts[key], self.theme.body, width)}")

    def redact(self, redacted: Iterable[RedactedRange]) -> None:
        """Remove deleted messages from the list, and from results still to come."""
        self._redacted += redacted
        for key in [key for key, event in self._found.items() if self._is_redacted(event)]:
            neighbour = self.list.next(key) or self.list.prev(key)
            focused = self.list.focus() == key
            self.list.delete(key)
            del self._found[key], self._texts[key]
            if focused and neighbour:
                self._select(neighbour)
            remaining = f"{len(self._found)} left" if self._found else "nothing left"
            self._state.configure(text=f"{remaining}; the others were deleted")

    def _is_redacted(self, event: Message) -> bool:
        return any(redacted.covers(event) for redacted in self._redacted)

    def _refuse(self, error: ChatdError) -> None:
        if self.winfo_exists():
            self._state.configure(text=f"{error.reason}; {error.fix}", style="Bad.TLabel")

    def _focus_first(self) -> None:
        if keys := self.list.get_children():
            self.list.focus_set()
            self._select(keys[0])

    def _select(self, key: str) -> None:
        self.list.focus(key)
        self.list.selection_set(key)

    def _choose(self) -> None:
        if (event := self._found.get(self.list.focus())) is not None:
            self.close()
            self._go(event)


def _marked(line: Line) -> str:
    """A line as text: the rows of a list have one style."""
    return "".join(f"\u00ab{text}\u00bb" if style == HIT else text for style, text in line)
