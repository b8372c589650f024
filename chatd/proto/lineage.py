"""The lineage of a log: restoring a backup gives the same sequence numbers to other events.

A lineage lists the logs that one log descends from, oldest first, itself last. Each restore adds a branch;
sequence numbers after ``began`` mean other events there than in the log before it.
"""

from collections.abc import Sequence
from typing import Annotated

from chatd.proto.plain_model import PlainModel, judge_of

# Branches kept and sent; `trimmed` merges the oldest of a log that was restored more often.
LINEAGE_LIMIT = 64


class Branch(PlainModel):
    """``id``: 32 hexadecimal digits, random; ``began``: the log's head when the branch was made."""

    id: Annotated[str, lambda digits: len(digits) == 32]
    began: Annotated[int, lambda seq: seq >= 0]


Lineage = Annotated[list[Branch], lambda branches: len(branches) <= LINEAGE_LIMIT]
_judge = judge_of(Lineage)


def trimmed(branches: Sequence[Branch]) -> tuple[Branch, ...]:
    """At most LINEAGE_LIMIT branches: the first and the newest.

    A branch that takes the place of a dropped one begins no later than the dropped one did.
    """
    kept = list(branches)
    while len(kept) > LINEAGE_LIMIT:
        dropped = kept.pop(1)
        kept[1] = Branch(id=kept[1].id, began=min(dropped.began, kept[1].began))
    return tuple(kept)


def common_point(known: Sequence[Branch], current: Sequence[Branch]) -> int | None:
    """The last seq that means the same event in both logs; None: they are one log, 0: no common branch.

    An empty ``known`` stands for a client that never received a lineage; it has seen the first log. An empty
    ``current`` comes from a server too old to send one, and gives None.
    """
    if not current:
        return None
    known = known or current[:1]
    known_places = {branch.id: place for place, branch in enumerate(known)}
    for place in reversed(range(len(current))):
        known_place = known_places.get(current[place].id)
        if known_place is not None:
            # Both logs share this branch; the earlier of the next branches is where they part.
            next_branches = (*current[place + 1 : place + 2], *known[known_place + 1 : known_place + 2])
            return min((branch.began for branch in next_branches), default=None)
    return 0


def parse_lineage(value: object) -> tuple[Branch, ...]:
    """Branches from JSON. Raises ValueError for anything else."""
    return tuple(_judge(value))
