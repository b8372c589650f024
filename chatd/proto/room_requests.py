"""Requests about a room's mode, owners, invitations and members."""

from __future__ import annotations

from typing import Literal

from chatd.proto.request_base import NameText, ReasonText, Request, RequestKind, RoomText, Spec
from chatd.proto.request_bounds import Mode


class RoomInfo(Request):
    """Show a room: mode, history, and to its members the owners and to those who invite the invitations."""

    spec = Spec("room.list", True, 1, RequestKind.STATE)
    type: Literal["room_info"]
    room: RoomText


class RoomMode(Request):
    """Set a room's mode, as one of its owners.

    "members": entered by invitation, unknown to others. "read-only": only owners write. "open": neither.
    """

    spec = Spec("room.join", True, 1)
    type: Literal["room_mode"]
    room: RoomText
    mode: Mode
    dry_run: bool = False


class RoomInvite(Request):
    """Invite a user to a room, as an owner; to an open room as a member. An invitation ends by itself."""

    spec = Spec("room.join", True, 1)
    type: Literal["invite"]
    room: RoomText
    user: NameText


class RoomUninvite(Request):
    """Withdraw an invitation, or decline one's own."""

    spec = Spec("room.join", False, 1)
    type: Literal["uninvite"]
    room: RoomText
    user: NameText


class Owner(Request):
    """Make a member an owner of a room, as one of its owners, or undo that (`on` false).

    With the permission `room.manage` one's own name takes a room over: its members are told.
    """

    spec = Spec("room.join", False, 1)
    type: Literal["owner"]
    room: RoomText
    user: NameText
    on: bool = True


class MemberRemove(Request):
    """Remove a member from a room, as one of its owners."""

    spec = Spec("room.join", False, 1)
    type: Literal["member_remove"]
    room: RoomText
    user: NameText
    reason: ReasonText = ""
    dry_run: bool = False


RoomRequest = RoomInfo | RoomMode | RoomInvite | RoomUninvite | Owner | MemberRemove
