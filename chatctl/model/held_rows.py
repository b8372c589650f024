"""Show messages that wait for a moderator."""

from __future__ import annotations

from chatctl.model.conversation import Conversation, TimelineRow
from chatctl.model.folding import fold
from chatd.proto import events as ev
from chatd.proto.text import visible


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
            where.pending.pop(event.msg_id, None)
