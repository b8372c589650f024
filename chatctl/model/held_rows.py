"""Show messages that wait for a moderator."""

from __future__ import annotations

from chatctl.model.conversation import Conversation, TimelineRow
from chatctl.model.folding import fold
from chatctl.model.render import Quote
from chatd.proto import events as ev
from chatd.proto.text import visible


def waiting(where: Conversation) -> list[int]:
    """Return the numbers of this user's messages that wait for a moderator, the oldest first."""
    return sorted(row.order[1] for row in where.pending.values() if row.kind == "held")


def apply(where: Conversation, event: ev.Logged) -> None:
    """Show a held message as waiting, below all others, until it is decided."""
    match event:
        case ev.MessageHeld():
            where.pending[event.msg_id] = TimelineRow(
                (where.newest, event.seq),
                "held",
                fold(visible(event.body)).text,
                user=visible(event.user, newlines=False),
                is_snippet=event.kind == "snippet",
            )
        case ev.MessageRefused():
            row = where.pending.pop(event.msg_id, None)
            if row is not None:
                where.note_former(event.seq, Quote(event.user, row.body))
