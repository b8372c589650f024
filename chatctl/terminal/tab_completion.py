"""What Tab offers in the line client; `chatctl.model.completion` decides, prompt_toolkit shows it."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from prompt_toolkit.completion import CompleteEvent, Completer, Completion
from prompt_toolkit.document import Document

from chatctl.model.completion import Candidates, last_word
from chatctl.terminal.line_rooms import Rooms


class LineCompleter(Completer):
    """Completes the word before the cursor."""

    def __init__(self, rooms: Rooms, permissions: Callable[[], Iterable[str]]) -> None:
        self.candidates = Candidates(rooms, permissions).of

    def get_completions(self, document: Document, complete_event: CompleteEvent) -> Iterable[Completion]:
        """Candidates in alphabetical order; each is followed by a space."""
        before = document.text_before_cursor
        word = last_word(before)
        for candidate in sorted(self.candidates(before, word)):
            yield Completion(f"{candidate} ", start_position=-len(word), display=candidate)
