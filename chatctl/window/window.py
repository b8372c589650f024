"""The window: connects the views to the model and keeps both running. All of it is on Tk's thread."""

from __future__ import annotations

import time
import tkinter as tk

from chatctl.model.conversation import typed_again
from chatctl.model.times import Times
from chatctl.window.controller import Controller
from chatctl.window.dialogs import Dialogs
from chatctl.window.drafts import Drafts
from chatctl.window.fonts import BASE_POINTS
from chatctl.window.layout import Layout
from chatctl.window.menus import MainMenu
from chatctl.window.message_menu import MessageMenu
from chatctl.window.notify import Notifier
from chatctl.window.palette import DARK, LIGHT
from chatctl.window.side_items import conversation_items, member_items, members_heading
from chatctl.window.status_line import takes_invite
from chatctl.window.theme import Theme
from chatctl.window.timeline import BlockCache, blocks
from chatctl.window.web_links import LinkOpener
from chatd.proto.events import Message

POLL_MS = 40
SAVE_DRAFTS_MS = 5_000
MARKER_CHECK_MS = 1_000


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
        for name, text in drafts.saved.items():
            self.model.conversation(name).draft = text
        control.view = self
        self.notifier = Notifier(root.bell, on=notify)
        self._block_cache: BlockCache = {}
        self._drawn = ""  # the conversation on the screen
        self._ended = False
        # Whether it was closed to give an invite instead of the identity in use.
        self.wants_invite = False
        self.layout = Layout(
            root,
            theme,
            self.model,
            submit=self.submit,
            load_older=control.older,
            open_conversation=self.open_conversation,
            write_to=self.write_to,
            search=self.search,
            browse=lambda: self.dialogs.browse(),
            create=lambda: self.dialogs.create(),
            connect_now=self.connect_now,
        )
        self.messages, self.composer = self.layout.messages, self.layout.composer
        focus = self.composer.text.focus_set
        self.dialogs = Dialogs(self.layout.middle, theme, control, focus, self.composer.begin)
        self._message_menu = MessageMenu(theme, self.messages, self.composer, control)
        self.messages.on_more = lambda seq: control.submit(f"/show {seq}")
        self.links = LinkOpener(self._link_failed)
        self.messages.on_link = self.links.open
        self.messages.on_scroll = self._note_view
        self._menu = MainMenu(root, theme, self.layout, control, self.dialogs, self.notifier, self)
        self._use_theme(dark=dark)
        self.show_times(self.model.times)
        root.protocol("WM_DELETE_WINDOW", self.quit)
        root.bind("<Configure>", self._resized)
        root.geometry("{}x{}".format(*self._within_screen(130, 82)))
        self.composer.text.focus_set()

    def _use_theme(self, *, dark: bool) -> None:
        self.dark = dark
        self.theme.use(DARK if dark else LIGHT)
        self._restyle()

    def toggle_theme(self) -> None:
        """Switch between the light and the dark palette."""
        self._use_theme(dark=not self.dark)

    def show_times(self, times: Times) -> None:
        """Show times in another zone."""
        self.model.times = self.messages.margin.times = times
        self._block_cache.clear()
        self.model.changed |= {"rows", "members"}

    def zoom(self, by: int) -> None:
        """Change the text size by some points; 0 restores the default size."""
        self.theme.zoom(self.theme.points + by if by else BASE_POINTS)
        self._restyle()

    def _restyle(self) -> None:
        self.layout.restyle()
        self._menu.restyle()
        self._message_menu.restyle()
        self.dialogs.restyle()
        self.root.minsize(*self._within_screen(40, 46))
        self.layout.arrange()

    def _within_screen(self, width: int, height: int) -> tuple[int, int]:
        """Return a size in units as pixels. Large text must not make the window larger than the screen."""
        unit, root = self.theme.unit, self.root
        return (
            min(width * unit, root.winfo_screenwidth() * 9 // 10),
            min(height * unit, root.winfo_screenheight() * 9 // 10),
        )

    # -- the loop

    def run(self) -> None:
        """Connect and run until the window is closed."""
        # A widget gets the focus only once it is mapped; keys typed before that would be lost.
        self.root.update()
        self.composer.text.focus_set()
        self.control.start()
        self._iterate()
        self._save_drafts_repeatedly()
        self._send_markers_repeatedly()
        self.root.mainloop()

    def _iterate(self) -> None:
        try:
            has_focus = bool(self.root.tk.call("focus", "-displayof", "."))
            reading = not self.messages.following
            if (has_focus, reading) != (self.model.looking, self.model.reading):
                self.model.look(has_focus, reading=reading)
                self._note_view()
            self.control.network.poll()
            self.draw()
        finally:
            # A bug then costs one event, not the conversation.
            if not self._ended:
                self.root.after(POLL_MS, self._iterate)

    def save_drafts(self) -> None:
        """Save all unsent input, the current conversation's first."""
        drafts = {self._drawn: ""} | {name: known.draft for name, known in self.model.conversations.items()}
        if typed := self.composer.value:
            drafts[self._drawn] = typed
        for name, known in self.model.conversations.items():
            if known.refused:
                drafts[name] = "\n\n".join(filter(None, (drafts[name], *known.refused)))
        self._drafts.save(drafts)

    def _save_drafts_repeatedly(self) -> None:
        # Nothing announces that the display goes away, and the window with it.
        self.save_drafts()
        self.root.after(SAVE_DRAFTS_MS, self._save_drafts_repeatedly)

    def _send_markers_repeatedly(self) -> None:
        self.control.send_markers(time.monotonic())
        self.root.after(MARKER_CHECK_MS, self._send_markers_repeatedly)

    def quit(self) -> None:
        """Close the window. The next run sends what is unsent."""
        self._ended = True
        self.root.quit()

    # -- drawing

    def draw(self) -> None:
        """Draw what has changed since the last call."""
        changed, self.model.changed = self.model.changed, set()
        if self.model.redacted:
            self.dialogs.redact(self.model.redacted)
            self.model.redacted.clear()
        self.notifier.poll(focused=self.model.looking)
        self.links.poll()
        for alert in self.model.alerts:
            self.layout.status.show_alert(f"{alert.title}: {alert.text}")
            self.notifier.notify(alert.title, alert.text, focused=self.model.looking)
        self.model.alerts.clear()
        if self._drawn != self.model.current:
            self._swap_drafts()
        lists, here = self.layout, self.model.here
        if changed & {"rooms", "members"}:
            lists.rooms.show(conversation_items(self.model), self.model.current)
        if "rows" in changed:
            self._draw_rows()
        if changed:
            self._note_view()
        if "members" in changed:
            lists.members.heading.configure(text=members_heading(here, self.model.times))
            lists.members.show(member_items(here))
        if changed or self.layout.status.changes_with_time(self.model):
            self._draw_state()

    def _note_view(self) -> None:
        """Count what is in view as read."""
        if self.messages.name == self.model.current and self.model.here.read.gap is not None:
            self.model.view(*self.messages.span())

    def _draw_rows(self) -> None:
        here = self.model.here
        self.messages.show(here.name, blocks(here, self.model.me, self._block_cache, self.model.times))
        if self.control.sought and self.messages.reveal(self.control.sought[1]):
            self.control.sought = None
        if here.refused and not self.composer.value:
            self.composer.restore(here.refused.popleft())
        waiting = len(here.refused)
        self.composer.say(f"{waiting} more refused: back when the input is empty" if waiting else "")

    def _draw_state(self) -> None:
        model, here = self.model, self.model.here
        title = model.title(here.name) if here.name else "no room"
        self.layout.show_header(title, here.topic, model.unread)
        self.composer.hint(f"Message {title}" if here.name else "")
        self.root.title(f"({model.unread}) {title} - chatd" if model.unread else f"{title} - chatd")
        self.layout.show_status(self.control.network.client.identity)

    # -- actions

    def search(self, query: str = "") -> None:
        """Open the search panel."""
        self.dialogs.search(query)

    def show_whole(self, event: Message) -> None:
        """Show a message with its whole text."""
        self.dialogs.show_whole(event)

    def send_anyway(self) -> None:
        """Send the input although it has a forbidden word."""
        if text := self.composer.value.strip():
            self.composer.value = ""
            refused = self.model.here.overridable
            if refused is not None and text == typed_again(refused).strip():
                self.model.overridable_in = self.model.current
                self.submit("/say!")
            else:
                self.submit(f"/say! {text}")

    def _link_failed(self, address: str) -> None:
        self.root.clipboard_clear()
        self.root.clipboard_append(address)
        self.control.model.note("no browser could be started; the address was copied, paste it into one")

    def connect_now(self) -> None:
        """Connect at once, also after the end of the connection; ask for an invite if only that helps."""
        if takes_invite(self.model, self.control.network.client.identity):
            self.wants_invite = True
            self.quit()
            return
        self.control.reconnect()
        # The button that had the focus disappears.
        self.composer.text.focus_set()

    def submit(self, text: str) -> None:
        """Send a message or run a command."""
        self.control.submit(text, pasted=self.composer.has_pasted_lines)
        self.messages.to_end()
        # The input is emptied after this call; what was sent must not be saved as a draft.
        self.root.after_idle(self.save_drafts)

    def open_conversation(self, name: str) -> None:
        """Make a conversation current; join a room among the invitations."""
        if name in self.model.invited_to:
            self.control.spawn(self.control.enter(name))
        else:
            self.control.switch(name)
        self.layout.hide_rooms()
        self.composer.text.focus_set()

    def write_to(self, user: str) -> None:
        """Open the direct conversation with a user."""
        if user != self.model.me:
            self.control.spawn(self.control.enter(f"@{user}"))
            self.composer.text.focus_set()

    def _swap_drafts(self) -> None:
        """Store the input as a draft of the conversation just left; show the new one's draft."""
        if self._drawn:
            self.model.conversation(self._drawn).draft = self.composer.value
        self._drawn, here = self.model.current, self.model.here
        self.dialogs.close()
        self.layout.hide_rooms()
        self.layout.arrange()
        self.composer.value, here.draft = here.draft, ""

    def _resized(self, event: tk.Event[tk.Misc]) -> None:
        if event.widget is self.root:
            self.model.changed.add("state")
            self.layout.arrange()
