"""What Tab offers: commands, rooms, and the names of those who are here."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from prompt_toolkit.completion import CompleteEvent, Completer, Completion
from prompt_toolkit.document import Document

from chatctl.client.grammar import permitted
from chatctl.client.rooms import Rooms


class LineCompleter(Completer):
    """Completes the word before the cursor."""

    def __init__(self, rooms: Rooms, permissions: Callable[[], Iterable[str]]) -> None:
        self._rooms = rooms
        self._permissions = permissions

    def get_completions(self, document: Document, complete_event: CompleteEvent) -> Iterable[Completion]:
        """Candidates in alphabetical order; each is followed by a space."""
        before = document.text_before_cursor
        word = before.rsplit(None, 1)[-1] if before and not before[-1].isspace() else ""
        for candidate in sorted(self.candidates(before, word)):
            yield Completion(f"{candidate} ", start_position=-len(word), display=candidate)

    def candidates(self, before: str, word: str) -> set[str]:
        """What the word at the end of ``before`` can become."""
        if word.startswith("/"):
            return self._commands(word) if before == word else set()
        if word.startswith("#"):
            return {room for room in self._rooms.room_names() if room.startswith(word)}
        at, start = ("@", word[1:]) if word.startswith("@") else ("", word)
        if not start and not before.startswith("/"):
            return set()
        return {at + name for name in self._rooms.names() if name.startswith(start.lower())}

    def _commands(self, word: str) -> set[str]:
        names = (f"/{command.name}" for command in permitted(set(self._permissions())))
        return {name for name in names if name.startswith(word.lower())}
