"""Whether a user with a device may be here at all."""

from __future__ import annotations

from chatd.errors import ChatdError
from chatd.hub.state import guests
from chatd.hub.state.context import Context


def check_standing(context: Context, user: str, device: str, serial: str | None = None) -> None:
    """Refuse an unknown, revoked, banned or kicked device, and an ended guest. Raises E205 to E208, E219."""
    known = context.state.users.get(user)
    if known is not None and known.bot and serial is None and user in context.state.hooks.by_name:
        context.refuse_sanctioned(user)
        return
    entry = known.devices.get(device) if known else None
    if entry is None or (serial is not None and not entry.has(serial)):
        raise ChatdError("E205", f"the certificate of {user}/{device} is not in the registry")
    guests.refuse_ended(context, user)
    if entry.revoked:
        raise ChatdError("E206", f"the device {user}/{device} was revoked")
    context.refuse_sanctioned(user)
