"""The batches of group commit: the one that grows, and the one that is being committed."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from queue import SimpleQueue

from chatd.crashpoints import crash_point
from chatd.hub.state.context import Principal
from chatd.hub.state.model import audience_of
from chatd.proto.frames import JsonObject, compact
from chatd.store.entry import Entry
from chatd.store.event_log import EventLog

# (device_id, msg_id) of a message.
MessageKey = tuple[str, str]

# A batch this large is committed on the thread; the change of threads and back costs about 0.1 ms.
OVERLAP_EVENTS = 32
# After this long the loop waits for the commit too, so that a hub that hangs misses its heartbeat.
PATIENCE_SECONDS = 1.0


def to_entry(event: JsonObject, who: Principal, digest: bytes | None = None) -> Entry:
    """Return the log entry of an event that ``who`` caused. ``digest``: see `Entry`."""
    kind, seq, at = event["type"], event["seq"], event["at"]
    if kind == "message":
        msg_id = bytes.fromhex(event["msg_id"])
        return Entry(seq, at, kind, event["room"], who.device_id, msg_id, digest, compact(event))
    return Entry(seq, at, kind, audience_of(event), who.device_id, None, None, compact(event))


class Batch:
    """Entries that are decided and not yet durable.

    `commit` commits at once. `begin` and `end` commit while the next batch is being decided.
    """

    def __init__(self, log: EventLog) -> None:
        self._log = log
        self._entries: list[Entry] = []
        # The messages among the entries, which the log cannot look up yet.
        self._messages: dict[MessageKey, Entry] = {}
        # The batch that is being committed.
        self._committing: list[Entry] = []
        self._committing_messages: dict[MessageKey, Entry] = {}
        # seq of a body to remove -> seq of the entry that orders it.
        self.redacted: dict[int, int] = {}

    def __len__(self) -> int:
        return len(self._entries)

    @property
    def head(self) -> int:
        """The last sequence number that was assigned."""
        decided = self._entries or self._committing
        return decided[-1].seq if decided else self._log.head

    def add(self, entry: Entry, key: MessageKey | None = None) -> None:
        """Add an entry; ``key`` identifies a message that a client may resend."""
        self._entries.append(entry)
        if key is not None:
            self._messages[key] = entry

    def find(self, key: MessageKey) -> Entry | None:
        """Return the message under this key if it is not durable yet."""
        return self._messages.get(key) or self._committing_messages.get(key)

    def commit(self) -> list[int]:
        """Commit the batch and return the seqs it redacted. After ChatdError E504 the hub must end."""
        commit = self.begin()
        commit()
        self.end()
        redacted = list(self.redacted)
        if redacted:
            # The write-ahead log still holds the removed bodies until it is emptied.
            self._log.checkpoint()
        self.redacted.clear()
        return redacted

    def begin(self) -> Callable[[], None]:
        """Start a commit; run the result on any thread, then call `end`.

        Use `commit` for a batch that redacts. Raises ChatdError E504.
        """
        crash_point("hub.commit.before")
        self._log.insert(self._entries, self.redacted)
        self._committing, self._entries = self._entries, []
        self._committing_messages, self._messages = self._messages, {}
        return self._log.commit

    def end(self) -> None:
        """Finish what `begin` started; the batch is durable."""
        self._log.finish()
        crash_point("hub.commit.after")
        self._committing.clear()
        self._committing_messages.clear()


class CommitThread:
    """Waits for the disk while the loop decides the next batch. Runs one commit at a time.

    ``fileno`` becomes readable when the commit has run.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.busy = False
        self._clock = clock
        self._began = 0.0
        self._commits: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._results: SimpleQueue[BaseException | None] = SimpleQueue()
        self._wake = os.eventfd(0, os.EFD_CLOEXEC)
        self._thread = threading.Thread(target=self._run, name="commit", daemon=True)
        self._thread.start()

    def fileno(self) -> int:
        return self._wake

    def begin(self, commit: Callable[[], None]) -> None:
        """Run ``commit`` on the thread. Call `end` before the next one."""
        self.busy = True
        self._began = self._clock()
        self._commits.put(commit)

    @property
    def overdue(self) -> bool:
        """Whether the commit has been running for over `PATIENCE_SECONDS`."""
        return self.busy and self._clock() - self._began > PATIENCE_SECONDS

    def end(self) -> None:
        """Wait until the commit has run. Raises what the commit raised."""
        os.eventfd_read(self._wake)
        self.busy = False
        error = self._results.get()
        if error is not None:
            raise error

    def close(self) -> None:
        """End the thread after its current commit."""
        self._commits.put(None)
        self._thread.join()
        os.close(self._wake)

    def _run(self) -> None:
        while (commit := self._commits.get()) is not None:
            error: BaseException | None = None
            try:
                commit()
            except BaseException as raised:  # noqa: BLE001 - raised again by `end`, in the loop
                error = raised
            self._results.put(error)
            os.eventfd_write(self._wake, 1)
