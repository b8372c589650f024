"""Events of one room that came in a row and are not in its members' outboxes yet.

Under load a room's events come by the dozen: put in every outbox one by one they cost a fifth of all that
a delivery does, together next to nothing (docs/lab/performance-journal.md).
"""

from __future__ import annotations

from chatd.worker.session import Session


class Burst:
    """Grows until something else happens that its members must see in order."""

    __slots__ = ("frames", "had", "room", "size")

    def __init__(self, room: str = "") -> None:
        self.room = room
        self.frames: list[bytes] = []
        self.size = 0
        # Members to whom something else was said meanwhile -> how many of the frames they got before that.
        self.had: dict[Session, int] = {}

    def add(self, frame: bytes) -> None:
        """One more event."""
        self.frames.append(frame)
        self.size += len(frame)

    def rest(self, session: Session) -> list[bytes]:
        """What a member has not got yet. From now on it has."""
        start = self.had.get(session, 0)
        self.had[session] = len(self.frames)
        return self.frames[start:]
