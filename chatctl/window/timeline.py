"""Convert the rows of a conversation to blocks of tagged text, which the view compares and draws.

Only the first row of a person's messages has an avatar in the margin, and only rows that are not messages
have a tab, so that no text can look like another user's message or like a line of the chat's own.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from chatctl.model import markup, render
from chatctl.model.conversation import READING_LIMIT, Conversation, TimelineRow
from chatctl.model.times import Times
from chatctl.window.palette import name_tag

# Begin the rows that are not messages. The text of messages has no tabs, so it cannot look like one of these.
EVENT_MARK, ANNOUNCEMENT_MARK, NOTE_MARK = "-!-\t", "***\t", "--\t"
NEW_LINE, HANGING = "\n", "\n\t"
# The tag of the line that opens the rest of a snippet.
MORE = "more"
QUOTE_BAR = "\u258e "
Parts = tuple[tuple[str, str], ...]
# Messages of one user that follow within this time share a heading.
SAME_HEADING_MS = 5 * 60_000
# Lines of one user's messages after which the name stands there again: about a third of a screen.
SAME_HEADING_LINES = 10
# New blocks at the top of a trimmed conversation: the day, and a message with its heading.
_NEW_AT_TOP = 2


class Block(NamedTuple):
    """Whole lines as (tags, text) parts; ``seq`` of their event, 0 for none.

    ``person``: whose messages begin here, "" if this continues others. ``at``: the time of a message whose
    lines do not show it, in ms since 1970.
    """

    parts: Parts
    seq: int = 0
    person: str = ""
    at: int = 0


# The block of each row, with the row and its predecessor that it was made from.
BlockCache = dict[tuple[int, int], tuple[TimelineRow, TimelineRow | None, Block]]


def blocks(
    conversation: Conversation, me: str, cache: BlockCache | None = None, times: Times = Times.UTC
) -> list[Block]:
    """The whole conversation, oldest first, with pending messages at the end.

    ``cache``: the blocks of the last call, which are reused for unchanged rows; updated for the next call.
    """
    cached = dict(cache) if cache is not None else {}
    fresh: BlockCache = {}
    result = _beginning(conversation, me)
    previous: TimelineRow | None = None
    day = ""
    first_unread = conversation.read.first
    lines = 0  # of messages below one heading
    for row in (*conversation.rows, *conversation.pending.values()):
        if row.at and (row_day := times.day(row.at)) != day:
            day = row_day
            result.append(Block((("day", f"{day}\n"),)))
            previous = None
        if first_unread and row.is_message and row.at and row.seq >= first_unread and row.user != me:
            result.append(Block((("divider", "new\n"),)))
            first_unread, previous = 0, None
        if lines >= SAME_HEADING_LINES:
            previous = None
        entry = cached.get(row.order)
        if entry is None or entry[0] is not row or entry[1] is not previous:
            entry = (row, previous, _block(row, previous, me, times))
        fresh[row.order] = entry
        result.append(entry[2])
        lines = (0 if entry[2].person else lines) + row.body.count("\n") + 1
        previous = row
    if cache is not None:
        # Nothing of a dropped row may stay: it may have been redacted.
        cache.clear()
        cache.update(fresh)
    return result


def changes(old: list[Block], new: list[Block]) -> tuple[int, int, int]:
    """Return the differing slice as (first, end in ``old``, end in ``new``); the rest is equal."""
    first = 0
    shorter = min(len(old), len(new))
    while first < shorter and old[first] == new[first]:
        first += 1
    last = 0
    while last < shorter - first and old[-1 - last] == new[-1 - last]:
        last += 1
    return first, len(old) - last, len(new) - last


def splices(old: list[Block], new: list[Block]) -> list[tuple[int, int, list[Block]]]:
    """Replacements (begin, end, blocks) of old[begin:end] that make ``new``, the last place first.

    Unlike `changes`, it recognizes a conversation that lost rows at the top and got others at the end, so
    that a flood does not redraw everything each time.
    """
    first, old_end, new_end = changes(old, new)
    kept = first + _NEW_AT_TOP
    if old_end - first > _NEW_AT_TOP and new_end > kept and new[kept] in old[kept:old_end]:
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
    """Count the lines of blocks before wrapping."""
    return sum(text.count("\n") for block in some for _, text in block.parts)


def _beginning(conversation: Conversation, me: str) -> list[Block]:
    if not conversation.has_older and conversation.loaded:
        text = f"Beginning of {render.title(conversation.name, me)}\n"
    elif len(conversation.rows) >= READING_LIMIT:
        text = "Too far back to scroll further; search finds older messages\n"
    else:
        return []
    return [Block((("begin", text),))]


# Kinds of rows with messages that others do not see, and what is said of them.
_UNPUBLISHED = {"pending": "sending", "held": "waiting for a moderator"}


def _block(row: TimelineRow, previous: TimelineRow | None, me: str, times: Times) -> Block:
    message = row.kind in ("message", *_UNPUBLISHED)
    begins = message and not _shares_heading(row, previous)
    hidden = row.at if message and not begins else 0
    return Block(_parts(row, previous, times), row.seq if row.at else 0, row.user if begins else "", hidden)


def _parts(row: TimelineRow, previous: TimelineRow | None, times: Times) -> Parts:
    match row.kind:
        case "message" | "pending" | "held":
            return _message(row, previous, times)
        case "action":
            who = (f"actor {name_tag(row.user)}", row.user)
            time = ("time", f"  {_time(row, times)}\n")
            words = (("action", " "), *_marked_up("action", row.body))
            return (("action", "* "), who, *words, *_edited(row), time, *_reactions(row))
        case "announcement":
            head = (("announcement", f"{ANNOUNCEMENT_MARK}{row.user} announces: "),)
            return (*head, *_marked_up("announcement", f"{row.body}\n"))
        case "event":
            return (("event", EVENT_MARK + row.body), ("time", f"  {_time(row, times)}\n"))
    if row.kind == "listing":
        return ((row.kind, f"{row.body}\n"),)
    # Further lines hang below the first.
    return ((row.kind, f"{NOTE_MARK}{row.body.replace(NEW_LINE, HANGING)}\n"),)


def _message(row: TimelineRow, previous: TimelineRow | None, times: Times) -> Parts:
    head: Parts = ()
    if not _shares_heading(row, previous):
        role = (("role", f"  {row.role}"),) if row.role not in ("", "user") else ()
        time = (("time", f"  {_time(row, times)}"),) if row.at else ()
        head = ((f"name {name_tag(row.user)}", row.user), *role, *time, ("head", "\n"))
    quote = (("quote bar", QUOTE_BAR), ("quote", f"{row.quote}\n")) if row.quote else ()
    tag = "codeblock" if row.is_snippet else "body"
    if row.kind in _UNPUBLISHED:
        return (*head, *quote, ("pending", row.body), ("mark", f"  \u2026 {_UNPUBLISHED[row.kind]}\n"))
    shown = ((tag, row.body),) if row.is_snippet else _marked_up(tag, row.body)
    body = (*shown, *_edited(row), (tag, "\n"))
    more = ((MORE, f"\u2026 {row.more}: open, or /show {row.seq}\n"),) if row.more else ()
    parts = (*head, *quote, *body, *more, *_reactions(row))
    return tuple((f"{tag} mention", text) for tag, text in parts) if row.mentions_me else parts


def _marked_up(tag: str, text: str) -> Parts:
    """A text with its code, bold words and links; ``tag`` is on all of it."""
    return tuple((" ".join((tag, *span.looks)), span.text) for span in markup.spans(text))


def _edited(row: TimelineRow) -> Parts:
    return (("mark", render.EDITED_MARK),) if row.edited else ()


def _reactions(row: TimelineRow) -> Parts:
    """The line below a message with its reactions."""
    return (("reactions", f"{render.reactions_text(row.reactions)}\n"),) if row.reactions else ()


def _shares_heading(row: TimelineRow, previous: TimelineRow | None) -> bool:
    if previous is None or previous.kind not in ("message", *_UNPUBLISHED) or previous.user != row.user:
        return False
    return not row.at or row.at - previous.at < SAME_HEADING_MS


def _time(row: TimelineRow, times: Times) -> str:
    return times.clock(row.at, seconds=False)
