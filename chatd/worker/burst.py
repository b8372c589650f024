"""Consecutive events of one room that are not in the members' outboxes yet.

Under load a room's events come by the dozen. Adding them to every outbox one by one costs a fifth of a
delivery; adding them together costs next to nothing (docs/lab/performance-journal.md).
"""

from __future__ import annotations

from chatd.worker.session import WorkerSession


class Burst:
    """Grows until a member must be sent something else."""

    __slots__ = ("frames", "room", "size", "taken")

    def __init__(self, room: str = "") -> None:
        self.room = room
        self.frames: list[bytes] = []
        self.size = 0
        # Sessions that took part of the burst early -> number of frames they took.
        self.taken: dict[WorkerSession, int] = {}

    def add(self, frame: bytes) -> None:
        self.frames.append(frame)
        self.size += len(frame)

    def take_rest(self, session: WorkerSession) -> list[bytes]:
        """Return the frames that the session has not taken yet, and mark them as taken."""
        start = self.taken.get(session, 0)
        self.taken[session] = len(self.frames)
        return self.frames[start:]
