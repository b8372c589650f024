"""The panels that the menu, the keys and the commands open, one at a time."""

from __future__ import annotations

import tkinter as tk
from collections.abc import Callable, Iterable
from typing import Concatenate, ParamSpec, TypeVar

from chatctl.model import render
from chatctl.model.chat_model import RedactedRange
from chatctl.model.finder import places
from chatctl.model.grammar import OPTIONS, ROOM, USERS
from chatctl.window.browse_panel import BrowsePanel, destination_of
from chatctl.window.choose_panel import GoPanel
from chatctl.window.controller import Controller
from chatctl.window.panels import CLOSED, FormPanel, Panel, Refuse, TablePanel
from chatctl.window.search_panel import SearchPanel
from chatctl.window.text_panel import TextPanel
from chatctl.window.theme import Theme
from chatd.errors import ChatdError
from chatd.proto.events import Message

GUESTS = "Admit guests"
# Check boxes of a new room -> the option of /create.
ROOM_CHECKS = {
    GUESTS: "--guests",
    "Enter by invitation only": "--members",
    "Only owners write": "--read-only",
    "New members read only what follows": "--since-join",
}
P = ParamSpec("P")
PanelKind = TypeVar("PanelKind", bound=Panel)


class Dialogs:
    """Opens panels over ``parent``. ``on_close`` runs after one closes; ``begin`` puts text in the input."""

    def __init__(
        self,
        parent: tk.Misc,
        theme: Theme,
        control: Controller,
        on_close: Callable[[], None],
        begin: Callable[[str], None],
    ) -> None:
        self.panel: Panel | None = None
        self._begin = begin
        self._parent, self._theme, self._control = parent, theme, control

        def closed(_: object) -> None:
            self.panel = None
            on_close()

        parent.bind(CLOSED, closed)

    def restyle(self) -> None:
        """Apply the theme's current colours and fonts to an open panel."""
        if self.panel is not None:
            self.panel.restyle()

    def close(self) -> None:
        """Close the panel, if one is open."""
        if self.panel is not None:
            self.panel.close()

    def _open(
        self, kind: Callable[Concatenate[tk.Misc, Theme, P], PanelKind], *args: P.args, **options: P.kwargs
    ) -> PanelKind:
        self.close()
        self.panel = panel = kind(self._parent, self._theme, *args, **options)
        return panel

    def search(self, query: str = "") -> None:
        """Open the search panel; a query is run at once."""
        control = self._control
        self._open(SearchPanel, control.find, control.model.title, control.seek, query, control.model.times)

    def redact(self, redacted: Iterable[RedactedRange]) -> None:
        """Remove deleted messages from an open panel."""
        if isinstance(self.panel, SearchPanel | TextPanel):
            self.panel.redact(redacted)

    def show_whole(self, event: Message) -> None:
        """Show a message with its whole text."""
        title = f"{render.safe(event.user)} in {self._control.model.title(event.room)}"
        self._open(TextPanel, title, event)

    def show_table(self, title: str, rows: list[tuple[str, str]]) -> None:
        """Show a table of two columns."""
        self._open(TablePanel, title, rows)

    def go(self) -> None:
        """Ask where to go: to a room or person, or to a command."""
        hint = "#room, @name, @name,name (a group) or /command; Enter goes there."
        model = self._control.model
        panel = self._open(GoPanel, "Go to", hint, places(model), self._go)
        panel.finish(panel.entry)

        async def add_others() -> None:
            entries = await self._control.ask_all("rooms", "rooms", "room")
            known = {place.address for place in places(model)}
            others = [room for entry in entries if (room := destination_of(entry)).address not in known]
            panel.offer([*places(model), *others])

        if model.connection == "connected" and "room.list" in model.permissions:
            self._control.spawn(add_others(), panel.refuse)

    def browse(self) -> None:
        """Show all rooms that the server tells of."""
        may_create = "room.create" in self._control.model.permissions
        panel = self._open(BrowsePanel, self._go, self.create if may_create else None)

        async def list_rooms() -> None:
            panel.list_rooms(await self._control.ask_all("rooms", "rooms", "room"))

        self._control.spawn(list_rooms(), panel.refuse)

    def create(self) -> None:
        """Ask for the name, topic and rules of a new room."""
        fields = {"Name": "", "Topic": ""}
        self._open(FormPanel, "New room", fields, self._create, action="Create", checks=tuple(ROOM_CHECKS))

    def topic(self) -> None:
        """Ask for the current room's topic."""
        here = self._control.model.here
        title = f"Topic of {self._control.model.title(here.name)}"
        self._open(FormPanel, title, {"Topic": here.topic}, self._set_topic, action="Set")

    def _go(self, wanted: str, refuse: Refuse) -> None:
        if wanted.startswith("/"):
            self.close()
            self._begin(f"{wanted} ")
            return
        try:
            address = f"@{USERS.read(wanted)}" if wanted.startswith("@") else ROOM.read(wanted)
        except ChatdError as error:
            refuse(error)
            return
        # A change of conversation closes the panel; here there may be none.
        if self._control.model.current == self._control.model.resolve(address):
            self.close()
        else:
            self._control.spawn(self._control.enter(address), refuse)

    def _create(self, values: dict[str, str], refuse: Refuse) -> None:
        room = ROOM.read(values["Name"])
        chosen = [option for check, option in ROOM_CHECKS.items() if values[check] == "yes"]
        try:
            options = OPTIONS.read(chosen)
        except ValueError:
            reason = "a room is entered by invitation, or only its owners write"
            raise ChatdError("E102", reason, "choose one of the two") from None
        self._control.spawn(self._control.create(room, values["Topic"], options), refuse)

    def _set_topic(self, values: dict[str, str], refuse: Refuse) -> None:
        room = self._control.model.current

        async def set_topic() -> None:
            await self._control.ask("topic", room=room, topic=values["Topic"])
            self.close()

        self._control.spawn(set_topic(), refuse)
