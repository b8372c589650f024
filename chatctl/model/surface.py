"""The interface between the commands of `commands.TABLE` and a front end."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from chatctl.model.chat_model import ChatModel
from chatctl.model.render import Line
from chatd.pki.identity import Identity
from chatd.proto import events as ev
from chatd.proto.frames import JsonObject


class Surface(Protocol):
    """The line client or the window, as the commands see it. Everything may raise ChatdError."""

    model: ChatModel
    help_hints: tuple[str, ...]  # on the use of this front end; shown below the list of commands

    @property
    def identity(self) -> Identity:
        """The identity that this person has logged in with."""

    async def ask(self, kind: str, **fields: Any) -> JsonObject:
        """Send a request and return the reply's result."""

    async def ask_all(self, kind: str, key: str, by: str, **fields: Any) -> list[JsonObject]:
        """Request a whole list; see `paging.list_all`."""

    async def enter(self, address: str) -> None:
        """Make "#room" (joined where necessary), "@user" or "@user,user" the current conversation."""

    async def create(self, room: str, topic: str | None, options: Mapping[str, Any]) -> None:
        """Create a room and make it the current conversation. ``options``: fields of `create`."""

    async def show_older(self, count: int) -> tuple[int, bool]:
        """Show ``count`` events before the oldest one shown; return how many, and whether there are more."""

    async def catch_up(self, count: int) -> None:
        """Show ``count`` events from the first unread one, or where the last call ended, on; 0: skip them."""

    async def search(self, query: str) -> None:
        """Show the messages that match."""

    def say(self, text: str, *, to: str = "", kind: str = "text", reply_to: int | None = None) -> None:
        """Send a message; ``to`` an address, "" for the current conversation."""

    def edit(self, seq: int, text: str) -> None:
        """Replace the text of this user's message in the current conversation."""

    def show_whole(self, event: ev.Message) -> None:
        """Show a message with its whole text."""

    def show(self, lines: list[Line]) -> None:
        """Show the result of a command."""

    def note(self, text: str) -> None:
        """Show a sentence of the client's own."""

    def focus(self, rooms: frozenset[str] | None) -> None:
        """Show only the current room and these; None: everything again."""

    def paste(self) -> None:
        """Let the next message have several lines."""

    def reconnect(self) -> None:
        """Connect at once instead of waiting for the next attempt."""

    def quit(self) -> None:
        """End the client."""
