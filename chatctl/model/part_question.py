"""Ask before somebody leaves a room that they cannot enter again; the same command again means yes."""

from __future__ import annotations

# A later command is asked about again: the question is out of sight by then.
ANSWER_SECONDS = 60.0


class PartQuestion:
    """The last question."""

    def __init__(self) -> None:
        self._room = ""
        self._asked_at = 0.0

    def ask(self, room: str, now: float) -> None:
        """Note that it was asked about a room."""
        self._room, self._asked_at = room, now

    def answered(self, room: str, now: float) -> bool:
        """Return whether the last question was about ``room`` and is recent; forget the question."""
        asked, self._room = self._room, ""
        return room == asked and 0 <= now - self._asked_at <= ANSWER_SECONDS
