"""Events that are decided and not yet durable: the batch that grows, and the one the disk is at."""

from __future__ import annotations

from collections.abc import Callable

from chatd.crashpoints import crash_point
from chatd.store.entry import Entry
from chatd.store.event_log import EventLog

Key = tuple[str, str]


class Batch:
    """Group commit. ``commit`` does it at once, ``begin`` and ``end`` while the next batch is decided."""

    def __init__(self, log: EventLog) -> None:
        self._log = log
        self._entries: list[Entry] = []
        # (device, msg_id) of the messages among them: the log does not know them yet.
        self._messages: dict[Key, Entry] = {}
        # The same for the batch that is being committed.
        self._under_way: list[Entry] = []
        self._messages_under_way: dict[Key, Entry] = {}
        # Entries whose bodies go, and the seq of the entry that orders it.
        self.redacted: dict[int, int] = {}

    def __len__(self) -> int:
        return len(self._entries)

    @property
    def head(self) -> int:
        """The last sequence number that was given away."""
        decided = self._entries or self._under_way
        return decided[-1].seq if decided else self._log.head

    def add(self, entry: Entry, key: Key | None = None) -> None:
        """Take in an event; ``key`` for what a client may send again."""
        self._entries.append(entry)
        if key is not None:
            self._messages[key] = entry

    def find(self, key: Key) -> Entry | None:
        """The message under this key, if it is not durable yet."""
        return self._messages.get(key) or self._messages_under_way.get(key)

    def commit(self) -> list[int]:
        """Make it durable; what was erased with it. Raises ChatdError E504: the hub must then end."""
        wait = self.begin()
        wait()
        self.end()
        gone = list(self.redacted)
        if gone:
            # What was erased is also in the write-ahead log until that is emptied.
            self._log.checkpoint()
        self.redacted.clear()
        return gone

    def begin(self) -> Callable[[], None]:
        """Everything but the waiting for the disk, which is in the function returned: see `EventLog.commit`.

        A batch that erases something is for `commit`. Raises as `commit` does.
        """
        crash_point("hub.commit.before")
        self._log.insert(self._entries, self.redacted)
        self._under_way, self._entries = self._entries, []
        self._messages_under_way, self._messages = self._messages, {}
        return self._log.commit

    def end(self) -> None:
        """The disk has what `begin` began."""
        self._log.committed()
        crash_point("hub.commit.after")
        self._under_way.clear()
        self._messages_under_way.clear()
