"""What the hub does now and then: snapshots of the state, and erasing what has passed its time."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from chatd.hub.state import redaction
from chatd.hub.state.context import OPERATOR

if TYPE_CHECKING:
    from chatd.hub.hub import Hub

# Verifying what came after the last snapshot takes 2 us an event: 0.1 s at a start
# (docs/lab/reliability-journal.md).
SNAPSHOT_EVENTS = 50_000
# How often messages past their time are looked for, and how many are erased in one transaction.
EXPIRY_MS = 60_000
EXPIRY_MESSAGES = 1_000
# How often a hub that found its disk full looks for room.
ROOM_SECONDS = 1.0


class Upkeep:
    """Called by the loop at every turn; does little at once."""

    def __init__(self, hub: Hub, seconds: Callable[[], float] = time.monotonic) -> None:
        self._hub = hub
        self._seconds = seconds
        self._looked = float("-inf")
        self._snapshot_at = hub.log.head
        self._next_expiry = 0

    def before_commit(self) -> None:
        """Erase some of what has passed its retention time."""
        hub = self._hub
        if not hub.writable:
            self._look_for_room()
            return
        context = hub.context(OPERATOR)
        if context.now < self._next_expiry:
            return
        self._next_expiry = context.now + EXPIRY_MS
        for name, room in hub.state.rooms.items():
            due = redaction.expires_before(context, name)
            seqs = hub.log.older_messages(name, room.expired, due, EXPIRY_MESSAGES) if due else []
            if seqs:
                redaction.expire(context, name, seqs)
                hub.record(context)
            if len(seqs) == EXPIRY_MESSAGES:
                self._next_expiry = context.now  # there is more: go on at the next turn of the loop

    def _look_for_room(self) -> None:
        now = self._seconds()
        if now - self._looked >= ROOM_SECONDS:
            self._looked = now
            self._hub.try_writing()

    @property
    def snapshot_due(self) -> bool:
        """Whether much has happened since the last snapshot."""
        return self._hub.log.head - self._snapshot_at >= SNAPSHOT_EVENTS

    def after_commit(self) -> None:
        """Write a snapshot when it is due."""
        if self.snapshot_due:
            self.snapshot()

    def snapshot(self) -> None:
        """Write the state beside the log, so that the next start has little to replay and to verify."""
        if not self._hub.writable:
            return
        self._hub.log.save_snapshot(self._hub.log.head, self._hub.state.snapshot())
        self._snapshot_at = self._hub.log.head
