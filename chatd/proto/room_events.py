"""Events about a room's mode, owners and invitations."""

from typing import Literal

from chatd.proto.event_base import Caused


class RoomModeSet(Caused):
    """The mode of a room changed: "open", "members" (entered by invitation) or "read-only"."""

    type: Literal["room_mode"]
    room: str
    # Not a Literal: newer servers may have other modes.
    mode: str


class OwnerSet(Caused):
    """A member became an owner of the room (`on` true), or is none any more."""

    type: Literal["owner_set"]
    room: str
    user: str
    on: bool


class Invited(Caused):
    """A user was invited to the room; the invitation ends at `until`, in ms since 1970."""

    type: Literal["invited"]
    room: str
    user: str
    until: int


class Uninvited(Caused):
    """An invitation was withdrawn, or declined if `by` is `user`."""

    type: Literal["uninvited"]
    room: str
    user: str
