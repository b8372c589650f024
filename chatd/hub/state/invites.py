"""Invites: admins make, list and cancel them; the enrol process redeems them for clients without an identity.

A code is worth one certificate, for one key. The key may ask again, because the first answer may have been
lost.
"""

from __future__ import annotations

from chatd.errors import ChatdError
from chatd.hub.state import guests, moderation, rooms
from chatd.hub.state.certificate_list import certified
from chatd.hub.state.context import Context, duration_text
from chatd.hub.state.entities import DAY_MS, MEMBERS
from chatd.hub.state.invite_book import ID_DIGITS, OPEN_LIMIT, Invite
from chatd.hub.state.queries import page_of
from chatd.proto import requests as rq
from chatd.proto.frames import JsonObject
from chatd.proto.text import check_name, check_new_name

DEFAULT_DEVICE = "laptop"
# The role of a guest for whom none was chosen.
GUEST_ROLE = "guest"


def create(context: Context, request: rq.InviteCreate) -> JsonObject:
    """Make an invite for a new user, or for another device of the asker."""
    require_list(context)
    book, now = context.state.invites, context.now
    identifier = request.secret_hash[:ID_DIGITS]
    known = book.by_hash.get(request.secret_hash)
    if known is not None and (known.user, known.by) == (request.user, context.who.user):
        return {"invite": identifier, "user": known.user, "until": known.until, "dry_run": request.dry_run}
    own = request.user == context.who.user
    _refuse_name(context, request, own=own)
    role = request.role or (GUEST_ROLE if request.guest_seconds else None)
    if not own:
        moderation.refuse_more(context, _given_role(context, request.user, role))
    until, guest = context.now + request.seconds * 1000, _guest(context, request, own=own)
    if guest:
        until = min(until, guest["guest_until"])
    for room in request.rooms or ():
        _refuse_room(context, room, request.user, role, own=own)
    if sum(1 for _ in book.open_ones(now)) >= OPEN_LIMIT:
        reason = f"there are {OPEN_LIMIT} open invites, the most there may be"
        raise ChatdError("E409", reason, "cancel one: chatctl invite cancel NAME")
    refuse_used_secret(context, request.secret_hash)
    if not request.dry_run:
        issue(
            context,
            request.secret_hash,
            user=request.user,
            role=role,
            device=request.device,
            rooms=list(dict.fromkeys(request.rooms or ())),
            until=until,
            own=own,
            guest=guest,
        )
    return {"invite": identifier, "user": request.user, "until": until, "dry_run": request.dry_run}


def refuse_used_secret(context: Context, secret_hash: str) -> None:
    """Raise E406 for a secret whose invite would have the name of another."""
    identifier = secret_hash[:ID_DIGITS]
    if any(key.startswith(identifier) for key in context.state.invites.by_hash):
        raise ChatdError("E406", "there was an invite with this secret", "use a new random secret")


def issue(
    context: Context,
    secret_hash: str,
    *,
    user: str,
    role: str | None,
    device: str | None,
    rooms: list[str],
    until: int,
    own: bool,
    guest: JsonObject,
) -> None:
    """Make an invite that was judged before; ``guest``: the fields of `_guest`."""
    context.emit(
        "invite_created",
        invite=secret_hash[:ID_DIGITS],
        secret_hash=secret_hash,
        user=user,
        role=role,
        device=device,
        rooms=rooms,
        until=until,
        own=own,
        by=context.who.user,
        **guest,
    )


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
    device = invite.device or device or _free_device(context, invite.user)
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


def _is_new(context: Context, user: str) -> bool:
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


def _given_role(context: Context, user: str, role: str | None) -> str:
    """Return the role that a user has once an invite with ``role`` is redeemed."""
    if role is None and user in context.state.users:
        return context.rules.role_of(context.state, user)
    return context.rules.future_role(user, role)


