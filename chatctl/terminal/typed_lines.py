"""Lines that were typed and not carried out yet: what is typed before the first room waits for it."""

from __future__ import annotations

import asyncio
from typing import TypeGuard

from chatctl.model.grammar import CommandCall, Say

# Commands for those who wait for a connection.
AT_ONCE = frozenset(("quit", "reconnect", "help"))


class TypedLines:
    """A queue of lines in the order typed. ``begun`` is set once the first room was entered or refused."""

    def __init__(self, begun: asyncio.Event) -> None:
        self._begun = begun
        self._lines: asyncio.Queue[Say | CommandCall] = asyncio.Queue()

    def overtakes(self, meant: Say | CommandCall) -> TypeGuard[CommandCall]:
        """Whether ``meant`` does not wait for the first room, although other lines do."""
        at_once = isinstance(meant, CommandCall) and meant.command.name in AT_ONCE
        return at_once and not self._begun.is_set()

    def put(self, meant: Say | CommandCall) -> None:
        """Add a line."""
        self._lines.put_nowait(meant)

    async def next(self) -> Say | CommandCall:
        """Remove and return the oldest line, once there is one and the first room was entered."""
        await self._begun.wait()
        return await self._lines.get()

    def unsent(self) -> list[str]:
        """Remove all lines; return the messages among them."""
        left = [self._lines.get_nowait() for _ in range(self._lines.qsize())]
        return [meant.text for meant in left if isinstance(meant, Say)]
