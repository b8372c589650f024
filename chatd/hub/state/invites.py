"""Invites: admins make, list and cancel them; the enrol process redeems them for clients without an identity.

A code is worth one certificate, for one key. The key may ask again, because the first answer may have been
lost.
"""

from __future__ import annotations

from chatd.errors import ChatdError
from chatd.hub.state import guests, moderation, rooms
from chatd.hub.state.certificate_list import certified
from chatd.hub.state.context import Context
from chatd.hub.state.cuts import duration_text
from chatd.hub.state.entities import DAY_MS
from chatd.hub.state.invite_book import ID_DIGITS, Invite
from chatd.hub.state.queries import page_of
from chatd.hub.state.user_standing import refuse_revoked
from chatd.proto import requests as rq
from chatd.proto.frames import JsonObject
from chatd.proto.text import check_new_name

DEFAULT_DEVICE = "laptop"


def list_invites(context: Context, request: rq.InviteList) -> JsonObject:
    """List the invites by their identifiers."""
    require_list(context)
    by_id = {key[:ID_DIGITS]: one for key, one in context.state.invites.by_hash.items()}

    def entry(identifier: str) -> JsonObject:
        one = by_id[identifier]
        return {
            "invite": identifier,
            "user": one.user,
            "role": one.role,
            "device": one.device,
            "rooms": [room for room in one.rooms if context.knows_room(room)],
            "state": one.state(context.now),
            "guest_until": one.guest_until,
            "sponsor": one.sponsor or None,
            "until": one.until,
            "by": one.by,
            "at": one.at,
        }

    return page_of("invites", sorted(name for name in by_id if name > request.after), entry)


def cancel(context: Context, request: rq.InviteCancel) -> JsonObject:
    """Cancel the open invite for a user."""
    require_list(context)
    found = context.state.invites.open_for(request.user, context.now)
    if found is None:
        raise ChatdError("E410", f"there is no open invite for {request.user}", "see: chatctl invite list")
    identifier = found[0][:ID_DIGITS]
    context.emit("invite_cancelled", invite=identifier, user=request.user, by=context.who.user)
    return {"invite": identifier, "user": request.user}


def check(context: Context, secret_hash: str, key_hash: str, device: str) -> JsonObject:
    """Return what a certificate for this key is to say. Raises the error that refuses the client.

    ``device`` is the name that the client wants for its device; "" if it leaves that to the server.
    """
    invite = _valid(context, secret_hash, key_hash)
    if invite.redeemed:
        return _certified(context, invite)
    device = invite.device or device or free_device(context, invite.user)
    moderation.refuse_unregistrable(context, invite.user, check_new_name(device, "device"), invite.role)
    return {"user": invite.user, "device": device}


def redeem(
    context: Context, secret_hash: str, key_hash: str, device: str, serial: str, issued: int, ends: int
) -> JsonObject:
    """Redeem an invite and register the device, if that is still possible.

    ``serial``, ``issued`` and ``ends`` (ms since 1970) are those of the certificate that the enrol process
    has issued but not sent. The result names the one that is valid: another if the same key was faster.
    """
    known = check(context, secret_hash, key_hash, device)
    invite = context.state.invites.by_hash[secret_hash]
    if invite.redeemed:
        return known
    user, device = invite.user, known["device"]
    moderation.register(
        context,
        user,
        device,
        serial,
        role=invite.role,
        ends=ends,
        by=invite.by,
        issued=issued,
        invite=secret_hash[:ID_DIGITS],
        key=key_hash,
    )
    guests.welcome(context, user, invite.guest_until, invite.sponsor, by=invite.by)
    rooms.join_invited(context, user, invite.rooms, by=invite.by)
    context.emit(
        "invite_redeemed",
        invite=secret_hash[:ID_DIGITS],
        user=user,
        device=device,
        key_hash=key_hash,
        serial=serial,
        issued=issued,
        ends=ends,
        by=user,
    )
    return _certified(context, invite)


def is_new(context: Context, user: str) -> bool:
    """Whether a name can be invited: nobody's, an ended guest's, or one of a user whose devices are all lost.

    A device that has expired may come back while it may be renewed. A removed user does not come back.
    """
    known = context.state.users.get(user)
    if known is None:
        return True
    # While a certificate can be renewed, its device is not lost.
    grace = context.rules.settings.security.renewal_grace_days * DAY_MS
    lost = not any(device.usable(context.now - grace) for device in known.devices.values())
    return not known.removed and (lost or context.state.guests.has_ended(user, context.now))


def given_role(context: Context, user: str, role: str | None) -> str:
    """Return the role that a user has once an invite with ``role`` is redeemed."""
    if role is None and user in context.state.users:
        return context.rules.role_of(context.state, user)
    return context.rules.future_role(user, role)


def free_device(context: Context, user: str) -> str:
    """Return a name for a device that nobody has named. Names of revoked ones are not used again."""
    known = context.state.users.get(user)
    taken = known.devices if known else {}
    numbered = (f"{DEFAULT_DEVICE}-{number}" for number in range(2, len(taken) + 3))
    return DEFAULT_DEVICE if DEFAULT_DEVICE not in taken else next(n for n in numbered if n not in taken)


def _certified(context: Context, invite: Invite) -> JsonObject:
    return certified(
        context, invite.user, invite.device, serial=invite.serial, issued=invite.issued, ends=invite.ends
    )


def _valid(context: Context, secret_hash: str, key_hash: str) -> Invite:
    """Return an invite that this key may redeem, or has redeemed."""
    invite, now = context.state.invites.by_hash.get(secret_hash), context.now
    if invite is None:
        raise ChatdError("E211")
    if invite.redeemed:
        if invite.key != key_hash:
            raise ChatdError("E213")
        context.refuse_sanctioned(invite.user)
        guests.refuse_ended(context, invite.user)
        refuse_revoked(context, invite.user, invite.device or "")
        return invite
    if invite.cancelled or not _is_backed(context, invite):
        raise ChatdError("E214")
    if now >= invite.until:
        raise ChatdError("E212", f"this invite expired {duration_text(invite.until, now)} ago")
    if not invite.own and not is_new(context, invite.user):
        # An admin could otherwise become somebody whom two invites were made for.
        raise ChatdError(
            "E406", f"there is a user {invite.user} by now", "ask for an invite with another name"
        )
    context.refuse_sanctioned(invite.user)
    return invite


def _is_backed(context: Context, invite: Invite) -> bool:
    """Whether whoever made the invite may still do so."""
    if invite.by == context.who.user:
        return True  # the operator on the box
    rules, state, now = context.rules, context.state, context.now
    role, ban = rules.role_of(state, invite.by), state.bans.get(invite.by)
    needed = ("device.add", "invite.create") if invite.own else ("invite.create",)
    if (ban is not None and ban.holds(now)) or not any(rules.roles.allows(role, one) for one in needed):
        return False
    gives = role if invite.own else given_role(context, invite.user, invite.role)
    return rules.roles.permissions(gives) <= rules.roles.permissions(role)


def require_list(context: Context) -> None:
    """Refuse roles that may not know all users: an invite tells which names are taken."""
    if not context.allows("user.list"):
        raise ChatdError("E300", f"the role {context.role} may not do this (user.list)")
