"""Requests about people, their devices and the devices' certificates."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from chatd.proto.device_requests import DeviceAdd
from chatd.proto.request_base import ROOM_CHARS, NameText, ReasonText, Request, RequestKind, Seconds, Spec
from chatd.proto.text import NAME_CHARS

# Characters of a display name.
DISPLAY_CHARS = 64
DisplayText = Annotated[str, Field(max_length=DISPLAY_CHARS)]
# "user/device", the last entry of a page.
DeviceId = Annotated[str, Field(max_length=2 * NAME_CHARS + 1)]
# "user/room", with no room for a mute everywhere.
MuteId = Annotated[str, Field(max_length=NAME_CHARS + 1 + ROOM_CHARS)]


class Devices(Request):
    """List one's own devices with their certificates. `after` is the `next` of a page."""

    spec = Spec("presence.read", True, 1, RequestKind.STATE)
    type: Literal["devices"]
    after: DeviceId = ""


class Certificates(Request):
    """List the certificates of all devices, or of those of `user`. `after` is the `next` of a page.

    `expiring`: only those that may log in and expire within so many seconds.
    """

    spec = Spec("user.list", True, 1, RequestKind.STATE)
    type: Literal["certificates"]
    user: NameText | None = None
    expiring: Seconds | None = None
    after: DeviceId = ""


class Mutes(Request):
    """List the mutes in force of users and rooms that one may know of. `after` is the `next` of a page."""

    spec = Spec("moderate.mute", True, 1, RequestKind.STATE)
    type: Literal["mutes"]
    after: MuteId = ""


class UserRemove(Request):
    """Remove a user: revoke all devices, leave all rooms and groups, end sessions and invites.

    The history stays, and the name stays taken. Only the server's box brings the user back.
    """

    spec = Spec("user.remove", False, 1)
    type: Literal["user_remove"]
    user: NameText
    reason: ReasonText = ""
    dry_run: bool = False


class DisplayName(Request):
    """Set the name that is shown beside a user's name; "" removes it."""

    spec = Spec("user.display", True, 1)
    type: Literal["display_name"]
    user: NameText
    display: DisplayText


PeopleRequest = DeviceAdd | Devices | Certificates | Mutes | UserRemove | DisplayName
