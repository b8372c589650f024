"""Devices renew their certificates: the same key, the same names, a new serial and a later end.

The certificate before stays valid until its own end, so a lost answer costs a device nothing.
"""

from __future__ import annotations

from chatd.errors import ChatdError
from chatd.hub.state.certificate_list import certified
from chatd.hub.state.context import Context
from chatd.hub.state.cuts import duration_text
from chatd.hub.state.entities import DAY_MS, Device
from chatd.hub.state.user_standing import Shown, check_standing, is_forgotten
from chatd.proto.frames import JsonObject

# A device renews once in so long; this bounds what it adds to the log.
RENEWAL_PAUSE = DAY_MS


def check(
    context: Context, user: str, device: str, serial: str, ends: int, key: str, moves: bool
) -> JsonObject:
    """Return the names for the new certificate, or what the last one says if its answer was lost.

    ``serial`` and ``ends`` (ms since 1970) are those of the certificate that the device has shown, ``key`` is
    the SHA-256 of its key in hex. A device that ``moves`` to a new CA does so once, and does not wait for it.
    Raises E202 if the certificate ended too long ago, E205 to E208 and E219 for a device that may not log in,
    E409 for one that has just renewed.
    """
    check_standing(context, user, device, serial, Shown(key, ends))
    entry, now = context.state.users[user].devices[device], context.now
    _refuse_late(context, ends)
    moving = moves and serial == entry.serial
    if not moving and entry.previous is not None and now < entry.issued + RENEWAL_PAUSE:
        if serial == entry.previous:
            return _certified(context, user, device, entry)
        raise ChatdError("E409", "this certificate is less than a day old", "renew it when it is due")
    return {"user": user, "device": device}


def renew(
    context: Context,
    user: str,
    device: str,
    serial: str,
    ends: int,
    key: str,
    moves: bool,
    new_serial: str,
    issued: int,
    new_ends: int,
) -> JsonObject:
    """Register the certificate that was issued but not sent, if the device may still have it."""
    known = check(context, user, device, serial, ends, key, moves)
    if "serial" in known:
        return known  # another connection of the device was faster
    context.emit(
        "device_renewed",
        user=user,
        device=device,
        serial=new_serial,
        replaces=serial,
        key=key,
        issued=issued,
        ends=new_ends,
        by=user,
    )
    return _certified(context, user, device, context.state.users[user].devices[device])


def note_forgotten(context: Context, serial: str, shown: Shown) -> None:
    """Record a renewal with which a device has logged in, and which the log has forgotten."""
    user, device = context.who.user, context.who.device
    entry = context.state.users[user].devices[device]
    if is_forgotten(entry, serial, shown):
        context.emit(
            "device_renewed",
            user=user,
            device=device,
            serial=serial,
            replaces=entry.serial,
            key=shown.key,
            issued=0,
            ends=shown.ends,
            by=user,
            forgotten=True,
        )


def _refuse_late(context: Context, ends: int) -> None:
    days = context.rules.settings.security.renewal_grace_days
    if context.now >= ends + days * DAY_MS:
        reason = f"your certificate expired {duration_text(ends, context.now)} ago"
        if days:
            reason += f", and it can be renewed for {days} days only"
        raise ChatdError("E202", reason)


def _certified(context: Context, user: str, device: str, entry: Device) -> JsonObject:
    return certified(context, user, device, serial=entry.serial, issued=entry.issued, ends=entry.ends)
