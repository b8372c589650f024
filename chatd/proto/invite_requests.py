"""Requests about invites, with which new users bring their own key (docs/protocol.md, Enrolment)."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from chatd.proto.guest_requests import GuestSeconds
from chatd.proto.request_base import NameText, Request, RequestKind, RoomText, Sha256Text, Spec
from chatd.proto.request_bounds import INVITES_AT_ONCE

# Rooms of one invite: what a new member of a team needs.
INVITE_ROOMS = 20
SHORTEST_INVITE = 60
LONGEST_INVITE = 30 * 86_400
# An invite of many costs the hub less than a message that it delivers.
INVITES_PER_TOKEN = 10
InviteRooms = Annotated[list[RoomText], Field(min_length=1, max_length=INVITE_ROOMS)]


class InvitedUser(BaseModel):
    """One user of an `invite_many`."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)
    user: NameText
    secret_hash: Sha256Text
    role: NameText | None = None
    device: NameText | None = None
    rooms: InviteRooms | None = None


class InviteCreate(Request):
    """Invite a new user, or another device of one's own, for `seconds`.

    The client makes the secret; `secret_hash` is its SHA-256 in hex. The same again changes nothing.
    With `guest_seconds` the new user is a guest whose time ends so long from now; `sponsor`, else the asker,
    answers for them. A guest whose time has ended may be invited again, and so may a user none of whose
    devices may log in or be renewed: the new device has the same rooms and history.
    Without `device` whoever redeems the invite names it. Needs the permission `user.list`, too, because a
    name that is taken is refused.
    """

    spec = Spec("invite.create", True, 1)
    type: Literal["invite_create"]
    user: NameText
    secret_hash: Sha256Text
    seconds: Annotated[int, Field(ge=SHORTEST_INVITE, le=LONGEST_INVITE)]
    role: NameText | None = None
    device: NameText | None = None
    rooms: InviteRooms | None = None
    guest_seconds: GuestSeconds | None = None
    sponsor: NameText | None = None
    dry_run: bool = False


class InviteMany(Request):
    """Invite a part of a team: all of `invites`, or none.

    Each has `user`, `secret_hash`, and `role`, `device` and `rooms` as in `invite_create`; the other fields
    are for all of them. The same again changes nothing. With `dry_run` the result has for each the `refusal`
    that it would get, or null; without, the first one refuses the request.
    """

    spec = Spec("invite.create", True, 1)
    type: Literal["invite_many"]
    invites: Annotated[list[InvitedUser], Field(min_length=1, max_length=INVITES_AT_ONCE)]
    seconds: Annotated[int, Field(ge=SHORTEST_INVITE, le=LONGEST_INVITE)]
    guest_seconds: GuestSeconds | None = None
    sponsor: NameText | None = None
    dry_run: bool = False

    @property
    def cost(self) -> float:
        return max(self.spec.cost, len(self.invites) / INVITES_PER_TOKEN)


class InviteList(Request):
    """List the invites: the open ones, and those that have ended lately. `after` is an `invite`."""

    spec = Spec("invite.create", True, 1, RequestKind.STATE)
    type: Literal["invite_list"]
    after: Annotated[str, Field(max_length=64)] = ""


class InviteCancel(Request):
    """Cancel the open invite for a user."""

    spec = Spec("invite.create", False, 1)
    type: Literal["invite_cancel"]
    user: NameText


InviteRequest = InviteCreate | InviteMany | InviteList | InviteCancel
