"""The parts of the window, and which of them there is room for."""

from __future__ import annotations

import tkinter as tk
from tkinter import ttk
from typing import TYPE_CHECKING

from chatctl.window.composer import Composer
from chatctl.window.message_view import Messages
from chatctl.window.side_list import SideList
from chatctl.window.status_line import StatusLine
from chatctl.window.tab_cycle import TabCycle

if TYPE_CHECKING:
    from chatctl.window.window import Window

# Widths in letters below which the side lists are hidden.
MEMBERS_FROM, ROOMS_FROM = 96, 62


class Layout:
    """Made once: the header, the line at the bottom, and between them a conversation with lists beside it."""

    def __init__(self, window: Window) -> None:
        self._window, self._root, self._theme = window, window.root, window.theme
        self.narrow = False
        self._make_header()
        self.status = StatusLine(self._root, self._theme, window.connect_again)
        self.status.pack(side="bottom", fill="x")
        for edge in ("top", "bottom"):
            ttk.Frame(self._root, style="Line.TFrame", height=1).pack(side=edge, fill="x")
        self._make_middle()

    def _make_header(self) -> None:
        unit, window = self._theme.unit, self._window
        header = ttk.Frame(self._root, padding=(unit, unit // 2))
        header.pack(fill="x")
        self._rooms_button = ttk.Button(
            header, text="Rooms", style="Flat.TButton", command=self._toggle_rooms
        )
        self._title = ttk.Label(header, style="Title.TLabel")
        self._title.pack(side="left")
        self.menu_button = ttk.Menubutton(header, text="Menu", takefocus=True)
        self.menu_button.pack(side="right")
        search = ttk.Button(header, text="Search", style="Flat.TButton", command=window.search)
        search.pack(side="right", padx=unit // 2)
        # Packed last: the topic takes what is left and is cut off, not the buttons.
        self._topic = ttk.Label(header, style="Quiet.TLabel")
        self._topic.pack(side="left", fill="x", expand=True, padx=unit)

    def _make_middle(self) -> None:
        unit, window, theme = self._theme.unit, self._window, self._theme
        self.middle = ttk.Frame(self._root, style="Line.TFrame")
        self.middle.pack(fill="both", expand=True)
        self.middle.columnconfigure(1, weight=1)
        self.middle.rowconfigure(0, weight=1)
        self.rooms = SideList(self.middle, theme, "Rooms", mark_chars=4, text_chars=17, chosen=window.look_at)
        self.members = SideList(
            self.middle, theme, "Members", mark_chars=8, text_chars=13, chosen=window.write_to
        )
        self._center = ttk.Frame(self.middle, style="Page.TFrame")
        self.messages = Messages(self._center, theme, window.control.older)
        self.composer = Composer(self._center, theme, window.submit, TabCycle(window.model))
        self.composer.configure(padding=unit)
        self.composer.pack(side="bottom", fill="x")
        self.messages.pack(fill="both", expand=True)
        self.rooms.grid(row=0, column=0, sticky="nsew", padx=(0, 1))
        self._center.grid(row=0, column=1, sticky="nsew")
        self.members.grid(row=0, column=2, sticky="nsew", padx=(1, 0))

    def restyle(self) -> None:
        """Take the theme's present colours and sizes."""
        for view in (self.rooms, self.messages, self.composer, self.members):
            view.restyle()

    def name(self, title: str, topic: str, unread: int) -> None:
        """Say in the header which conversation this is, and how much is unread everywhere."""
        self._title.configure(text=title)
        self._topic.configure(text="" if self.narrow else topic)
        self._rooms_button.configure(text=f"Rooms ({unread})" if unread else "Rooms")

    def arrange(self) -> None:
        """Show the lists that there is room for; members where there are any to be shown."""
        letters = self._root.winfo_width() / max(1, self._theme.body.measure("n"))
        members = letters >= MEMBERS_FROM and not self._window.model.current.startswith("@")
        (self.members.grid if members else self.members.grid_remove)()
        narrow = letters < ROOMS_FROM
        if narrow != self.narrow:
            self.narrow = narrow
            self.rooms.grid(columnspan=1)
            self._center.grid()
            if narrow:
                self.rooms.grid_remove()
                self._rooms_button.pack(side="left", before=self._title, padx=(0, self._theme.unit))
            else:
                self._rooms_button.pack_forget()
        self._topic.configure(text="" if narrow else self._window.model.here.topic)

    def _toggle_rooms(self) -> None:
        """In a narrow window the list is shown when it is asked for."""
        if self.rooms.winfo_ismapped():
            self.hide_rooms()
        else:
            self._center.grid_remove()
            self.rooms.grid(columnspan=2)
            self.rooms.tree.focus_set()

    def hide_rooms(self) -> None:
        """Show the conversation again where there is no room for both."""
        if self.narrow:
            self.rooms.grid_remove()
            self._center.grid()

    def next_part(self) -> None:
        """The keyboard goes to the next of the lists and texts, also where Tab completes."""
        if self.narrow and not self.rooms.winfo_ismapped() and self._root.focus_get() is self.composer.text:
            self._toggle_rooms()
            return
        self.hide_rooms()
        every = (self.rooms.tree, self.messages.text, self.composer.text, self.members.tree)
        parts: list[tk.Misc] = [one for one in every if one.winfo_ismapped()]
        now = self._root.focus_get()
        at = parts.index(now) if now in parts else 0
        parts[(at + 1) % len(parts)].focus_set()
