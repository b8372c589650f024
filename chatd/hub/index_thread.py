"""Keep the search index up with the log, on a thread apart from all queries."""

from __future__ import annotations

import threading

from chatd.errors import ChatdError
from chatd.logs.logger import get_log
from chatd.store.search_index import SearchIndex

log = get_log("errors")

# Entries indexed in one transaction; a redaction waits for it.
INDEX_STEP = 2_000
# Redactions in one transaction: a text of 32 KiB takes over half a second.
REDACT_STEP = 10
IDLE_SECONDS = 2.0
# A search waits for the newest messages if the index is at most this far behind. During a rebuild it searches
# what there is.
CATCH_UP_LIMIT = 5 * INDEX_STEP
CATCH_UP_SECONDS = 1.0


class IndexThread:
    """Indexes new entries every two seconds, or at once when a search needs them."""

    def __init__(self, index: SearchIndex) -> None:
        self._index = index
        self._changed = threading.Condition()
        # The seq up to which the log is indexed, and the highest that a search has asked for.
        self._position = 0
        self._wanted = 0
        self._redacted: list[int] = []
        # The highest seq that was asked for and could not be reached.
        self._given_up = 0
        self._failed = False
        self._closing = False
        self._thread = threading.Thread(target=self._run, name="index", daemon=True)
        self._thread.start()

    def redact(self, seqs: list[int]) -> None:
        """Remove redacted messages from the index, before anything else is indexed."""
        with self._changed:
            self._redacted += seqs
            self._changed.notify_all()

    def reach(self, seq: int) -> bool:
        """Wait until the log is indexed up to ``seq``, or cannot be soon; return whether it is."""
        with self._changed:
            if seq - self._position > CATCH_UP_LIMIT:
                return False
            self._wanted = max(self._wanted, seq)
            self._changed.notify_all()
            self._changed.wait_for(lambda: seq <= self._settled() or self._closing, CATCH_UP_SECONDS)
            return self._position >= seq

    def close(self, timeout: float) -> None:
        """End the thread after its current step."""
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        self._thread.join(timeout)

    def _run(self) -> None:
        behind = True
        while True:
            with self._changed:
                if not behind:
                    self._changed.wait_for(self._has_work, IDLE_SECONDS)
                if self._closing:
                    break
                redacted, self._redacted = self._redacted[:REDACT_STEP], self._redacted[REDACT_STEP:]
                wanted = self._wanted
            behind = self._step(redacted, wanted)
        self._index.close()

    def _settled(self) -> int:
        return max(self._position, self._given_up)

    def _has_work(self) -> bool:
        return bool(self._redacted) or self._wanted > self._settled() or self._closing

    def _step(self, redacted: list[int], wanted: int) -> bool:
        """Redact, then index one step; return whether more may follow at once."""
        indexed = 0
        try:
            if redacted:
                self._index.redact(redacted)
            indexed = self._index.catch_up(INDEX_STEP)
            self._failed = False
        except Exception as error:
            # Log it once, not every two seconds while a disk is full.
            if not self._failed:
                log.exception("index_failed", code=error.code if isinstance(error, ChatdError) else "E500")
            self._failed = True
        with self._changed:
            self._position = self._index.position
            if not indexed:
                # Only what was asked for before the step: it has not seen what was committed since.
                self._given_up = wanted
            self._changed.notify_all()
        return indexed > 0
