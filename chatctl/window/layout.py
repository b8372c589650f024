"""The parts of the window, and which of them fit into its width."""

from __future__ import annotations

import tkinter as tk
from collections.abc import Callable
from tkinter import ttk
from typing import Literal

from chatctl.model.chat_model import ChatModel
from chatctl.window import shapes
from chatctl.window.composer import Composer
from chatctl.window.message_menu import last_message
from chatctl.window.message_view import MessageView
from chatctl.window.own_line import OwnLine
from chatctl.window.row_list import shortened
from chatctl.window.side_list import SideList
from chatctl.window.status_line import StatusLine
from chatctl.window.tab_cycle import TabCycle
from chatctl.window.theme import Theme
from chatd.pki.identity import Identity

# In a window narrower than this many letters, the list is hidden.
MEMBERS_CHARS, ROOMS_CHARS = 112, 62
# The width of the lists, in units of the theme.
ROOMS_UNITS, MEMBERS_UNITS = 30, 24
# Lines of messages for which a low window gives up its header and status line.
MESSAGE_LINES = 2


class Layout:
    """Rooms on the left; a header, a conversation and its members beside them; a status line below."""

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
        browse: Callable[[], None],
        create: Callable[[], None],
        connect_now: Callable[[], None],
    ) -> None:
        self._root, self._theme, self._model = root, theme, model
        self.narrow = False
        self._topic_text = ""
        self.status = StatusLine(root, theme, connect_now)
        bottom = ttk.Frame(root, style="Line.TFrame", height=1)
        self.status.pack(side="bottom", fill="x")
        bottom.pack(side="bottom", fill="x")
        self.middle = ttk.Frame(root, style="Line.TFrame")
        self.middle.pack(fill="both", expand=True)
        self.middle.columnconfigure(1, weight=1)
        self.middle.rowconfigure(0, weight=1)
        self.rooms = SideList(self.middle, theme, "Rooms", width=ROOMS_UNITS, choose=open_conversation)
        self._new_button = self.rooms.add_button("plus", "New room", create)
        self.rooms.add_button("browse", "All rooms", browse)
        self.own = OwnLine(self.rooms, theme)
        self.own.pack(side="bottom", fill="x")
        ttk.Frame(self.rooms, style="Line.TFrame", height=1).pack(side="bottom", fill="x")
        self._main = ttk.Frame(self.middle)
        self._make_header(search)
        top = ttk.Frame(self._main, style="Line.TFrame", height=1)
        top.pack(side="top", fill="x")
        self._around: tuple[tuple[ttk.Frame, ttk.Frame, Literal["top", "bottom"]], ...] = (
            (self.status, bottom, "bottom"),
            (self._header, top, "top"),
        )
        below = ttk.Frame(self._main, style="Line.TFrame")
        below.pack(fill="both", expand=True)
        below.columnconfigure(0, weight=1)
        below.rowconfigure(0, weight=1)
        center = ttk.Frame(below)
        self.messages = MessageView(center, theme, load_older)
        self.messages.margin.write_to = write_to
        self.composer = Composer(
            center, theme, submit, TabCycle(model), lambda: last_message(model.last_own_message())
        )
        self.composer.configure(padding=(2 * theme.unit, theme.unit, 2 * theme.unit, 2 * theme.unit))
        self.composer.pack(side="bottom", fill="x")
        self.composer.bind("<Configure>", lambda _: self._arrange_height(), add="+")
        self.messages.pack(fill="both", expand=True)
        self.members = SideList(below, theme, "Members", width=MEMBERS_UNITS, choose=write_to)
        center.grid(row=0, column=0, sticky="nsew")
        self.members.grid(row=0, column=1, sticky="nsew", padx=(1, 0))
        self.rooms.grid(row=0, column=0, sticky="nsew", padx=(0, 1))
        self._main.grid(row=0, column=1, sticky="nsew")

    def _make_header(self, search: Callable[[], None]) -> None:
        unit = self._theme.unit
        self._header = header = ttk.Frame(self._main, padding=(2 * unit, unit))
        header.pack(fill="x")
        self._rooms_button = ttk.Button(
            header, text="Rooms", style="Flat.TButton", command=self._toggle_rooms
        )
        self._title = ttk.Label(header, style="Title.TLabel")
        self._title.pack(side="left")
        self.menu_button = ttk.Menubutton(header, style="Flat.TMenubutton", takefocus=True)
        self.menu_button.pack(side="right")
        self._search_button = ttk.Button(header, style="Flat.TButton", command=search)
        self._search_button.pack(side="right", padx=unit // 2)
        # Packed last, so that a long topic is cut off rather than the buttons.
        self._topic = ttk.Label(header, style="Quiet.TLabel")
        self._topic.pack(side="left", fill="x", expand=True, padx=(2 * unit, unit), pady=(unit // 4, 0))
        self._topic.bind("<Configure>", lambda _: self._fit_topic())

    def restyle(self) -> None:
        """Apply the theme's current colours and fonts."""
        for view in (self.rooms, self.own, self.messages, self.composer, self.members):
            view.restyle()
        size, p = 2 * self._theme.unit, self._theme.palette
        for button, name in ((self.menu_button, "menu"), (self._search_button, "search")):
            text = {"menu": "Menu", "search": "Search"}[name]
            button.configure(
                image=self._theme.image(shapes.icon, name, size, p.page, p.quiet), text=f" {text}"
            )
            button.configure(compound="left")

    def show_header(self, title: str, topic: str, unread: int) -> None:
        """Show the current conversation in the header, and the number of unread messages everywhere."""
        self._title.configure(text=title)
        self._topic_text = topic
        self._fit_topic()
        self._rooms_button.configure(text=f"Rooms ({unread})" if unread else "Rooms")

    def _fit_topic(self) -> None:
        width = self._topic.winfo_width()
        text = "" if self.narrow else shortened(self._topic_text, self._theme.small, width)
        self._topic.configure(text=text)

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
            self._main.grid()
            if narrow:
                self.rooms.grid_remove()
                self._rooms_button.pack(side="left", before=self._title, padx=(0, self._theme.unit))
            else:
                self._rooms_button.pack_forget()
        self._fit_topic()

    def show_status(self, identity: Identity) -> None:
        """Draw the state of the connection, and warn if the identity ends soon."""
        self.own.show(self._model)
        welcome = self._model.welcome
        self.rooms.heading.configure(text=welcome.instance if welcome else "")
        self._new_button.state(["!disabled" if "room.create" in self._model.permissions else "disabled"])
        if self.status.show(self._model, identity):
            # The text may be wrapped to more rows than before.
            self._root.update_idletasks()
            self._arrange_height()

    def _arrange_height(self) -> None:
        """Hide the header, or the status line, where they would push the input off a low window."""
        line_height = self._theme.body.metrics("linespace")
        spare = self._root.winfo_height() - self.composer.winfo_reqheight() - MESSAGE_LINES * line_height
        for part, edge, side in self._around:
            # The list of rooms says that all is well.
            silent = part is self.status and self.status.silent and not self.narrow
            if silent or part.winfo_reqheight() > spare:
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
            self._main.grid_remove()
            self.rooms.grid(columnspan=2)
            self.rooms.rows.focus_set()

    def hide_rooms(self) -> None:
        """In a narrow window: show the conversation again."""
        if self.narrow:
            self.rooms.grid_remove()
            self._main.grid()

    def next_part(self) -> None:
        """Focus the next list or text, even where Tab completes."""
        focused = self._root.focus_get()
        if self.narrow and not self.rooms.winfo_ismapped() and focused is self.composer.text:
            self._toggle_rooms()
            return
        self.hide_rooms()
        every = (self.rooms.rows, self.messages.text, self.composer.text, self.members.rows)
        parts: list[tk.Misc] = [part for part in every if part.winfo_ismapped()]
        at = parts.index(focused) if focused in parts else 0
        parts[(at + 1) % len(parts)].focus_set()
