"""The keys of the stream's messages, in the event log's database and in no stream.

NATS keeps what it was told to delete: deleted messages stay in the Raft logs and files of its servers. Hence
it never gets anything readable: to redact is to destroy the key. Each key is used for a while only.
"""

from __future__ import annotations

import os
from typing import Final

from chatd.cluster.stream_message import KEY_BYTES, StreamHeader, seal_message
from chatd.cluster.stream_place import KEY_PREFIX
from chatd.store.event_log import EventLog

# A key is replaced after this many events, and after this many seconds.
EVENTS_PER_KEY: Final = 10_000
SECONDS_PER_KEY: Final = 3600.0


class TailKeys:
    """The keys that this node has. ``current`` is the number of the one to seal with; 0 without any."""

    def __init__(self, log: EventLog) -> None:
        self._log = log
        self._keys = {int(name.removeprefix(KEY_PREFIX)): key for name, key in log.values(KEY_PREFIX).items()}
        self.current = max(self._keys, default=0)

    def find(self, number: int) -> bytes | None:
        """Return a key; None if this node does not have it, or no longer."""
        return self._keys.get(number)

    def seal(self, header: StreamHeader, body: bytes = b"") -> bytes:
        """Return a message under the current key, whose number ``header`` names."""
        return seal_message(header, body, self._keys[header.key_id])

    def replace(self) -> bool:
        """Make a new key the current one, on the disk before anything is sealed with it.

        Returns False while another program has locked the log.
        """
        number, key = self.current + 1, os.urandom(KEY_BYTES)
        if not self._log.set_values({f"{KEY_PREFIX}{number}": key}):
            return False
        self._keys[number] = key
        self.current = number
        return True

    def destroy_former(self) -> bool:
        """Destroy every key but the current one: what they have sealed can never be read again.

        Returns False while another program has locked the log.
        """
        former = [number for number in self._keys if number != self.current]
        if not self._log.set_values({f"{KEY_PREFIX}{number}": None for number in former}):
            return False
        for number in former:
            del self._keys[number]
        return True
