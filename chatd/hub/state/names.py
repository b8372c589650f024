"""Sets of names that are kept sorted, so that a page of a list costs as much as the page is long."""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterable, Iterator, Mapping, MutableSet
from typing import Any

# Sorts after every name: names are ASCII.
_LAST = "\x7f"


class SortedNames(MutableSet[str]):
    """A set of names, iterated in their order.

    Adding moves part of a list in memory: some 20 us for 100,000 names.
    """

    __slots__ = ("_names", "_sorted")

    def __init__(self, names: Iterable[str] = ()) -> None:
        self._names = set(names)
        self._sorted = sorted(self._names)

    def __contains__(self, value: object) -> bool:
        return value in self._names

    def __iter__(self) -> Iterator[str]:
        return iter(self._sorted)

    def __len__(self) -> int:
        return len(self._sorted)

    def add(self, value: str) -> None:
        """Add a name; adding it again changes nothing."""
        if value not in self._names:
            self._names.add(value)
            insort(self._sorted, value)

    def discard(self, value: str) -> None:
        """Remove a name if it is there."""
        if value in self._names:
            self._names.remove(value)
            del self._sorted[bisect_left(self._sorted, value)]

    def between(self, after: str, before: str = _LAST) -> Iterator[str]:
        """Yield the names greater than ``after`` and less than ``before``, in order."""
        # By index: itertools.islice would step through everything before the start.
        for index in range(bisect_right(self._sorted, after), bisect_left(self._sorted, before)):
            yield self._sorted[index]

    def count_before(self, name: str) -> int:
        """Return the number of names less than ``name``."""
        return bisect_left(self._sorted, name)

    def isdisjoint(self, other: Iterable[Any]) -> bool:
        """Whether no name is in both."""
        names = other._names if isinstance(other, SortedNames) else other
        return self._names.isdisjoint(names)


class EndingNames:
    """Names that each stay until a time (ms since 1970), or until they are discarded (None)."""

    def __init__(self, ends: Mapping[str, int | None]) -> None:
        self._until = dict(ends)
        self._refill()

    def _refill(self) -> None:
        self._as_of = 0
        self._current = SortedNames(self._until)
        self._ends = sorted((until, name) for name, until in self._until.items() if until is not None)

    def put(self, name: str, until: int | None) -> None:
        """Add a name, or change its end."""
        self.discard(name)
        self._until[name] = until
        self._current.add(name)
        if until is not None:
            insort(self._ends, (until, name))

    def discard(self, name: str) -> None:
        """Remove a name if it is there."""
        until = self._until.pop(name, None)
        self._current.discard(name)
        if until is not None:
            index = bisect_left(self._ends, (until, name))
            # An end that has passed is not in the list any more.
            if self._ends[index : index + 1] == [(until, name)]:
                del self._ends[index]

    def at(self, now: int) -> SortedNames:
        """Return the names that have not ended at ``now``. Each end is looked at once while time advances."""
        if now < self._as_of:
            self._refill()
        self._as_of = now
        passed = bisect_right(self._ends, (now, _LAST))
        for _, name in self._ends[:passed]:
            self._current.discard(name)
        del self._ends[:passed]
        return self._current
