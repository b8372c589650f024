"""The keys of the stream's messages, in the event log's database and in no stream.

NATS keeps what it was told to delete: deleted messages stay in the Raft logs and files of its servers. Hence
it never gets anything readable: to redact is to destroy the key. Each key is used for a while only.
"""

from __future__ import annotations

import os
from typing import Final

from chatd.cluster.stream_message import KEY_BYTES, StreamHeader, seal_message
from chatd.cluster.stream_place import KEY_PREFIX, REDACTED_KEY, USED_KEY
from chatd.store.event_log import EventLog

# A key is replaced after this many events, and after this many seconds.
EVENTS_PER_KEY: Final = 10_000
SECONDS_PER_KEY: Final = 3600.0
# The number of a key begins with the epoch in which it was drawn: only one node draws keys in an epoch.
_EPOCH_SHIFT: Final = 24


class TailKeys:
    """The keys that this node has. ``current`` is the number of the one that seals; 0 without any."""

    def __init__(self, log: EventLog) -> None:
        self._log = log
        self._keys = {int(name.removeprefix(KEY_PREFIX)): key for name, key in log.values(KEY_PREFIX).items()}
        used = log.values(USED_KEY).get(USED_KEY)
        # Keys up to this one seal something that was redacted since.
        self._redacted: int = log.values(REDACTED_KEY).get(REDACTED_KEY, 0)
        self.current: int = used if used in self._keys else max(self._keys, default=0)

    def find(self, number: int) -> bytes | None:
        """Return a key; None if this node does not have it, or no longer."""
        return self._keys.get(number)

    def seal(self, header: StreamHeader, body: bytes = b"") -> bytes:
        """Return a message under the current key, whose number ``header`` names."""
        return seal_message(header, body, self._keys[header.key_id])

    def draw(self, epoch: int) -> tuple[int, bytes]:
        """Return the number of a new key, and the key; nothing knows it yet."""
        number = max(self.current, *self._keys, epoch << _EPOCH_SHIFT, 0) + 1
        return number, os.urandom(KEY_BYTES)

    def store(self, number: int, key: bytes, *, use: bool) -> bool:
        """Write a key to the disk, and with ``use`` make it the current one.

        Returns False while another program has locked the log.
        """
        values: dict[str, bytes | int] = {f"{KEY_PREFIX}{number}": key}
        if use:
            values[USED_KEY] = number
        if not self._log.set_values(values):
            return False
        self._keys[number] = key
        if use:
            self.current = number
        return True

    def use(self, number: int) -> bool:
        """Make a key the current one, as a message sealed with it does; see `store`."""
        if number != self.current:
            if not self._log.set_values({USED_KEY: number}):
                return False
            self.current = number
        return True

    def replace(self, epoch: int = 0) -> bool:
        """Make a new key the current one, on the disk before anything is sealed with it; see `store`."""
        return self.store(*self.draw(epoch), use=True)

    def note_redacted(self) -> None:
        """Note that the stream has something redacted, between `EventLog.insert` and `commit`."""
        self._log.note_values({REDACTED_KEY: self.current})
        self._redacted = self.current

    @property
    def is_spent(self) -> bool:
        """Whether the current key may seal something redacted, so that another must replace it."""
        return self.current <= self._redacted

    @property
    def must_destroy(self) -> bool:
        """Whether a former key may seal something redacted."""
        return any(number < self.current and number <= self._redacted for number in self._keys)

    def destroy_former(self) -> bool:
        """Destroy the keys before the current one: what they have sealed can never be read again.

        Returns False while another program has locked the log.
        """
        former = [number for number in self._keys if number < self.current]
        if former and not self._log.set_values({f"{KEY_PREFIX}{number}": None for number in former}):
            return False
        for number in former:
            del self._keys[number]
        return True
