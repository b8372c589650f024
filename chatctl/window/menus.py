"""The menu and the keyboard shortcuts."""

from __future__ import annotations

import tkinter as tk
from collections.abc import Callable
from functools import partial
from typing import NamedTuple, Protocol

from chatctl.model.times import Times
from chatctl.window.controller import Controller
from chatctl.window.dialogs import Dialogs
from chatctl.window.layout import Layout
from chatctl.window.notify import Notifier
from chatctl.window.theme import Theme

LARGER = ("<Control-plus>", "<Control-equal>", "<Control-KP_Add>")
SMALLER = ("<Control-minus>", "<Control-KP_Subtract>")
# Keys that the menu does not show, for the list of shortcuts.
OTHER_KEYS = (
    ("Enter", "Send (Shift+Enter: new line)"),
    ("Up", "Edit the last message, or previous input"),
    ("Right button", "Menu of a message: react, edit, delete"),
    ("PageUp, PageDown", "Scroll; at the top, load earlier messages"),
    ("Escape", "Go to the newest message and the input"),
    ("Tab", "Complete names, #rooms and /commands"),
    ("Tab, Shift+Tab", "Otherwise: next or previous list, field or button"),
    ("F6", "Next part of the window"),
    ("F10", "Menu"),
    ("/help", "List of commands"),
)


class MenuItem(NamedTuple):
    """A menu entry and the ``keys`` that also run it; ``shown`` names them in the menu.

    ``enabled`` is asked each time the menu opens. ``switch`` makes the entry a check box.
    """

    label: str
    run: Callable[[], None]
    shown: str = ""
    keys: tuple[str, ...] = ()
    enabled: Callable[[], bool] | None = None
    switch: tk.BooleanVar | None = None


class WindowActions(Protocol):
    """The menu entries that act on the window itself."""

    def connect_now(self) -> None: ...
    def send_anyway(self) -> None: ...
    def toggle_theme(self) -> None: ...
    def zoom(self, by: int) -> None: ...
    def show_times(self, times: Times) -> None: ...
    def quit(self) -> None: ...


