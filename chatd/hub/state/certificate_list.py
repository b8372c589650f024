"""Describe certificates from the state: one to its device, and all in lists."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

from chatd.hub.state.context import Context
from chatd.hub.state.entities import Device
from chatd.proto import people_requests as prq
from chatd.proto.frames import JsonObject

# An entry has up to 350 bytes of JSON (its texts are ASCII), and a frame 64 KiB.
PAGE_CERTIFICATES = 150
# Devices that are looked at for one page: some 2 ms of the hub's loop.
LOOKED_AT = 5_000


def certified(
    context: Context, user: str, device: str | None, *, serial: str, issued: int | None, ends: int | None
) -> JsonObject:
    """Describe the certificate that a device is to get; the enrol process issues it again from this."""
    role = context.rules.role_of(context.state, user)
    return {"user": user, "device": device, "role": role, "serial": serial, "issued": issued, "ends": ends}


def devices(context: Context, request: prq.Devices) -> JsonObject:
    """List the asker's own devices."""
    me = context.who.user
    return _page(context, _of_user(context, me, request.after.partition("/")[2]), None)


def certificates(context: Context, request: prq.Certificates) -> JsonObject:
    """List the certificates of all devices, or of one user. Raises E405."""
    user, _, device = request.after.partition("/")
    if request.user is not None:
        context.acquaintance(request.user)
        found = _of_user(context, request.user, device)
    else:
        found = _of_all(context, user, device)
    before = None if request.expiring is None else context.now + request.expiring * 1000
    return _page(context, found, before)


def describe(context: Context, user: str, name: str, device: Device) -> JsonObject:
    """Describe a device and its certificate; its sessions are told to whoever may read presence."""
    sees = context.allows("presence.read")
    sessions = context.presence.sessions_of(user, name)[0]
    return {
        "user": user,
        "device": name,
        "serial": device.serial,
        "state": device.state(context.now),
        "issued": device.issued,
        "ends": device.ends,
        "by": device.by,
        "sessions": sessions if sees else None,
        "seen": (context.now if sessions else context.presence.last_seen(user, name)) if sees else None,
    }


def _of_user(context: Context, user: str, after: str) -> Iterator[tuple[str, str]]:
    known = context.state.users.get(user)
    return ((user, name) for name in sorted(known.devices if known else ()) if name > after)


def _of_all(context: Context, user: str, device: str) -> Iterator[tuple[str, str]]:
    yield from _of_user(context, user, device)
    for name in context.state.user_names.between(user):
        yield from _of_user(context, name, "")


def _page(context: Context, found: Iterator[tuple[str, str]], before: int | None) -> JsonObject:
    """Return a page of devices; ``before``: those that expire by then."""
    entries: list[JsonObject] = []
    last = ""
    for user, name in islice(found, LOOKED_AT):
        if len(entries) >= PAGE_CERTIFICATES:
            return {"certificates": entries, "more": True, "next": last}
        device = context.state.users[user].devices[name]
        last = f"{user}/{name}"
        if before is None or (
            device.usable(context.now) and device.ends is not None and device.ends <= before
        ):
            entries.append(describe(context, user, name, device))
    return {"certificates": entries, "more": next(found, None) is not None, "next": last}
