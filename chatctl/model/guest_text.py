"""Put a guest's end into words for the sponsor. All functions are pure."""

from __future__ import annotations

from chatctl.model.times import Times
from chatd.proto import events as ev
from chatd.proto.text import visible


def ends(event: ev.GuestReminded) -> str:
    """When a guest's time ends, and what to do about it."""
    name = visible(event.guest, newlines=False)
    return f"ends {Times.UTC.when(event.ends)}; for longer: chatctl guest extend {name} 24h"


def reminder(event: ev.GuestReminded) -> str:
    """A sentence about a guest's end."""
    return f"the time of your guest {visible(event.guest, newlines=False)} {ends(event)}"
