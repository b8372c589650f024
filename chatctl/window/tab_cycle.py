"""Tab in the input: goes through the candidates for the word before the cursor."""

from __future__ import annotations

from chatctl.model.chat_model import ChatModel
from chatctl.model.completion import candidates


class TabCycle:
    """Completes from what ``model`` knows."""

    def __init__(self, model: ChatModel) -> None:
        self._model = model
        self._found: list[str] = []
        self._index = 0
        self._completed = ""  # the text before the cursor after the last step

    @property
    def offered(self) -> list[str]:
        """The candidates to choose from, the current one first; empty for a single one."""
        return (self._found[self._index :] + self._found[: self._index]) if len(self._found) > 1 else []

    def step(self, before: str, by: int) -> tuple[int, str] | None:
        """Complete ``before``, or replace the last completion by the next or previous candidate.

        Returns how many letters to delete at its end and what to insert; None without a candidate.
        """
        if len(self._found) > 1 and before == self._completed:
            replaced = len(self._found[self._index]) + 1
            self._index = (self._index + by) % len(self._found)
        else:
            word, found = candidates(self._model, before)
            self._found, self._index = found if word and by > 0 else [], 0
            if not self._found:
                return None
            replaced = len(word)
        inserted = f"{self._found[self._index]} "
        self._completed = before[: len(before) - replaced] + inserted
        return replaced, inserted

    def stop(self) -> None:
        """Start over with the next Tab: something else was typed."""
        self._found, self._completed = [], ""
