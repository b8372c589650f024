"""The panels that the menu, the keys and the commands open, one at a time."""

from __future__ import annotations

import tkinter as tk
from collections.abc import Callable

from chatctl.model.conversations import RedactedRange
from chatctl.model.grammar import ROOM, USER
from chatctl.window.controller import Controller
from chatctl.window.panels import FormPanel, Panel, Refuse, TablePanel
from chatctl.window.search_panel import SearchPanel
from chatctl.window.theme import Theme

GUESTS = "Admit guests"


class Dialogs:
    """Opens panels over ``parent``; ``on_close`` runs after one closes."""

    def __init__(
        self, parent: tk.Misc, theme: Theme, control: Controller, on_close: Callable[[], None]
    ) -> None:
        self.panel: Panel | None = None
        self._parent, self._theme, self._control = parent, theme, control
        self._on_close = on_close

    def close(self) -> None:
        """Close the panel, if one is open."""
        if self.panel is not None:
            self.panel.close()

    def search(self, query: str = "") -> None:
        """Open the search panel; a query is run at once."""
        self.close()
        self.panel = SearchPanel(
            self._parent,
            self._theme,
            self._closed,
            find=self._control.find,
            title=self._control.model.title,
            go=self._control.seek,
            query=query,
        )

    def redact(self, redacted: list[RedactedRange]) -> None:
        """Remove redacted messages from an open search panel."""
        if isinstance(self.panel, SearchPanel):
            self.panel.redact(redacted)

    def show_table(self, title: str, rows: list[tuple[str, str]]) -> None:
        """Show a table of two columns."""
        self.close()
        self.panel = TablePanel(self._parent, self._theme, title, rows, self._closed)

    def go(self) -> None:
        """Ask which room to enter or whom to write to."""
        hint = "A room such as #war (the # is optional), or @name for a direct message."
        self._ask("Go to room or person", {"Room or @user": ""}, self._go, hint=hint, action="Go")

    def create(self) -> None:
        """Ask for the name and topic of a new room."""
        self._ask("New room", {"Name": "", "Topic": ""}, self._create, action="Create", check=GUESTS)

    def topic(self) -> None:
        """Ask for the current room's topic."""
        here = self._control.model.here
        title = f"Topic of {self._control.model.title(here.name)}"
        self._ask(title, {"Topic": here.topic}, self._set_topic, action="Set")

    def _closed(self) -> None:
        self.panel = None
        self._on_close()

    def _ask(
        self,
        title: str,
        fields: dict[str, str],
        submit: Callable[[dict[str, str], Refuse], None],
        *,
        action: str,
        hint: str = "",
        check: str = "",
    ) -> None:
        self.close()
        self.panel = FormPanel(
            self._parent,
            self._theme,
            title,
            fields,
            submit,
            self._closed,
            action=action,
            hint=hint,
            check=check,
        )

    def _go(self, values: dict[str, str], refuse: Refuse) -> None:
        (wanted,) = values.values()
        name = f"@{USER.read(wanted)}" if wanted.startswith("@") else ROOM.read(wanted)
        # A change of conversation closes the panel; here there may be none.
        if self._control.model.current == self._control.named(name):
            self.close()
        else:
            self._control.enter(name, refuse)

    def _create(self, values: dict[str, str], refuse: Refuse) -> None:
        guests = values[GUESTS] == "yes"
        self._control.create(ROOM.read(values["Name"]), values["Topic"], guests=guests, failed=refuse)

    def _set_topic(self, values: dict[str, str], refuse: Refuse) -> None:
        room = self._control.model.current
        self._control.network.ask("topic", lambda _: self.close(), refuse, room=room, topic=values["Topic"])
