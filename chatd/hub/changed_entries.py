"""Which entries were changed since a read began: its page may show what is gone."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable

# Changed entries that are remembered; a read that began before an older change is read again.
CHANGES_KEPT = 20_000

_SEQ = re.compile(rb'\{"type":"[a-z_]+","seq":([0-9]+),')


class ChangedEntries:
    """Counts the changes of entries, and remembers the last one of each."""

    def __init__(self) -> None:
        self.count = 0
        self._of: dict[int, int] = {}
        # Changes up to this one are forgotten.
        self._forgotten = 0

    def note(self, seqs: Collection[int]) -> None:
        """Remember a change of these entries."""
        self.count += 1
        if len(self._of) + len(seqs) > CHANGES_KEPT:
            self._of.clear()
            self._forgotten = self.count
            return
        self._of.update(dict.fromkeys(seqs, self.count))

    def concern(self, bodies: Iterable[bytes], since: int) -> bool:
        """Whether one of the events ``bodies`` may have been changed after change ``since``."""
        if since == self.count:
            return False
        return since < self._forgotten or any(self._changed(body, since) for body in bodies)

    def concern_entry(self, seq: int, since: int) -> bool:
        """Whether the entry may have been changed after change ``since``."""
        return since < self._forgotten or self._of.get(seq, 0) > since

    def _changed(self, body: bytes, since: int) -> bool:
        found = _SEQ.match(body)
        return found is None or self._of.get(int(found[1]), 0) > since