def _free_device(context: Context, user: str) -> str:
    """Return a name for a device that nobody has named. Names of revoked ones are not used again."""
    known = context.state.users.get(user)
    taken = known.devices if known else {}
    numbered = (f"{DEFAULT_DEVICE}-{number}" for number in range(2, len(taken) + 3))
    return DEFAULT_DEVICE if DEFAULT_DEVICE not in taken else next(n for n in numbered if n not in taken)


def _guest(context: Context, request: rq.InviteCreate, *, own: bool) -> JsonObject:
    """Return the fields of a guest's invite; none for users who stay."""
    if request.guest_seconds is None:
        if request.sponsor is not None:
            raise ChatdError("E403", "only a guest has a sponsor", "say when the guest's time ends, too")
        return {}
    if own:
        raise ChatdError("E304", "you cannot make a guest of yourself", "leave out the end")
    sponsor = request.sponsor or context.who.user
    ends = context.now + request.guest_seconds * 1000
    guests.refuse_sponsor(context, sponsor, request.user, ends)
    return {"guest_until": ends, "sponsor": sponsor}


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
        if context.state.users[invite.user].devices[invite.device or ""].revoked:
            raise ChatdError("E206", f"the device {invite.user}/{invite.device} was revoked")
        return invite
    if invite.cancelled or not _is_backed(context, invite):
        raise ChatdError("E214")
    if now >= invite.until:
        raise ChatdError("E212", f"this invite expired {duration_text(invite.until, now)} ago")
    if not invite.own and not _is_new(context, invite.user):
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
    gives = role if invite.own else _given_role(context, invite.user, invite.role)
    return rules.roles.permissions(gives) <= rules.roles.permissions(role)


def require_list(context: Context) -> None:
    """Refuse roles that may not know all users: an invite tells which names are taken."""
    if not context.allows("user.list"):
        raise ChatdError("E300", f"the role {context.role} may not do this (user.list)")


def _refuse_name(context: Context, request: rq.InviteCreate, *, own: bool) -> None:
    user = request.user
    if own and context.who.operator:
        raise ChatdError("E403", f"the user {user!r} is reserved", "choose another name")
    if not own and not _is_new(context, user):
        raise _taken(context, user)
    if own and request.role not in (None, context.role):
        raise ChatdError("E304", "you cannot change your own role", "leave out the role")
    check_name(user, "user") if user in context.state.users else check_new_name(user, "user")
    device = check_new_name(request.device or _free_device(context, user), "device")
    if request.device is not None or not own:
        moderation.refuse_unregistrable(context, user, device, request.role)
    if context.state.invites.open_for(user, context.now) is not None:
        fix = f"cancel it first: chatctl invite cancel {user}"
        raise ChatdError("E406", f"there is an open invite for {user}", fix)


def _taken(context: Context, user: str) -> ChatdError:
    if context.state.users[user].removed:
        fix = f"choose another name; only the box brings {user} back: chatd user add {user} --device NEW"
        return ChatdError("E406", f"the user {user} was removed", fix)
    return ChatdError(
        "E406",
        f"there is a user {user}: only the user and the operator add devices",
        f"choose another name; a device adds {user} with chat device add, or on the box"
        f" chatd user add {user} --device NEW; if all devices are lost, first: chatctl revoke {user} --all",
    )


def _refuse_room(context: Context, room: str, user: str, role: str | None, *, own: bool) -> None:
    context.room(room)
    if room.startswith("@"):
        raise ChatdError("E404", "nobody can be invited to a direct conversation")
    known = context.state.rooms[room]
    if known.mode == MEMBERS and context.who.user not in known.owners:
        raise ChatdError("E311", f"only the owners of {room} invite to it")
    context.refuse_archived(room)
    roles = context.rules.roles
    given = context.role if own else _given_role(context, user, role)
    if not roles.allows(given, "room.closed") and not context.rules.admits_guests(room, known):
        raise ChatdError("E303", f"the role {given} may not be in {room}", "choose a room open to guests")
