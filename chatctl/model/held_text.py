"""Show messages that wait for a moderator, and tell what waits for a decision."""

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


def refused(event: ev.MessageRefused) -> str:
    """A sentence for the writer of a refused message."""
    room, reason = (visible(text, newlines=False) for text in (event.room, event.reason))
    return f"your message in {room} was refused by {event.author}" + (f": {reason}" if reason else "")


def attention(event: ev.Attention) -> str:
    """A sentence for whoever may decide."""
    user, place = (visible(text, newlines=False) for text in (event.user, event.place))
    if event.what == "ask":
        return f"{user} asks to be let in, from {place} ({event.count} in all): chatctl approve {user}"
    return f"a message of {user} in {place} waits for a moderator ({event.count} in all): chatctl held list"
