"""Tab in the line client: `chatctl.model.completion` finds the candidates, prompt_toolkit shows them."""

from __future__ import annotations

from collections.abc import Iterable

from prompt_toolkit.completion import CompleteEvent, Completer, Completion
from prompt_toolkit.document import Document

from chatctl.model.chat_model import ChatModel
from chatctl.model.completion import candidates


class LineCompleter(Completer):
    """Completes the word before the cursor."""

    def __init__(self, model: ChatModel) -> None:
        self._model = model

    def get_completions(self, document: Document, complete_event: CompleteEvent) -> Iterable[Completion]:
        """Candidates in alphabetical order; each is followed by a space."""
        word, found = candidates(self._model, document.text_before_cursor)
        for candidate in found:
            yield Completion(f"{candidate} ", start_position=-len(word), display=candidate)
