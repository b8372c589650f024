"""Users invite their own further devices."""

from __future__ import annotations

from chatd.errors import ChatdError
from chatd.hub.state import invite_making, moderation
from chatd.hub.state.context import Context
from chatd.hub.state.invite_book import ID_DIGITS, OPEN_LIMIT
from chatd.proto.device_requests import DeviceAdd
from chatd.proto.frames import JsonObject
from chatd.proto.text import check_new_name

NEW_DEVICE = "new device"
# Of the open invites, one in so many is kept for those who invite others.
KEPT_SHARE = 10


def is_first_login(context: Context) -> bool:
    """Whether the asker's device is about to log in for the first time; see `note_first_login`."""
    device = context.state.users[context.who.user].devices[context.who.device]
    return bool(device.key) and not device.seen


def note_first_login(context: Context) -> JsonObject | None:
    """Record that the asker's device has logged in for the first time; return what its rooms are told.

    None for a device that was seen before, or that was registered without its key, by an older chatd.
    """
    user, name = context.who.user, context.who.device
    device = context.state.users[user].devices[name]
    if not is_first_login(context):
        return None
    context.emit("device_seen", user=user, device=name, key=device.key, by=user)
    guest = context.state.guests.by_name.get(user)
    sponsor = guest.sponsor if guest is not None else None
    return {"cause": NEW_DEVICE, "device": name, "key": device.key, "by": device.by, "sponsor": sponsor}


def add(context: Context, request: DeviceAdd) -> JsonObject:
    """Make an invite for another device of the asker. A user has one of these at a time."""
    me, book, now = context.who.user, context.state.invites, context.now
    if context.who.operator or me not in context.state.users:
        raise ChatdError("E404", "the box itself has no devices", "run: chatd user add NAME --device NEW")
    identifier = request.secret_hash[:ID_DIGITS]
    known = book.by_hash.get(request.secret_hash)
    if known is not None and known.own and known.by == me:
        return {"invite": identifier, "user": me, "until": known.until}
    invite_making.Taken(context).refuse_secret(request.secret_hash)
    if request.device is not None:
        moderation.refuse_unregistrable(context, me, check_new_name(request.device, "device"), None)
    former = book.open_for(me, now)
    limit = OPEN_LIMIT if context.allows("invite.create") else OPEN_LIMIT - OPEN_LIMIT // KEPT_SHARE
    if former is None and sum(1 for _ in book.open_ones(now)) >= limit:
        raise ChatdError("E409", "there are too many open invites", "ask an admin, or try again tomorrow")
    if former is not None:
        context.emit("invite_cancelled", invite=former[0][:ID_DIGITS], user=me, by=me)
    until = now + request.seconds * 1000
    invite_making.issue(
        context,
        request.secret_hash,
        user=me,
        role=None,
        device=request.device,
        rooms=[],
        until=until,
        own=True,
        guest={},
    )
    return {"invite": identifier, "user": me, "until": until}
