"""The parts of the window, and which of them fit into its width."""

from __future__ import annotations

import tkinter as tk
from collections.abc import Callable
from datetime import datetime
from tkinter import ttk
from typing import Literal

from chatctl.model.chat_model import ChatModel
from chatctl.window.composer import Composer
from chatctl.window.message_view import MessageView
from chatctl.window.side_list import SideList
from chatctl.window.status_line import StatusLine
from chatctl.window.tab_cycle import TabCycle
from chatctl.window.theme import Theme

# In a window narrower than this many letters, the list is hidden.
MEMBERS_CHARS, ROOMS_CHARS = 96, 62
# Lines of messages for which a low window gives up its header and status line.
MESSAGE_LINES = 2


class Layout:
    """A header, a conversation between two side lists, and a status line."""

    def __init__(
        self,
        root: tk.Tk,
        theme: Theme,
        model: ChatModel,
        *,
        submit: Callable[[str], None],
        load_older: Callable[[], None],
        open_conversation: Callable[[str], None],
        write_to: Callable[[str], None],
        search: Callable[[], None],
        connect_now: Callable[[], None],
    ) -> None:
        self._root, self._theme, self._model = root, theme, model
        self.narrow = False
        self._make_header(search)
        self.status = StatusLine(root, theme, connect_now)
        self.status.pack(side="bottom", fill="x")
        top, bottom = (ttk.Frame(root, style="Line.TFrame", height=1) for _ in range(2))
        top.pack(side="top", fill="x")
        bottom.pack(side="bottom", fill="x")
        self._around: tuple[tuple[ttk.Frame, ttk.Frame, Literal["top", "bottom"]], ...] = (
            (self.status, bottom, "bottom"),
            (self._header, top, "top"),
        )
        self.middle = ttk.Frame(root, style="Line.TFrame")
        self.middle.pack(fill="both", expand=True)
        self.middle.columnconfigure(1, weight=1)
        self.middle.rowconfigure(0, weight=1)
        self.rooms = SideList(
            self.middle, theme, "Rooms", widest_mark="999k+", text_chars=17, choose=open_conversation
        )
        self.members = SideList(
            self.middle, theme, "Members", widest_mark="announce", text_chars=13, choose=write_to
        )
        self._center = ttk.Frame(self.middle, style="Page.TFrame")
        self.messages = MessageView(self._center, theme, load_older)
        self.composer = Composer(self._center, theme, submit, TabCycle(model))
        self.composer.configure(padding=theme.unit)
        self.composer.pack(side="bottom", fill="x")
        self.composer.bind("<Configure>", lambda _: self._arrange_height(), add="+")
        self.messages.pack(fill="both", expand=True)
        self.rooms.grid(row=0, column=0, sticky="nsew", padx=(0, 1))
        self._center.grid(row=0, column=1, sticky="nsew")
        self.members.grid(row=0, column=2, sticky="nsew", padx=(1, 0))

    def _make_header(self, search: Callable[[], None]) -> None:
        unit = self._theme.unit
        self._header = header = ttk.Frame(self._root, padding=(unit, unit // 2))
        header.pack(fill="x")
        self._rooms_button = ttk.Button(
            header, text="Rooms", style="Flat.TButton", command=self._toggle_rooms
        )
        self._title = ttk.Label(header, style="Title.TLabel")
        self._title.pack(side="left")
        self.menu_button = ttk.Menubutton(header, text="Menu", takefocus=True)
        self.menu_button.pack(side="right")
        button = ttk.Button(header, text="Search", style="Flat.TButton", command=search)
        button.pack(side="right", padx=unit // 2)
        # Packed last, so that a long topic is cut off rather than the buttons.
        self._topic = ttk.Label(header, style="Quiet.TLabel")
        self._topic.pack(side="left", fill="x", expand=True, padx=unit)

    def restyle(self) -> None:
        """Apply the theme's current colours and fonts."""
        for view in (self.rooms, self.messages, self.composer, self.members):
            view.restyle()

    def show_header(self, title: str, topic: str, unread: int) -> None:
        """Show the current conversation in the header, and the number of unread messages everywhere."""
        self._title.configure(text=title)
        self._topic.configure(text="" if self.narrow else topic)
        self._rooms_button.configure(text=f"Rooms ({unread})" if unread else "Rooms")

    def arrange(self) -> None:
        """Show the parts that fit; direct conversations have no list of members."""
        self._arrange_height()
        letters = self._root.winfo_width() / max(1, self._theme.body.measure("n"))
        show_members = letters >= MEMBERS_CHARS and not self._model.current.startswith("@")
        (self.members.grid if show_members else self.members.grid_remove)()
        narrow = letters < ROOMS_CHARS
        if narrow != self.narrow:
            self.narrow = narrow
            self.rooms.grid(columnspan=1)
            self._center.grid()
            if narrow:
                self.rooms.grid_remove()
                self._rooms_button.pack(side="left", before=self._title, padx=(0, self._theme.unit))
            else:
                self._rooms_button.pack_forget()
        self._topic.configure(text="" if narrow else self._model.here.topic)

    def show_status(self, expiry: datetime) -> None:
        """Draw the status line. ``expiry`` is that of the certificate."""
        if self.status.show(self._model, expiry):
            # The text may be wrapped to more rows than before.
            self._root.update_idletasks()
            self._arrange_height()

    def _arrange_height(self) -> None:
        """Hide the header, or the status line, where they would push the input off a low window."""
        line_height = self._theme.body.metrics("linespace")
        spare = self._root.winfo_height() - self.composer.winfo_reqheight() - MESSAGE_LINES * line_height
        for part, edge, side in self._around:
            if part.winfo_reqheight() > spare:
                part.pack_forget()
                continue
            spare -= part.winfo_reqheight()
            if not part.winfo_manager():
                part.pack(side=side, fill="x", before=edge)

    def _toggle_rooms(self) -> None:
        """In a narrow window: swap the conversation and the list of rooms."""
        if self.rooms.winfo_ismapped():
            self.hide_rooms()
        else:
            self._center.grid_remove()
            self.rooms.grid(columnspan=2)
            self.rooms.tree.focus_set()

    def hide_rooms(self) -> None:
        """In a narrow window: show the conversation again."""
        if self.narrow:
            self.rooms.grid_remove()
            self._center.grid()

    def next_part(self) -> None:
        """Focus the next list or text, even where Tab completes."""
        focused = self._root.focus_get()
        if self.narrow and not self.rooms.winfo_ismapped() and focused is self.composer.text:
            self._toggle_rooms()
            return
        self.hide_rooms()
        every = (self.rooms.tree, self.messages.text, self.composer.text, self.members.tree)
        parts: list[tk.Misc] = [part for part in every if part.winfo_ismapped()]
        at = parts.index(focused) if focused in parts else 0
        parts[(at + 1) % len(parts)].focus_set()
