"""Tell what became of a held message, and what waits for a decision. All functions are pure."""

from __future__ import annotations

from chatd.proto import events as ev
from chatd.proto.text import visible


def refused(event: ev.MessageRefused, body: str) -> str:
    """A sentence for the writer of a refused message, which begins with ``body`` ("" if not known)."""
    room, by, reason = (visible(text, newlines=False) for text in (event.room, event.author, event.reason))
    which = f'your message "{body}" in {room}' if body else f"your message in {room}"
    if event.by == event.user:
        return f"{which} is withdrawn; nobody has read it but moderators"
    return f"{which} was refused by {by}" + (f": {reason}" if reason else "")


def attention(event: ev.Attention) -> str:
    """A sentence for whoever may decide."""
    user, place = (visible(text, newlines=False) for text in (event.user, event.place))
    if event.what == "ask":
        return f"{user} asks to be let in, from {place} ({event.count} in all): chatctl approve {user}"
    if event.what == "withdrawn":
        return f"{user} withdrew a message in {place} that waited for a moderator ({event.count} still wait)"
    return f"a message of {user} in {place} waits for a moderator ({event.count} in all): chatctl held list"
