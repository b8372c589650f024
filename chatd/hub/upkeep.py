"""The hub's periodic work: redact what has passed its retention time, end rooms, write snapshots."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Container
from itertools import takewhile

from chatd.hub.state import redaction, room_ends
from chatd.hub.state.context import Context
from chatd.hub.state.model import State
from chatd.logs.logger import get_log
from chatd.store.event_log import EventLog
from chatd.store.written_entries import Written

log = get_log("server")

# Verifying what follows the last snapshot takes 2 us an event: 0.1 s at a start
# (docs/lab/reliability-journal.md).
SNAPSHOT_EVENTS = 50_000
# How often to look for messages past their time, and how many to redact in one transaction, of all rooms
# together: some 30 ms, in which the hub answers nobody.
EXPIRY_MS = 60_000
EXPIRY_MESSAGES = 1_000
# How many of them may be of one room while others wait, and the rooms that are looked at in one transaction.
EXPIRY_ROOM_MESSAGES = 250
EXPIRY_ROOMS = 500
# How often to look for empty rooms, and how many to end at once.
EMPTY_MS = 60_000
EMPTY_ROOMS = 100
# How often to look for space on a full disk.
SPACE_SECONDS = 1.0
# How often to try to empty the write-ahead log while a reader needs it. An attempt copies what is new.
REMNANT_SECONDS = 1.0


class SpaceCheck:
    """Asks ``has_space`` at most once in `SPACE_SECONDS`."""

    def __init__(self, has_space: Callable[[], bool], clock: Callable[[], float] = time.monotonic) -> None:
        self._has_space = has_space
        self._clock = clock
        self._next = float("-inf")

    def available(self) -> bool:
        """Whether the disk was found to have space just now."""
        now = self._clock()
        if now < self._next:
            return False
        self._next = now + SPACE_SECONDS
        return self._has_space()


class PassedOver:
    """Looks up the oldest entries of rooms, and remembers up to where all are gone. Bounded by the rooms.

    Without that, a room with 100,000 redacted messages would be walked through in the loop each time.
    """

    def __init__(self, log: EventLog) -> None:
        self._log = log
        self._upto: dict[str, int] = {}

    def oldest(self, name: str, after: int, limit: int) -> Written:
        """Return the oldest entries of a room after ``after``. Looks further at each call."""
        found = self._log.oldest_written(name, max(after, self._upto.get(name, 0)), limit)
        if found.upto is not None and not found.entries:
            self._upto[name] = found.upto
        return found

    def keep(self, names: Container[str]) -> None:
        """Forget all rooms but these."""
        self._upto = {name: upto for name, upto in self._upto.items() if name in names}


class Retention:
    """Redacts messages that are older than the settings keep them."""

    def __init__(self, log: EventLog) -> None:
        self._next = 0
        # The rooms of this round that are not done. Bounded by the rooms and conversations.
        self._rooms: deque[str] = deque()
        self._passed = PassedOver(log)

    def redact_expired(self, context: Context) -> None:
        """Emit events that redact expired messages, at most `EXPIRY_MESSAGES` and of `EXPIRY_ROOMS`.

        The rest follows at the next commits. A room with many expired messages does not keep others waiting.
        """
        if not self._rooms:
            if context.now < self._next:
                return
            self._next = context.now + EXPIRY_MS
            self._rooms.extend(context.state.rooms)
            self._passed.keep(context.state.rooms)
        left, looked = EXPIRY_MESSAGES, 0
        while self._rooms and left > 0 and looked < EXPIRY_ROOMS:
            name = self._rooms.popleft()
            share = min(left, EXPIRY_ROOM_MESSAGES)
            count, more = self._redact_some(context, name, share)
            left, looked = left - count, looked + 1
            if more:
                self._rooms.append(name)
                # A look past many that are gone costs as much as redacting.
                left -= EXPIRY_ROOM_MESSAGES if not count else 0

    def _redact_some(self, context: Context, name: str, limit: int) -> tuple[int, bool]:
        """Redact expired messages of a room; return how many, and whether more may be due."""
        room = context.state.rooms.get(name)
        due = redaction.expires_before(context, name) if room else None
        if room is None or due is None:
            return 0, False
        found = self._passed.oldest(name, room.expired, limit)
        # By the order of the log, so that a wrong clock at one time cannot make it skip an entry.
        entries = list(takewhile(lambda entry: entry.at < due, found.entries))
        if entries:
            redaction.expire(context, name, entries)
        return len(entries), found.upto is not None and len(entries) == len(found.entries)


class RoomEnds:
    """Removes rooms that have been empty for long, and redacts the messages of removed rooms."""

    def __init__(self, log: EventLog) -> None:
        self._log = log
        self._next = 0
        self._passed = PassedOver(log)

    def advance(self, context: Context) -> None:
        """Emit the events that are due: at most `EMPTY_ROOMS` ends, and one step of one removed room."""
        if context.now >= self._next:
            self._next = context.now + EMPTY_MS
            room_ends.remove_empty(context, EMPTY_ROOMS)
        for name, room in context.state.removing.items():
            # Its last messages may be in the present batch, where they cannot be looked up.
            if room.ended <= self._log.head:
                self._redact_some(context, name, room.expired)
            return

    def _redact_some(self, context: Context, name: str, after: int) -> None:
        found = self._passed.oldest(name, after, EXPIRY_MESSAGES)
        if found.entries:
            redaction.expire(context, name, found.entries)
        elif found.upto is None:
            room_ends.free(context, name)
            self._passed.keep(context.state.removing)


class Remnants:
    """Empties the write-ahead log when it holds removed bodies or destroyed keys, and if it is long.

    A reader, such as an export, may need the write-ahead log, so this tries again until it is empty.
    """

    def __init__(self, log: EventLog, clock: Callable[[], float] = time.monotonic) -> None:
        self._log = log
        self._clock = clock
        self._next: float | None = None
        self._last = float("-inf")
        self._redacted = False
        self._reported = False

    @property
    def due(self) -> bool:
        """Whether it is time to try."""
        return self._log.wal_is_due if self._next is None else self._clock() >= self._next

    def add(self) -> None:
        """Note that bodies were removed; an attempt is due at once, or a while after the one before.

        Each waits for the disk, and every edit of a message removes a body.
        """
        if self._next is None:
            self._next = max(self._clock(), self._last + REMNANT_SECONDS)
        self._redacted = True

    def remove(self) -> None:
        """Try to empty the write-ahead log. Raises ChatdError E504."""
        self._last = self._clock()
        if self._log.checkpoint():
            self._next = None
            if self._reported:
                event = "redacted_text_removed" if self._redacted else "log_emptied"
                log.info(event, what="events.db-wal is empty again")
            self._reported = self._redacted = False
            return
        self._next = self._clock() + REMNANT_SECONDS
        if not self._reported:
            event = "redacted_text_remains" if self._redacted else "log_held"
            log.warning(event, what="another program or a full disk keeps events.db-wal from being emptied")
        self._reported = True


class Snapshots:
    """Writes the state beside the log, so that the next start has little to replay and verify."""

    def __init__(self, log: EventLog, state: State) -> None:
        self._log = log
        self._state = state
        self._last = log.head

    @property
    def due(self) -> bool:
        """Whether `SNAPSHOT_EVENTS` were logged since the last snapshot."""
        return self._log.head - self._last >= SNAPSHOT_EVENTS

    def write(self) -> None:
        """Write a snapshot of the committed state, unless another program has locked the log."""
        if self._log.save_snapshot(self._log.head, self._state.snapshot()):
            self._last = self._log.head
