"""The window: puts the views around the model and keeps both moving. All of it is on Tk's thread."""

from __future__ import annotations

import tkinter as tk

from chatctl.model.render import clock_of
from chatctl.window.commands import submit
from chatctl.window.controller import Controller
from chatctl.window.drafts import Drafts
from chatctl.window.layout import Layout
from chatctl.window.menus import Menus
from chatctl.window.notify import Notifier
from chatctl.window.panels import Sheet
from chatctl.window.search_panel import SearchSheet
from chatctl.window.side_list import Entry
from chatctl.window.theme import DARK, LIGHT, Theme
from chatctl.window.timeline import BlockCache, blocks

POLL_MS = 40
DRAFTS_MS = 5_000


class Window:
    """One run of the desktop client in the Tk root ``root``."""

    def __init__(
        self,
        root: tk.Tk,
        control: Controller,
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
        self.notifier = Notifier(root.bell, on=notify)
        self._made: BlockCache = {}
        self._drawn = ""  # the conversation that is drawn
        self._ended = False
        self.layout = Layout(self)
        self.rooms, self.members = self.layout.rooms, self.layout.members
        self.messages, self.composer = self.layout.messages, self.layout.composer
        self.middle = self.layout.middle
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
        self.layout.restyle()
        self.menus.restyle()

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
            self.control.network.poll()
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
        erased, self.model.redacted = self.model.redacted, []
        if erased and isinstance(self.sheet, SearchSheet):
            self.sheet.erase(erased)
        self.notifier.poll()
        if self.model.alerts:
            call = self.model.alerts[-1]
            self.layout.status.call(f"{call.title}: {call.text}")
            self.model.alerts.clear()
            self.notifier.tell(call.title, call.text, looking=self.model.looking)
        if self._drawn != self.model.current:
            self._change_drafts()
        if "rooms" in changed:
            self._draw_rooms()
        if "rows" in changed:
            self._draw_rows()
        if "members" in changed:
            self._draw_members()
        if changed or self.layout.status.calling:
            self._draw_state()

    def _draw_rooms(self) -> None:
        entries = [
            Entry(
                one.name,
                self.model.title(one.name),
                str(one.unread) if one.unread else "",
                "called" if one.mentions else "unread" if one.unread else "",
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
        tags = {} if here.members_as_of else {"online": "", "away": "away"}
        entries = [
            Entry(one.user, one.user, one.role if one.role != "user" else "", tags.get(one.state, "quiet"))
            for one in known
        ]
        count = sum(one.state != "offline" for one in known)
        heading = (
            f"Members as of {clock_of(here.members_as_of)[:5]}Z"
            if here.members_as_of
            else f"Members: {count} of {len(known)} here"
        )
        self.members.heading = heading if known else ""
        self.members.show(entries)

    def _draw_state(self) -> None:
        model, here = self.model, self.model.here
        title = model.title(here.name) if here.name else "no room"
        self.layout.name(title, here.topic, model.unread)
        self.composer.hint(f"Message to {title}")
        self.root.title(f"({model.unread}) {title} - chatd" if model.unread else f"{title} - chatd")
        self.layout.status.show(model, self.control.network.client.identity.not_after)

    # -- done by the person

    def connect_again(self) -> None:
        """After the connection ended for good; the button goes, and the keyboard with it."""
        self.control.connect_again()
        self.composer.text.focus_set()

    def submit(self, text: str) -> None:
        """Do what was typed."""
        submit(self.control, text)
        self.messages.to_end()
        # Once it is out of the input, which is after this: it must not come back when it was sent.
        self.root.after_idle(self.keep_drafts)

    def look_at(self, name: str) -> None:
        """Make a conversation current."""
        self.control.switch(name)
        self.layout.hide_rooms()
        self.composer.text.focus_set()

    def _change_drafts(self) -> None:
        """What is typed belongs to its conversation, also while one looks at another."""
        if self._drawn:
            self.model.conversation(self._drawn).draft = self.composer.value
        self._drawn, here = self.model.current, self.model.here
        self.menus.close()
        self.layout.hide_rooms()
        self.layout.arrange()
        self.composer.value, here.draft = here.draft, ""

    def write_to(self, user: str) -> None:
        """Make the conversation with somebody current."""
        if user != self.model.me:
            self.control.enter(f"@{user}")
            self.composer.text.focus_set()

    def _resized(self, event: tk.Event[tk.Misc]) -> None:
        if event.widget is not self.root:
            return
        self.model.changed.add("state")
        self.layout.arrange()
