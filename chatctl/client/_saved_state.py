"""The state that a client keeps between runs, and a store that keeps nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from chatctl.client._notices import SavedState, Sent
from chatd.proto.lineage import Branch


class StateStore(Protocol):
    """Storage for the outbox and the cursor."""

    def load(self) -> SavedState: ...
    def add(self, sent: Sent) -> None: ...
    def remove(self, sent: Sent) -> None: ...
    def save_cursor(self, seq: int, lineage: tuple[Branch, ...], *, back: bool = False) -> None: ...
    def note_cursor(self, seq: int, lineage: tuple[Branch, ...]) -> None: ...
    def close(self) -> None: ...


class MemoryStore:
    """Stores nothing: for one-shot commands, whose exit code reports the outcome of their message."""

    def load(self) -> SavedState:
        return SavedState([], None, ())

    def add(self, sent: Sent) -> None:
        pass

    def remove(self, sent: Sent) -> None:
        pass

    def save_cursor(self, seq: int, lineage: tuple[Branch, ...], *, back: bool = False) -> None:
        pass

    def note_cursor(self, seq: int, lineage: tuple[Branch, ...]) -> None:
        pass

    def close(self) -> None:
        pass


def store_in(folder: Path | None) -> StateStore:
    """Return the store in a folder; for None one that keeps nothing. Raises E606."""
    if folder is None:
        return MemoryStore()
    # Commands of scripts keep nothing, and need no database.
    from chatctl.client._state_store import FileStore

    return FileStore(folder)
