"""How a conversation reads: from its rows to blocks of tagged text. Pure, for the view to compare and draw.

Bodies are indented below a heading, so that nobody can write what looks like another's message.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from chatctl.model import render
from chatctl.model.conversation import READING_LIMIT, Conversation, TimelineRow

Parts = tuple[tuple[str, str], ...]
# Messages of one user stand under one heading when they follow within this time.
TOGETHER_MS = 5 * 60_000
DAY_MS = 86_400_000
_BEGINNING = 2


class Block(NamedTuple):
    """Whole lines: (tag, text), the last of which ends its line; of the event ``seq`` (0: of none)."""

    parts: Parts
    seq: int = 0


# What was made before, of a row and the one before it: both are immutable.
BlockCache = dict[tuple[int, int], tuple[TimelineRow, TimelineRow | None, Block]]


def blocks(conversation: Conversation, me: str, known: BlockCache | None = None) -> list[Block]:
    """The whole conversation, oldest first, with what is pending at the end.

    ``known``: what the last call made, for rows that are the same still; filled for the next call.
    """
    before_this = dict(known) if known is not None else {}
    made: BlockCache = {}
    result: list[Block] = []
    if not conversation.has_older and conversation.loaded:
        result.append(Block((("begin", f"Beginning of {render.title(conversation.name, me)}\n"),)))
    elif len(conversation.rows) >= READING_LIMIT:
        result.append(Block((("begin", "Too far back to scroll on; search finds what is older\n"),)))
    before: TimelineRow | None = None
    day = -1
    divider = conversation.first_unread
    for row in (*conversation.rows, *conversation.pending.values()):
        if row.at and (today := row.at // DAY_MS) != day:
            day = today
            result.append(Block((("day", f"{render.day_of(row.at)}\n"),)))
            before = None
        if divider and row.at and row.order[0] >= divider:
            result.append(Block((("divider", "new\n"),)))
            divider, before = 0, None
        entry = before_this.get(row.order)
        if entry is None or entry[0] is not row or entry[1] is not before:
            entry = (row, before, Block(_parts(row, before, me), row.order[0] if row.at else 0))
        made[row.order] = entry
        result.append(entry[2])
        before = row
    if known is not None:
        # Nothing stays of what is gone: it may have been erased.
        known.clear()
        known.update(made)
    return result


def changes(old: list[Block], new: list[Block]) -> tuple[int, int, int]:
    """Which blocks differ: (first, end in old, end in new); what is outside is the same in both."""
    first = 0
    shorter = min(len(old), len(new))
    while first < shorter and old[first] == new[first]:
        first += 1
    last = 0
    while last < shorter - first and old[-1 - last] == new[-1 - last]:
        last += 1
    return first, len(old) - last, len(new) - last


def splices(old: list[Block], new: list[Block]) -> list[tuple[int, int, list[Block]]]:
    """How to make the new from the old, last place first: old[begin:end] becomes other blocks.

    More than `changes` it sees that a conversation lost its oldest rows and got new ones, so that a flood
    does not make the view draw everything again and again.
    """
    first, old_end, new_end = changes(old, new)
    # What is trimmed begins anew with a day and a heading; the block after these was there before.
    kept = first + _BEGINNING
    if old_end - first > _BEGINNING and new_end > kept and new[kept] in old[kept:old_end]:
        moved = old.index(new[kept], kept, old_end)
        begin, end, until = changes(old[moved:], new[kept:])
        result = [
            (moved + begin, moved + end, new[kept + begin : kept + until]),
            (first, moved, new[first:kept]),
        ]
    else:
        result = [(first, old_end, new[first:new_end])]
    return [one for one in result if one[0] != one[1] or one[2]]


def line_count(some: Iterable[Block]) -> int:
    """How many lines blocks take before wrapping."""
    return sum(text.count("\n") for block in some for _, text in block.parts)


def _parts(row: TimelineRow, before: TimelineRow | None, me: str) -> Parts:
    match row.kind:
        case "message" | "pending":
            return _message(row, before, me)
        case "action":
            who = (render.name_style(row.user, me), row.user)
            return (("action", "* "), who, ("action", f" {row.body}"), ("time", f"  {_time(row)}\n"))
        case "announcement":
            return (("announcement", f"{row.user} announces: {row.body}\n"),)
        case "event":
            return (("event", row.body), ("time", f"  {_time(row)}\n"))
    return ((row.kind, f"{row.body}\n"),)


def _message(row: TimelineRow, before: TimelineRow | None, me: str) -> Parts:
    head: Parts = ()
    if not _together(row, before):
        role = (("role", f" {row.role}"),) if row.role not in ("", "user") else ()
        time = (("time", f"  {_time(row)}"),) if row.at else ()
        head = ((render.name_style(row.user, me), row.user), *role, *time, ("head", "\n"))
    quote = (("quote", f"\u21b3 {row.quote}\n"),) if row.quote else ()
    style = "pending" if row.kind == "pending" else "mention" if row.mentions_me else "body"
    mark = (("mark", "  \u2026 sending\n"),) if row.kind == "pending" else ()
    return (*head, *quote, (style, row.body if mark else f"{row.body}\n"), *mark)


def _together(row: TimelineRow, before: TimelineRow | None) -> bool:
    if before is None or before.kind not in ("message", "pending") or before.user != row.user:
        return False
    return not row.at or row.at - before.at < TOGETHER_MS


def _time(row: TimelineRow) -> str:
    return f"{render.clock_of(row.at)[:5]}Z"