class MainMenu:
    """Fills the menu of ``layout`` and binds all keys of the window."""

    def __init__(
        self,
        root: tk.Tk,
        theme: Theme,
        layout: Layout,
        control: Controller,
        dialogs: Dialogs,
        notifier: Notifier,
        actions: WindowActions,
    ) -> None:
        self._root, self._theme, self._layout, self._control = root, theme, layout, control
        self._dialogs, self._notifier, self._actions = dialogs, notifier, actions
        self._menu = tk.Menu(layout.menu_button, tearoff=False, postcommand=self._update_states)
        layout.menu_button.configure(menu=self._menu)
        self._notify = tk.BooleanVar(root, notifier.on)
        times = control.model.times
        self._local = tk.BooleanVar(root, times is not Times.UTC)
        self._both = tk.BooleanVar(root, times is Times.BOTH)
        self._items = self._table()
        for item in self._items:
            self._add(item)
        for key, run in (
            ("<Prior>", lambda: layout.messages.page(-1)),
            ("<Next>", lambda: layout.messages.page(1)),
            ("<Control-End>", layout.messages.to_end),
            ("<Escape>", self._focus_input),
            ("<F6>", layout.next_part),
            ("<F10>", self._open),
            ("<Control-c>", self._copy),
        ):
            self._bind(key, run)

    def _table(self) -> tuple[MenuItem | None, ...]:
        """Return the entries from top to bottom; None is a separator."""
        control, dialogs, actions = self._control, self._dialogs, self._actions
        model = control.model

        def may(permission: str) -> Callable[[], bool]:
            return lambda: permission in model.permissions

        return (
            MenuItem("Go to room, person or command\u2026", dialogs.go, "Ctrl+K", ("<Control-k>",)),
            MenuItem("All rooms\u2026", dialogs.browse, "Ctrl+B", ("<Control-b>",), may("room.list")),
            MenuItem("New room\u2026", dialogs.create, "Ctrl+N", ("<Control-n>",), may("room.create")),
            MenuItem("Topic\u2026", dialogs.topic, enabled=may("room.topic")),
            MenuItem("Connect now", actions.connect_now, enabled=lambda: model.connection != "connected"),
            MenuItem("Send anyway", actions.send_anyway, enabled=lambda: model.here.overridable is not None),
            MenuItem("Leave room", lambda: control.submit("/part"), enabled=may("room.join")),
            None,
            MenuItem("Search\u2026", dialogs.search, "Ctrl+F", ("<Control-f>",), may("search")),
            MenuItem("Next room", lambda: control.step(1), "Alt+Down", ("<Alt-Down>", "<Control-Next>")),
            MenuItem("Previous room", lambda: control.step(-1), "Alt+Up", ("<Alt-Up>", "<Control-Prior>")),
            MenuItem("Next unread", lambda: control.step(1, unread=True), "Ctrl+U", ("<Control-u>",)),
            MenuItem("First unread", lambda: control.submit("/catchup"), "Ctrl+J", ("<Control-j>",)),
            None,
            MenuItem("Light or dark theme", actions.toggle_theme, "Ctrl+T", ("<Control-t>",)),
            MenuItem("Larger text", lambda: actions.zoom(1), "Ctrl+Plus", LARGER),
            MenuItem("Smaller text", lambda: actions.zoom(-1), "Ctrl+Minus", SMALLER),
            MenuItem("Default text size", lambda: actions.zoom(0), "Ctrl+0", ("<Control-0>",)),
            MenuItem("Local times", self._switch_times, switch=self._local),
            MenuItem("UTC beside them", self._switch_times, switch=self._both),
            MenuItem("Notifications", self._switch_notifications, switch=self._notify),
            None,
            MenuItem("Keyboard shortcuts", self._show_keys, "F1", ("<F1>",)),
            MenuItem("Quit", actions.quit, "Ctrl+Q", ("<Control-q>",)),
        )

    def _add(self, item: MenuItem | None) -> None:
        if item is None:
            self._menu.add_separator()
            return
        if item.switch is not None:
            self._menu.add_checkbutton(
                label=item.label, variable=item.switch, command=partial(self._choose, item)
            )
        else:
            self._menu.add_command(
                label=item.label, accelerator=item.shown, command=partial(self._choose, item)
            )
        for key in item.keys:
            self._bind(key, item.run)

    def _choose(self, item: MenuItem) -> None:
        """Carry an entry out, then go on in the input, unless it opened a panel."""
        item.run()
        if self._dialogs.panel is None:
            self._layout.composer.text.focus_set()

    def _bind(self, key: str, run: Callable[[], None]) -> None:
        def on_key(_: object) -> str:
            run()
            return "break"

        # Also on the text widgets, whose own bindings (Ctrl-K deletes a line) would come first.
        for widget in (self._root, self._layout.composer.text, self._layout.messages.text):
            widget.bind(key, on_key)

    def restyle(self) -> None:
        """Apply the theme's current colours and fonts."""
        self._menu.configure(**self._theme.menu_options())

    def _update_states(self) -> None:
        for place, item in enumerate(self._items):
            if item is not None and item.enabled is not None:
                self._menu.entryconfigure(place, state="normal" if item.enabled() else "disabled")

    def _open(self) -> None:
        button = self._layout.menu_button
        self._update_states()
        # Align the right edges, but stay within the window if it is wide enough.
        left = button.winfo_rootx() + button.winfo_width() - self._menu.winfo_reqwidth()
        x = max(left, self._root.winfo_rootx())
        self._menu.tk_popup(x, button.winfo_rooty() + button.winfo_height(), 0)

    def _switch_notifications(self) -> None:
        self._notifier.on = self._notify.get()

    def _switch_times(self) -> None:
        both = Times.BOTH if self._both.get() else Times.LOCAL
        self._actions.show_times(both if self._local.get() else Times.UTC)

    def _copy(self) -> None:
        """Copy the selection; text selected in the messages by mouse does not have the focus."""
        for text in (self._root.focus_get(), self._layout.messages.text):
            if isinstance(text, tk.Text) and text.tag_ranges("sel"):
                self._root.clipboard_clear()
                self._root.clipboard_append(text.get("sel.first", "sel.last"))
                return

    def _focus_input(self) -> None:
        self._layout.hide_rooms()
        self._layout.messages.to_end()
        self._layout.composer.text.focus_set()

    def _show_keys(self) -> None:
        rows = [(item.shown, item.label.rstrip("\u2026")) for item in self._items if item and item.shown]
        self._dialogs.show_table("Keyboard shortcuts", [*rows, *OTHER_KEYS])
