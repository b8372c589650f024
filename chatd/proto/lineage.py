"""Which log is this? A restored backup goes on under the numbers of the log it was copied from.

A lineage is the list of the logs that one log descends from, oldest first and itself last. Each restore
adds a branch: from the seq ``began`` on the numbers mean something else than in the log before it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

# Branches that are told and kept; more restores of one log than this are merged (`trimmed`).
LINEAGE_LIMIT = 64


class Branch(NamedTuple):
    """``id``: 32 hexadecimal digits, random; ``began``: the head of the log when the branch was made."""

    id: str
    began: int


def trimmed(branches: Sequence[Branch]) -> tuple[Branch, ...]:
    """At most LINEAGE_LIMIT branches, the first and the newest; none seems to begin later than it did."""
    kept = list(branches)
    while len(kept) > LINEAGE_LIMIT:
        gone = kept.pop(1)
        kept[1] = kept[1]._replace(began=min(gone.began, kept[1].began))
    return tuple(kept)


def common_point(known: Sequence[Branch], told: Sequence[Branch]) -> int | None:
    """The last seq that means the same in both logs; None when they are one log.

    ``known`` is empty for who has never been told a lineage: such a client has at least seen the first
    log. Without anything in common it is 0. A server that tells none is an older one: None.
    """
    if not told:
        return None
    known = known or told[:1]
    places = {branch.id: place for place, branch in enumerate(known)}
    for place in reversed(range(len(told))):
        there = places.get(told[place].id)
        if there is not None:
            # Up to here they are the same; whichever left first decides.
            left = (*told[place + 1 : place + 2], *known[there + 1 : there + 2])
            return min((branch.began for branch in left), default=None)
    return 0


def parse_lineage(value: object) -> tuple[Branch, ...]:
    """Branches from JSON. Raises ValueError for anything else."""
    if not isinstance(value, list) or len(value) > LINEAGE_LIMIT:
        raise ValueError("not a lineage")
    return tuple(_branch(item) for item in value)


def _branch(item: object) -> Branch:
    match item:
        case {"id": str(name), "began": int(began)} if len(name) == 32 and began >= 0:
            return Branch(name, began)
    raise ValueError("not a branch of a lineage")
