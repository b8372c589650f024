"""Whether a user with a device may be here at all."""

from __future__ import annotations

from typing import NamedTuple

from chatd.errors import ChatdError
from chatd.hub.state import guests
from chatd.hub.state.context import Context
from chatd.hub.state.cuts import removed_error, revoked_error
from chatd.hub.state.entities import Device


class Shown(NamedTuple):
    """What a certificate says that the CA has signed: the hash of its key, and its end in ms since 1970."""

    key: str
    ends: int


def is_forgotten(device: Device, serial: str, shown: Shown) -> bool:
    """Whether a certificate is a renewal of the device that a restored log does not know (ADR 43)."""
    same_key = bool(device.key) and device.key == shown.key
    return same_key and not device.has(serial) and device.ends is not None and device.ends < shown.ends


def check_standing(
    context: Context, user: str, device: str, serial: str | None = None, shown: Shown | None = None
) -> None:
    """Refuse an unknown, revoked, banned or kicked device, and an ended guest. Raises E205 to E208, E219.

    With ``shown``, a renewal that the log has forgotten is known.
    """
    known = context.state.users.get(user)
    if known is not None and known.bot and serial is None and user in context.state.hooks.by_name:
        context.refuse_sanctioned(user)
        return
    entry = known.devices.get(device) if known else None
    if entry is None or not _knows(entry, serial, shown):
        raise ChatdError("E205", f"the certificate of {user}/{device} is not in the registry")
    guests.refuse_ended(context, user)
    refuse_revoked(context, user, device)
    context.refuse_sanctioned(user)


def refuse_revoked(context: Context, user: str, device: str) -> None:
    """Raise E206 for a device that was revoked, or whose user was removed."""
    known = context.state.users[user]
    if known.removed:
        raise removed_error(user, known.why)
    entry = known.devices[device]
    if entry.revoked:
        raise revoked_error(user, device, entry.why)


def _knows(device: Device, serial: str | None, shown: Shown | None) -> bool:
    if serial is None or device.has(serial):
        return True
    return shown is not None and is_forgotten(device, serial, shown)
