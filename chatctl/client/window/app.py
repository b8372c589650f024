"""The window: puts the views around the model and keeps both moving. All of it is on Tk's thread."""

from __future__ import annotations

import time
import tkinter as tk
from datetime import UTC, datetime
from tkinter import ttk

from chatctl.client.render import clock_of
from chatctl.client.window.commands import submit
from chatctl.client.window.completing import Completing
from chatctl.client.window.composer import Composer
from chatctl.client.window.control import Control
from chatctl.client.window.drafts import Drafts
from chatctl.client.window.lists import Entry, SideList
from chatctl.client.window.menus import Menus
from chatctl.client.window.messages import Messages
from chatctl.client.window.notify import Notifier
from chatctl.client.window.search import SearchSheet
from chatctl.client.window.sheets import Sheet
from chatctl.client.window.theme import DARK, LIGHT, Theme
from chatctl.client.window.timeline import Known, blocks

POLL_MS = 40
DRAFTS_MS = 5_000
BANNER_SECONDS = 12.0
EXPIRY_DAYS = 14
# Widths in letters below which the side lists are hidden.
MEMBERS_FROM, ROOMS_FROM = 96, 62


class Window:
    """One run of the desktop client in the Tk root ``root``."""

    def __init__(
        self,
        root: tk.Tk,
        control: Control,
        theme: Theme,
        drafts: Drafts,
        *,
        dark: bool,
        notify: bool = True,
    ) -> None:
        self.root, self.control, self.theme = root, control, theme
        self.model = control.model
        self._drafts = drafts
        for name, text in drafts.kept.items():
            self.model.conversation(name).draft = text
        control.view = self
        self.sheet: Sheet | None = None
        self._banner: tuple[str, float] | None = None
        self.notifier = Notifier(root.bell, on=notify)
        self._made: Known = {}
        self._drawn = ""  # the conversation that is drawn
        self._ended = False
        self._narrow = False
        self._build()
        self.menus = Menus(self)
        self.use_theme(dark=dark)
        root.protocol("WM_DELETE_WINDOW", self.quit)
        root.bind("<Configure>", self._resized)
        unit = theme.unit
        # Not larger than the screen, however large the text is.
        wide = min(130 * unit, root.winfo_screenwidth() * 9 // 10)
        root.geometry(f"{wide}x{min(82 * unit, root.winfo_screenheight() * 9 // 10)}")
        root.minsize(40 * unit, 46 * unit)
        self.composer.text.focus_set()

    # -- built once

    def _build(self) -> None:
        unit = self.theme.unit
        self._header = ttk.Frame(self.root, padding=(unit, unit // 2))
        self._header.pack(fill="x")
        self._rooms_button = ttk.Button(
            self._header, text="Rooms", style="Flat.TButton", command=self._toggle_rooms
        )
        self._title = ttk.Label(self._header, style="Title.TLabel")
        self._title.pack(side="left")
        self.menu_button = ttk.Menubutton(self._header, text="Menu", takefocus=True)
        self.menu_button.pack(side="right")
        self._search = ttk.Button(self._header, text="Search", style="Flat.TButton", command=self.search)
        self._search.pack(side="right", padx=unit // 2)
        # Packed last: the topic takes what is left and is cut off, not the buttons.
        self._topic = ttk.Label(self._header, style="Quiet.TLabel")
        self._topic.pack(side="left", fill="x", expand=True, padx=unit)
        self._status = ttk.Frame(self.root, padding=(unit, unit // 3))
        self._status.pack(side="bottom", fill="x")
        self._dot = ttk.Label(self._status, text="\u25cf", style="Warn.TLabel")
        self._dot.pack(side="left")
        self._state = ttk.Label(self._status, style="Quiet.TLabel")
        self._state.pack(side="left", padx=(unit // 2, unit))
        self._told = ttk.Label(self._status, style="Bold.TLabel")
        self._again = ttk.Button(self._status, text="Connect again", command=self.connect_again)
        self._again.bind("<Return>", lambda _: self.connect_again())
        for edge in ("top", "bottom"):
            ttk.Frame(self.root, style="Line.TFrame", height=1).pack(side=edge, fill="x")
        self.middle = ttk.Frame(self.root, style="Line.TFrame")
        self.middle.pack(fill="both", expand=True)
        self.middle.columnconfigure(1, weight=1)
        self.middle.rowconfigure(0, weight=1)
        self.rooms = SideList(
            self.middle, self.theme, "Rooms", mark_chars=4, text_chars=17, chosen=self._chosen
        )
        self.members = SideList(
            self.middle, self.theme, "Members", mark_chars=8, text_chars=13, chosen=self._write_to
        )
        self._center = ttk.Frame(self.middle, style="Page.TFrame")
        self.messages = Messages(self._center, self.theme, self._on_top)
        self.composer = Composer(self._center, self.theme, self._submit, Completing(self.model))
        self.composer.configure(padding=unit)
        self.composer.pack(side="bottom", fill="x")
        self.messages.pack(fill="both", expand=True)
        self.rooms.grid(row=0, column=0, sticky="nsew", padx=(0, 1))
        self._center.grid(row=0, column=1, sticky="nsew")
        self.members.grid(row=0, column=2, sticky="nsew", padx=(1, 0))

    def use_theme(self, *, dark: bool) -> None:
        """Draw everything in the light or the dark palette."""
        self.dark = dark
        self.theme.use(DARK if dark else LIGHT)
        self._restyle()

    def zoom(self, by: int) -> None:
        """Larger or smaller text; 0 for the usual size."""
        self.theme.zoom(self.theme.points + by if by else 10)
        self._restyle()

    def _restyle(self) -> None:
        for view in (self.rooms, self.messages, self.composer, self.members, self.menus):
            view.restyle()

    # -- what runs

    def run(self) -> None:
        """Until the window is closed."""
        self.control.start()
        self._tick()
        self._keep_now_and_then()
        self.root.mainloop()

    def _tick(self) -> None:
        try:
            looking = bool(self.root.tk.call("focus", "-displayof", "."))
            if looking != self.model.looking:
                self.model.look(looking)
            self.model.reading = not self.messages.following
            self.control.link.poll()
            self.draw()
        finally:
            # Also after a defect: it costs one event, not the conversation.
            if not self._ended:
                self.root.after(POLL_MS, self._tick)

    def keep_drafts(self) -> None:
        """What is typed anywhere and not sent; what one looks at comes first."""
        found = {self._drawn: ""} | {one.name: one.draft for one in self.model.conversations.values()}
        if typed := self.composer.value:
            found[self._drawn] = typed
        self._drafts.keep(found)

    def _keep_now_and_then(self) -> None:
        # Nobody asks a window that goes away with its display.
        self.keep_drafts()
        self.root.after(DRAFTS_MS, self._keep_now_and_then)

    def quit(self) -> None:
        """Close the window. What is unsent is kept for the next run."""
        self._ended = True
        self.root.quit()

    def search(self, query: str = "") -> None:
        """Open the search panel."""
        self.menus.search(query)

    # -- drawn

    def draw(self) -> None:
        """Draw what changed since the last time."""
        changed, self.model.changed = self.model.changed, set()
        erased, self.model.erased = self.model.erased, []
        if erased and isinstance(self.sheet, SearchSheet):
            self.sheet.erase(erased)
        self.notifier.poll()
        if self.model.calls:
            call = self.model.calls[-1]
            self._banner = (f"{call.title}: {call.text}", time.monotonic() + BANNER_SECONDS)
            self.model.calls.clear()
            self.notifier.tell(call.title, call.text, looking=self.model.looking)
        if self._drawn != self.model.current:
            self._change_drafts()
        if "rooms" in changed:
            self._draw_rooms()
        if "rows" in changed:
            self._draw_rows()
        if "members" in changed:
            self._draw_members()
        if changed or self._banner:
            self._draw_state()

    def _draw_rooms(self) -> None:
        entries = [
            Entry(
                one.name,
                self.model.title(one.name),
                str(one.unread) if one.unread else "",
                "called" if one.called else "unread" if one.unread else "",
            )
            for one in self.model.listed()
        ]
        self.rooms.show(entries, self.model.current)

    def _draw_rows(self) -> None:
        here = self.model.here
        self.messages.show(here.name, blocks(here, self.model.me, self._made))
        if self.control.sought and self.messages.reveal(self.control.sought[1]):
            self.control.sought = None
        if here.draft and not self.composer.value:
            self.composer.give_back(here.draft)
            here.draft = ""

    def _draw_members(self) -> None:
        order = {"online": 0, "away": 1}
        here = self.model.here
        known = sorted(here.members.values(), key=lambda one: (order.get(one.state, 2), one.user))
        # What is not known to be so any more has no colours.
        tags = {} if here.as_of else {"online": "", "away": "away"}
        entries = [
            Entry(one.user, one.user, one.role if one.role != "user" else "", tags.get(one.state, "quiet"))
            for one in known
        ]
        count = sum(one.state != "offline" for one in known)
        heading = (
            f"Members as of {clock_of(here.as_of)[:5]}Z"
            if here.as_of
            else f"Members: {count} of {len(known)} here"
        )
        self.members.heading = heading if known else ""
        self.members.show(entries)

    def _draw_state(self) -> None:
        model, here = self.model, self.model.here
        title = model.title(here.name) if here.name else "no room"
        self._title.configure(text=title)
        self._topic.configure(text="" if self._narrow else here.topic)
        self._rooms_button.configure(text=f"Rooms ({model.unread})" if model.unread else "Rooms")
        self.composer.hint(f"Message to {title}")
        self.root.title(f"({model.unread}) {title} - chatd" if model.unread else f"{title} - chatd")
        self._dot.configure(
            style={"connected": "Good.TLabel", "ended": "Bad.TLabel"}.get(model.link, "Warn.TLabel")
        )
        self._state.configure(text=self._state_words())
        if self._banner and time.monotonic() > self._banner[1]:
            self._banner = None
        self._tell(self._banner[0] if self._banner else self._warning(), loud=bool(self._banner))

    def _tell(self, text: str, *, loud: bool) -> None:
        """Beside the state where that is wide enough, else below it, in as many lines as it takes."""
        if self.model.link == "ended":
            self._again.pack(side="right")
        else:
            self._again.pack_forget()
        theme = self.theme
        width = self.root.winfo_width() - 4 * theme.unit
        used = self._state.winfo_reqwidth() + self._again.winfo_reqwidth() + 4 * theme.unit
        font = theme.bold if loud else theme.small
        if not text:
            self._told.pack_forget()
        elif font.measure(text) + used < width:
            self._told.pack(side="left", fill="x", expand=True, after=self._state)
        else:
            self._told.pack(side="bottom", fill="x", before=self._dot)
        self._told.configure(text=text, style="Bold.TLabel" if loud else "Bad.TLabel", wraplength=width)

    def _state_words(self) -> str:
        model = self.model
        unsent = f" ({model.pending} unsent)" if model.pending else ""
        if model.link == "connected" and model.welcome is not None:
            return f"{model.me} ({model.welcome.role}) on {model.welcome.instance}, connected{unsent}"
        words = "not connected" if model.link == "ended" else model.link
        return f"{model.me}, {words}{unsent}"

    def _warning(self) -> str:
        """Why there is no connection, or what soon will be wrong with it."""
        model = self.model
        if model.trouble is not None:
            fix = f"; {model.trouble.fix} ({model.trouble.code})" if model.link == "ended" else ""
            return model.trouble.reason + fix
        if model.welcome is not None and not model.welcome.envelope:
            return "no envelope: only TLS protects this connection"
        days = (self.control.link.client.identity.not_after - datetime.now(UTC)).days
        return f"your certificate ends in {max(days, 0)} days; ask an admin" if days < EXPIRY_DAYS else ""

    # -- done by the person

    def connect_again(self) -> None:
        """After the connection ended for good; the button goes, and the keyboard with it."""
        self.control.connect_again()
        self.composer.text.focus_set()

    def _submit(self, text: str) -> None:
        submit(self.control, text)
        self.messages.to_end()
        # Once it is out of the input, which is after this: it must not come back when it was sent.
        self.root.after_idle(self.keep_drafts)

    def _chosen(self, key: str) -> None:
        self.control.switch(key)
        self.hide_rooms()
        self.composer.text.focus_set()

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
        if self._narrow:
            self.rooms.grid_remove()
            self._center.grid()

    def _change_drafts(self) -> None:
        """What is typed belongs to its conversation, also while one looks at another."""
        if self._drawn:
            self.model.conversation(self._drawn).draft = self.composer.value
        self._drawn, here = self.model.current, self.model.here
        self.menus.close()
        self.hide_rooms()
        self._arrange()
        self.composer.value, here.draft = here.draft, ""

    def _write_to(self, user: str) -> None:
        if user != self.model.me:
            self.control.enter(f"@{user}")
            self.composer.text.focus_set()

    def next_part(self) -> None:
        """The keyboard goes to the next of the lists and texts, also where Tab completes."""
        if self._narrow and not self.rooms.winfo_ismapped() and self.root.focus_get() is self.composer.text:
            self._toggle_rooms()
            return
        self.hide_rooms()
        every = (self.rooms.tree, self.messages.text, self.composer.text, self.members.tree)
        parts: list[tk.Misc] = [one for one in every if one.winfo_ismapped()]
        now = self.root.focus_get()
        at = parts.index(now) if now in parts else 0
        parts[(at + 1) % len(parts)].focus_set()

    def _on_top(self) -> None:
        self.control.older()

    def _resized(self, event: tk.Event[tk.Misc]) -> None:
        if event.widget is not self.root:
            return
        self.model.changed.add("state")
        self._arrange()

    def _arrange(self) -> None:
        """Show the lists that there is room for; members where there are any to be shown."""
        letters = self.root.winfo_width() / max(1, self.theme.body.measure("n"))
        members = letters >= MEMBERS_FROM and not self.model.current.startswith("@")
        (self.members.grid if members else self.members.grid_remove)()
        narrow = letters < ROOMS_FROM
        if narrow != self._narrow:
            self._narrow = narrow
            self.rooms.grid(columnspan=1)
            self._center.grid()
            if narrow:
                self.rooms.grid_remove()
            if narrow:
                self._rooms_button.pack(side="left", before=self._title, padx=(0, self.theme.unit))
            else:
                self._rooms_button.pack_forget()
        self._topic.configure(text="" if narrow else self.model.here.topic)
