"""What a typed word can become: commands, rooms, and the names of those who are here. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Protocol

from chatctl.model.grammar import permitted


class Known(Protocol):
    """What a client knows to complete with."""

    def names(self) -> set[str]: ...
    def room_names(self) -> set[str]: ...


class Candidates:
    """``permissions``: those of the role, as told at the welcome."""

    def __init__(self, known: Known, permissions: Callable[[], Iterable[str]]) -> None:
        self._known = known
        self._permissions = permissions

    def of(self, before: str, word: str) -> set[str]:
        """What the word at the end of ``before`` can become."""
        if word.startswith("/"):
            return self._commands(word) if before == word else set()
        if word.startswith("#"):
            return {room for room in self._known.room_names() if room.startswith(word)}
        at, start = ("@", word[1:]) if word.startswith("@") else ("", word)
        if not start and not before.startswith("/"):
            return set()
        return {at + name for name in self._known.names() if name.startswith(start.lower())}

    def _commands(self, word: str) -> set[str]:
        names = (f"/{command.name}" for command in permitted(set(self._permissions())))
        return {name for name in names if name.startswith(word.lower())}


def last_word(before: str) -> str:
    """The word that ends at the cursor; empty after a space."""
    return before.rsplit(None, 1)[-1] if before and not before[-1].isspace() else ""
