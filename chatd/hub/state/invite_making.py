"""The making of invites: one at a time, or a part of a team in one decision."""

from __future__ import annotations

from typing import NamedTuple

from chatd.errors import ChatdError
from chatd.hub.state import guests, invites, moderation
from chatd.hub.state.context import Context
from chatd.hub.state.entities import MEMBERS
from chatd.hub.state.invite_book import ID_DIGITS, OPEN_LIMIT
from chatd.proto import requests as rq
from chatd.proto.frames import JsonObject
from chatd.proto.invite_requests import InvitedUser, InviteMany
from chatd.proto.text import check_name, check_new_name

# The role of a guest for whom none was chosen.
GUEST_ROLE = "guest"


class Taken:
    """What new invites must not collide with, from one look at all invites. `note` adds one."""

    def __init__(self, context: Context) -> None:
        self._users = {one.user for _, one in context.state.invites.open_ones(context.now)}
        self._identifiers = {key[:ID_DIGITS] for key in context.state.invites.by_hash}

    def note(self, user: str, secret_hash: str) -> None:
        self._users.add(user)
        self._identifiers.add(secret_hash[:ID_DIGITS])

    def refuse_user(self, user: str) -> None:
        """Raise E406 for a user with an open invite."""
        if user in self._users:
            fix = f"cancel it first: chatctl invite cancel {user}"
            raise ChatdError("E406", f"there is an open invite for {user}", fix)

    def refuse_more(self) -> None:
        """Raise E409 if one more would be too many: each user has one open invite at most."""
        if len(self._users) >= OPEN_LIMIT:
            reason = f"there are {OPEN_LIMIT} open invites, the most there may be"
            raise ChatdError("E409", reason, "cancel one: chatctl invite cancel NAME")

    def refuse_secret(self, secret_hash: str) -> None:
        """Raise E406 for a secret whose invite would have the name of another."""
        if secret_hash[:ID_DIGITS] in self._identifiers:
            raise ChatdError("E406", "there was an invite with this secret", "use a new random secret")


def create(context: Context, request: rq.InviteCreate) -> JsonObject:
    """Make an invite for a new user, or for another device of the asker."""
    invites.require_list(context)
    judged = known(context, request) or judge(context, request, Taken(context))
    if judged.fields and not request.dry_run:
        issue(context, request.secret_hash, **judged.fields)
    return judged.result | {"dry_run": request.dry_run}


def create_many(context: Context, request: InviteMany) -> JsonObject:
    """Make several invites: all, or none."""
    invites.require_list(context)
    taken = Taken(context)
    singles = [_single(request, one) for one in request.invites]
    outcomes = [_outcome(context, one, taken) for one in singles]
    results: list[JsonObject] = []
    for one, outcome in zip(singles, outcomes, strict=True):
        if isinstance(outcome, Judged):
            results.append(outcome.result | {"refusal": None})
        elif request.dry_run:
            refusal = {"code": outcome.code, "reason": outcome.reason, "fix": outcome.fix}
            results.append({"user": one.user, "refusal": refusal})
        else:
            raise ChatdError(outcome.code, f"{one.user}: {outcome.reason}", outcome.fix)
    for one, outcome in zip(singles, outcomes, strict=True):
        if isinstance(outcome, Judged) and outcome.fields and not request.dry_run:
            issue(context, one.secret_hash, **outcome.fields)
    return {"invites": results, "dry_run": request.dry_run}


def _single(request: InviteMany, one: InvitedUser) -> rq.InviteCreate:
    shared = request.model_dump(include={"id", "seconds", "guest_seconds", "sponsor"})
    return rq.InviteCreate(type="invite_create", **one.model_dump(), **shared)


def _outcome(context: Context, request: rq.InviteCreate, taken: Taken) -> Judged | ChatdError:
    try:
        if (found := known(context, request)) is not None:
            return found
        judged = judge(context, request, taken)
    except ChatdError as error:
        return error
    taken.note(request.user, request.secret_hash)
    return judged


class Judged(NamedTuple):
    """An invite that may be made with ``fields``, or was made: then they are empty. ``result`` tells it."""

    result: JsonObject
    fields: JsonObject


def known(context: Context, request: rq.InviteCreate) -> Judged | None:
    """Return the invite that the asker has made with the same secret for the same user."""
    invite = context.state.invites.by_hash.get(request.secret_hash)
    if invite is None or (invite.user, invite.by) != (request.user, context.who.user):
        return None
    return _judged(request, invite.until, {})


def judge(context: Context, request: rq.InviteCreate, taken: Taken) -> Judged:
    """Return how to make an invite. Raises the ChatdError that refuses it."""
    own = request.user == context.who.user
    _refuse_name(context, request, own=own)
    taken.refuse_user(request.user)
    role = request.role or (GUEST_ROLE if request.guest_seconds else None)
    if not own:
        moderation.refuse_more(context, invites.given_role(context, request.user, role))
    until, guest = context.now + request.seconds * 1000, _guest(context, request, own=own)
    if guest:
        until = min(until, guest["guest_until"])
    for room in request.rooms or ():
        _refuse_room(context, room, request.user, role, own=own)
    taken.refuse_more()
    taken.refuse_secret(request.secret_hash)
    fields = {
        "user": request.user,
        "role": role,
        "device": request.device,
        "rooms": list(dict.fromkeys(request.rooms or ())),
        "until": until,
        "own": own,
        "guest": guest,
    }
    return _judged(request, until, fields)


def _judged(request: rq.InviteCreate, until: int, fields: JsonObject) -> Judged:
    identifier = request.secret_hash[:ID_DIGITS]
    return Judged({"invite": identifier, "user": request.user, "until": until}, fields)


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


def _refuse_name(context: Context, request: rq.InviteCreate, *, own: bool) -> None:
    user = request.user
    if own and context.who.operator:
        raise ChatdError("E403", f"the user {user!r} is reserved", "choose another name")
    if not own and not invites.is_new(context, user):
        raise _taken(context, user)
    if own and request.role not in (None, context.role):
        raise ChatdError("E304", "you cannot change your own role", "leave out the role")
    check_name(user, "user") if user in context.state.users else check_new_name(user, "user")
    device = check_new_name(request.device or invites.free_device(context, user), "device")
    if request.device is not None or not own:
        moderation.refuse_unregistrable(context, user, device, request.role)


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
    given = context.role if own else invites.given_role(context, user, role)
    if not roles.allows(given, "room.closed") and not context.rules.admits_guests(room, known):
        raise ChatdError("E303", f"the role {given} may not be in {room}", "choose a room open to guests")
