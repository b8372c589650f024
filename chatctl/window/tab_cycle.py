"""Tab in the input: what the line client offers there, one candidate after the other."""

from __future__ import annotations

from chatctl.model.chat_model import ChatModel
from chatctl.model.completion import Candidates, last_word


class TabCycle:
    """Completes the word before the cursor from what ``model`` knows."""

    def __init__(self, model: ChatModel) -> None:
        self._model = model
        self._candidates = Candidates(self, self._permissions)
        self._found: list[str] = []
        self._at = 0
        self._made = ""  # the text before the cursor as the last step left it

    def names(self) -> set[str]:
        """Users: those of the current conversation first of all."""
        here = self._model.here
        found = set(here.members) | {row.user for row in here.rows if row.user}
        return found or {user for one in self._model.conversations.values() for user in one.members}

    def room_names(self) -> set[str]:
        """Rooms one is or was in."""
        return {name for name in (*self._model.conversations, *self._model.joined) if name.startswith("#")}

    @property
    def offered(self) -> list[str]:
        """What there is to choose from, beginning with what stands in the input; empty for one only."""
        return (self._found[self._at :] + self._found[: self._at]) if len(self._found) > 1 else []

    def step(self, before: str, by: int) -> tuple[int, str] | None:
        """Complete ``before``, or go on to the next (previous) candidate when it was completed just now.

        How many letters at its end go, and what comes instead; None where there is nothing to complete.
        """
        if len(self._found) > 1 and before == self._made:
            gone = len(self._found[self._at]) + 1
            self._at = (self._at + by) % len(self._found)
        else:
            word = last_word(before)
            self._found, self._at = sorted(self._candidates.of(before, word)) if word and by > 0 else [], 0
            if not self._found:
                return None
            gone = len(word)
        fresh = f"{self._found[self._at]} "
        self._made = before[: len(before) - gone] + fresh
        return gone, fresh

    def stop(self) -> None:
        """Something else was done; the next Tab begins anew."""
        self._found, self._made = [], ""

    def _permissions(self) -> list[str]:
        welcome = self._model.welcome
        return list(welcome.permissions) if welcome else []
