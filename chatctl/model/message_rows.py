"""The row of a message in its conversation."""

from __future__ import annotations

from chatctl.model import render
from chatctl.model.conversation import TimelineRow
from chatctl.model.folding import SNIPPET, fold_kind
from chatd.proto import events as ev
from chatd.proto.text import visible


def message_row(event: ev.Message, quoted: render.Quote | None, me: str) -> TimelineRow:
    """Return the row of a message for ``me``; ``quoted`` is what it replies to, if that is known."""
    text, more = fold_kind(visible(event.body), event.kind)
    unknown = "" if event.reply_to is None else render.UNKNOWN_QUOTE
    return TimelineRow(
        (event.seq, 0),
        "action" if event.kind == "action" else "message",
        text,
        event.at,
        render.safe(event.user),
        render.safe(event.role),
        quoted.text if quoted else unknown,
        event.reply_to,
        event.user != me and render.mentions(event.body, me),
        edited=event.edited or 0,
        reactions=render.safe_reactions(event.reactions),
        changed=event.edited or 0,
        is_snippet=event.kind == SNIPPET,
        more=more,
    )
