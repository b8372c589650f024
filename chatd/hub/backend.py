"""Where batches are committed: the event log, or the stream of a cluster before it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from chatd.store.entry import Entry


class Backend(Protocol):
    """The writing half of `chatd.store.event_log.EventLog`, which describes the methods."""

    @property
    def head(self) -> int: ...
    def try_begin(self) -> bool: ...
    def insert(self, entries: Sequence[Entry], redact: Mapping[int, int]) -> None: ...
    def commit(self) -> None: ...
    def finish(self) -> None: ...
