"""A stream in memory, with the faults that a real one has."""

from __future__ import annotations

import os

from chatd.cluster.log_link import Outcome, StreamBounds, StreamGoneError, StreamState


class MemoryTail:
    """A `Tail`, which is readable at all times. ``paused`` keeps everything back."""

    def __init__(self, stream: MemoryStream, after: int) -> None:
        self._stream = stream
        self._next = after + 1
        self.paused = False
        self._wake = os.eventfd(1, os.EFD_CLOEXEC)

    def fileno(self) -> int:
        return self._wake

    def receive(self) -> list[bytes]:
        found: list[bytes] = []
        while not self.paused and (data := self._stream.read(self._next)) is not None:
            found.append(data)
            self._next += 1
        if not found and self._next < self._stream.first:
            raise StreamGoneError
        return found

    def close(self) -> None:
        os.close(self._wake)


class MemoryStream:
    """A `LogLink`. The next append raises or returns ``before`` and ``after``, around its work."""

    def __init__(self) -> None:
        self.messages: list[bytes] | None = None
        self.first = 1
        self.told: StreamState | None = None
        self.before: Outcome | OSError | None = None
        self.after: Outcome | OSError | None = None

    def append(self, after: int, data: bytes, seconds: float) -> Outcome:
        self._fail("before")
        if (stored := self.read(after + 1)) is not None:
            return Outcome.IN if stored == data else Outcome.RIVAL
        if len(self._stored) != after:
            return Outcome.RIVAL
        self._stored.append(data)
        if (outcome := self._fail("after")) is not None:
            return outcome
        return Outcome.IN

    def read(self, seq: int) -> bytes | None:
        return self._stored[seq - 1] if self.first <= seq <= len(self._stored) else None

    def bounds(self) -> StreamBounds:
        return StreamBounds(self.first, len(self._stored))

    def state(self) -> StreamState | None:
        return self.told

    def create(self) -> None:
        self.messages, self.first = [], 1

    def trim(self, upto: int) -> None:
        self.first = max(self.first, upto + 1)

    def tail(self, after: int) -> MemoryTail:
        return MemoryTail(self, after)

    def close(self) -> None:
        return

    @property
    def _stored(self) -> list[bytes]:
        if self.messages is None:
            raise StreamGoneError
        return self.messages

    def _fail(self, when: str) -> Outcome | None:
        fault: Outcome | OSError | None = getattr(self, when)
        setattr(self, when, None)
        if isinstance(fault, OSError):
            raise fault
        return fault
