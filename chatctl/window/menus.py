"""The menu, the keys and the panels they open."""

from __future__ import annotations

import tkinter as tk
from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

from chatctl.model.grammar import ROOM, USER
from chatctl.window.panels import AskSheet, Sheet, TextSheet
from chatctl.window.search_panel import SearchSheet
from chatd.errors import ChatdError

if TYPE_CHECKING:
    from chatctl.window.window import Window

GUESTS = "Admit guests"
AGAIN = "Connect again"
LARGER = ("<Control-plus>", "<Control-equal>", "<Control-KP_Add>")
SMALLER = ("<Control-minus>", "<Control-KP_Subtract>")
Tell = Callable[[str], None]


class Item(NamedTuple):
    """A line of the menu and its key. ``permission``: what the role needs, as told at the welcome."""

    label: str
    keys: tuple[str, ...]
    shown: str
    call: Callable[[], None]
    permission: str = ""
    check: tk.BooleanVar | None = None


class Menus:
    """All that the menu and the keys do."""

    def __init__(self, window: Window) -> None:
        self._window = window
        self._menu = tk.Menu(window.layout.menu_button, tearoff=False, postcommand=self._before)
        window.layout.menu_button.configure(menu=self._menu)
        self._notify = tk.BooleanVar(window.root, window.notifier.on)
        self._items = self._table()
        for item in self._items:
            if item.check is not None:
                self._menu.add_checkbutton(label=item.label, variable=item.check, command=item.call)
            elif item.label:
                self._menu.add_command(label=item.label, accelerator=item.shown, command=item.call)
            else:
                self._menu.add_separator()
            for key in item.keys:
                self._bind(key, item.call)
        text = window.messages
        others: tuple[tuple[str, Callable[[], None]], ...] = (
            ("<Prior>", lambda: text.page(-1)),
            ("<Next>", lambda: text.page(1)),
            ("<Control-End>", text.to_end),
            ("<Escape>", self._home),
            ("<F6>", window.layout.next_part),
            ("<F10>", self._open),
            ("<Control-c>", self._copy),
        )
        for key, call in others:
            self._bind(key, call)

    def _table(self) -> tuple[Item, ...]:
        window, control = self._window, self._window.control
        line = Item("", (), "", lambda: None)
        return (
            Item("Go to room or person \u2026", ("<Control-k>",), "Ctrl+K", self.go),
            Item("New room \u2026", ("<Control-n>",), "Ctrl+N", self.create, "room.create"),
            Item("Topic \u2026", (), "", self.topic, "room.topic"),
            Item(AGAIN, (), "", window.connect_again),
            Item("Leave this room", (), "", lambda: control.part(control.model.current), "room.join"),
            line,
            Item("Search \u2026", ("<Control-f>",), "Ctrl+F", self.search, "search"),
            Item("Next room", ("<Alt-Down>", "<Control-Next>"), "Alt+Down", lambda: control.step(1)),
            Item("Previous room", ("<Alt-Up>", "<Control-Prior>"), "Alt+Up", lambda: control.step(-1)),
            Item("Next unread", ("<Control-u>",), "Ctrl+U", lambda: control.step(1, unread=True)),
            line,
            Item("Light or dark", ("<Control-t>",), "Ctrl+T", lambda: window.use_theme(dark=not window.dark)),
            Item("Larger text", LARGER, "Ctrl+Plus", lambda: window.zoom(1)),
            Item("Smaller text", SMALLER, "Ctrl+Minus", lambda: window.zoom(-1)),
            Item("Usual text size", ("<Control-0>",), "Ctrl+0", lambda: window.zoom(0)),
            Item("Notifications", (), "", self._switch_notify, "", self._notify),
            line,
            Item("Keys", ("<F1>",), "F1", self.keys),
            Item("Quit", ("<Control-q>",), "Ctrl+Q", window.quit),
        )  # fmt: skip

    def _bind(self, key: str, call: Callable[[], None]) -> None:
        def run(_: object) -> str:
            call()
            return "break"

        # On the texts as well: there Tk's own meaning of the key, such as Ctrl-K, would come first.
        for widget in (self._window.root, self._window.composer.text, self._window.messages.text):
            widget.bind(key, run)

    def restyle(self) -> None:
        """Take the theme's present colours."""
        self._menu.configure(**self._window.theme.menu_options())

    def _before(self) -> None:
        model = self._window.model
        for place, item in enumerate(self._items):
            if item.permission:
                state = "normal" if model.allows(item.permission) else "disabled"
                self._menu.entryconfigure(place, state=state)
            elif item.label == AGAIN:
                self._menu.entryconfigure(
                    place, state="normal" if model.connection == "ended" else "disabled"
                )

    def _open(self) -> None:
        button = self._window.layout.menu_button
        self._before()
        # Below the button and within the window, as far as it is wide enough.
        left = button.winfo_rootx() + button.winfo_width() - self._menu.winfo_reqwidth()
        x = max(left, self._window.root.winfo_rootx())
        self._menu.tk_popup(x, button.winfo_rooty() + button.winfo_height(), 0)

    def _switch_notify(self) -> None:
        self._window.notifier.on = self._notify.get()

    def _copy(self) -> None:
        """What is selected; messages too, which have no keyboard when they were selected by mouse."""
        w = self._window
        for text in (w.root.focus_get(), w.messages.text):
            if isinstance(text, tk.Text) and text.tag_ranges("sel"):
                w.root.clipboard_clear()
                w.root.clipboard_append(text.get("sel.first", "sel.last"))
                return

    def _home(self) -> None:
        self._window.layout.hide_rooms()
        self._window.messages.to_end()
        self._window.composer.text.focus_set()

    # -- panels

    def _put(self, make: Callable[[], Sheet]) -> None:
        """One panel at a time."""
        self.close()
        self._window.sheet = make()

    def _closed(self) -> None:
        self._window.sheet = None
        self._window.composer.text.focus_set()

    def search(self, query: str = "") -> None:
        """Find messages."""
        w = self._window
        self._put(lambda: SearchSheet(w.middle, w.theme, w.control, w.control.seek, self._closed, query))

    def keys(self) -> None:
        """What the keys do."""
        rows = [(item.shown, item.label.rstrip(" \u2026")) for item in self._items if item.shown]
        rows += [
            ("Enter", "Send; Shift+Enter begins a new line"),
            ("Up", "What was sent before"),
            ("PageUp, PageDown", "Scroll; at the top earlier messages are fetched"),
            ("Escape", "Back to the newest message and the input"),
            ("Tab", "Completes names, #rooms and /commands"),
            ("Tab, Shift+Tab", "Else: next, previous list, field or button; Enter opens"),
            ("F6", "Next part of the window"),
            ("F10", "Menu"),
            ("/help", "Commands that can be typed"),
        ]
        w = self._window
        self._put(lambda: TextSheet(w.middle, w.theme, "Keys", rows, self._closed))

    def go(self) -> None:
        """Enter a room or write to somebody."""
        hint = "A room such as #war (the # may be left out), or @name for one user."
        self._ask("Go to room or person", {"Room or @user": ""}, self._go, hint=hint, action="Go")

    def create(self) -> None:
        """Make a room."""
        self._ask("New room", {"Name": "", "Topic": ""}, self._create, action="Create", check=GUESTS)

    def topic(self) -> None:
        """Change the current room's topic."""
        model = self._window.model
        fields = {"Topic": model.here.topic}
        self._ask(f"Topic of {model.title(model.current)}", fields, self._topic, action="Set")

    def _ask(
        self,
        title: str,
        fields: dict[str, str],
        done: Callable[[dict[str, str], Tell], None],
        *,
        hint: str = "",
        action: str = "OK",
        check: str = "",
    ) -> None:
        def guarded(values: dict[str, str], tell: Tell) -> None:
            try:
                done(values, tell)
            except ChatdError as error:
                tell(f"{error.reason}; {error.fix}")

        w = self._window
        self._put(
            lambda: AskSheet(
                w.layout.middle,
                w.theme,
                title,
                fields,
                guarded,
                self._closed,
                hint=hint,
                action=action,
                check=check,
            )
        )

    def _go(self, values: dict[str, str], tell: Tell) -> None:
        (wanted,) = values.values()
        name = f"@{USER.read(wanted)}" if wanted.startswith("@") else ROOM.read(wanted)
        # The window closes the panel when another conversation comes; this one is here already.
        if self._window.model.current == self._window.control.named(name):
            self.close()
        else:
            self._window.control.enter(name, lambda error: tell(f"{error.reason}; {error.fix}"))

    def _create(self, values: dict[str, str], tell: Tell) -> None:
        name = ROOM.read(values["Name"])
        guests = values[GUESTS] == "yes"
        self._window.control.create(
            name, values["Topic"], guests=guests, failed=lambda error: tell(f"{error.reason}; {error.fix}")
        )

    def _topic(self, values: dict[str, str], tell: Tell) -> None:
        def failed(error: ChatdError) -> None:
            tell(f"{error.reason}; {error.fix}")

        link, room = self._window.control.network, self._window.model.current
        link.ask("topic", lambda _: self.close(), failed, room=room, topic=values["Topic"])

    def close(self) -> None:
        """Close the panel that is open."""
        if self._window.sheet is not None:
            self._window.sheet.close()
