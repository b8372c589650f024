"""What a login adds to the log: a forgotten renewal, rooms joined by themselves, a first login."""

from __future__ import annotations

from chatd.hub.state import devices, renewals, rooms
from chatd.hub.state.context import Context
from chatd.hub.state.user_standing import Shown, is_forgotten
from chatd.proto.frames import JsonObject


def is_due(context: Context, serial: str, shown: Shown | None) -> bool:
    """Whether the asker's login adds anything."""
    device = context.state.users[context.who.user].devices[context.who.device]
    return (
        (shown is not None and is_forgotten(device, serial, shown))
        or devices.is_first_login(context)
        or any(True for _ in rooms.to_auto_join(context, context.who.user))
    )


def note(context: Context, serial: str, shown: Shown | None) -> JsonObject | None:
    """Add it; return what the user's rooms are told, None for nothing."""
    if shown is not None:
        renewals.note_forgotten(context, serial, shown)
    rooms.auto_join(context, context.who.user)
    return devices.note_first_login(context)
