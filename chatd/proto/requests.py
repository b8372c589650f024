"""The table of requests: their fields, the permission each needs, how each is handled.

One place (`chatd.hub.state.authorize`) checks the permission column; handlers never do. The docstrings of the
requests appear in docs/protocol.md.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError

from chatd.errors import ChatdError
from chatd.proto.ask_requests import AskRequest
from chatd.proto.durations import bounds_fault
from chatd.proto.frames import JsonObject
from chatd.proto.guest_requests import GuestRequest, GuestSeconds
from chatd.proto.held_requests import HeldRequest
from chatd.proto.hook_requests import HookRequest
from chatd.proto.invite_requests import InviteCancel as InviteCancel
from chatd.proto.invite_requests import InviteCreate as InviteCreate
from chatd.proto.invite_requests import InviteList as InviteList
from chatd.proto.invite_requests import InviteRequest as InviteRequest
from chatd.proto.message_requests import Delete as Delete
from chatd.proto.message_requests import Edit as Edit
from chatd.proto.message_requests import React as React
from chatd.proto.message_requests import Reactions as Reactions
from chatd.proto.people_requests import PeopleRequest
from chatd.proto.reading_requests import Messages as Messages
from chatd.proto.reading_requests import MoveMarker as MoveMarker
from chatd.proto.reading_requests import Unread as Unread
from chatd.proto.request_base import (
    Count,
    MsgId,
    NameText,
    PageSize,
    ReasonText,
    RoomText,
    Seconds,
    Sha256Text,
    TextRequest,
)
from chatd.proto.request_base import Request as Request
from chatd.proto.request_base import RequestKind as RequestKind
from chatd.proto.request_base import Spec as Spec
from chatd.proto.request_bounds import HistoryRule, Mode
from chatd.proto.room_requests import RoomRequest
from chatd.proto.text import visible


class Ping(Request):
    """Ask whether the server is alive. Also answers the server's `ping`."""

    spec = Spec(None, True, 0.1, RequestKind.WORKER)
    type: Literal["ping"]


class Resume(Request):
    """Fetch the events after seq `after`; the session goes live once none is left.

    Without `after` it goes live at the current head of the log.
    """

    spec = Spec(None, True, 0.1, RequestKind.READ)
    type: Literal["resume"]
    after: Count | None = None


class Send(TextRequest):
    """Send a message to a room ("#name"), a user ("@name") or a direct conversation ("@one,two,three").

    It costs 1 for each 2048 bytes of its body, at least 1. `anyway`: although it has a
    forbidden word.
    """

    spec = Spec("message.send", True, 1, RequestKind.SEND)
    type: Literal["send"]
    msg_id: MsgId
    to: RoomText
    kind: Literal["text", "action", "snippet"] = "text"
    reply_to: Count | None = None
    anyway: bool = False


class History(Request):
    """Fetch a page of a room's events, before or after a seq."""

    spec = Spec("message.read", True, 0.1, RequestKind.READ)
    type: Literal["history"]
    room: RoomText
    before: Count | None = None
    after: Count | None = None
    limit: PageSize = 50


class Search(Request):
    """Find messages that contain all words of `query`; swap* is a beginning, from:NAME a filter."""

    spec = Spec("search", True, 1, RequestKind.READ)
    type: Literal["search"]
    query: Annotated[str, Field(max_length=500)]
    before: Count | None = None
    limit: PageSize = 50


class Create(Request):
    """Create a room, join it and own it. `history` "since_join": members read what follows their joining."""

    spec = Spec("room.create", False, 1)
    type: Literal["create"]
    room: RoomText
    topic: ReasonText = ""
    guests: bool = False
    mode: Mode = "open"
    history: HistoryRule = "all"


class Join(Request):
    """Join a room."""

    spec = Spec("room.join", True, 1)
    type: Literal["join"]
    room: RoomText


class Part(Request):
    """Leave a room."""

    spec = Spec("room.join", True, 1)
    type: Literal["part"]
    room: RoomText


class Rooms(Request):
    """List the rooms the user is in or may join; with `archived` the archived ones, else all others."""

    spec = Spec("room.list", True, 1, RequestKind.STATE)
    type: Literal["rooms"]
    after: RoomText = ""
    archived: bool = False


class Who(Request):
    """List the members of a room the user is in."""

    spec = Spec("presence.read", True, 1, RequestKind.STATE)
    type: Literal["who"]
    room: RoomText
    after: NameText = ""


class Whois(Request):
    """Show a user: role, devices, presence, shared rooms."""

    spec = Spec("presence.read", True, 1, RequestKind.STATE)
    type: Literal["whois"]
    user: NameText


class Topic(Request):
    """Set a room's topic."""

    spec = Spec("room.topic", True, 1)
    type: Literal["topic"]
    room: RoomText
    topic: ReasonText


class Away(Request):
    """Set the away text; an empty text ends being away."""

    spec = Spec("away.set", True, 1, RequestKind.STATE)
    type: Literal["away"]
    text: ReasonText = ""


class Kick(Request):
    """End a user's sessions, or remove the user from one room."""

    spec = Spec("moderate.kick", False, 1, urgent=True)
    type: Literal["kick"]
    user: NameText
    room: RoomText | None = None
    reason: ReasonText = ""
    dry_run: bool = False


class Ban(Request):
    """End a user's sessions and refuse new ones, for `seconds` or until `unban`."""

    spec = Spec("moderate.ban", False, 1, urgent=True)
    type: Literal["ban"]
    user: NameText
    seconds: Seconds | None = None
    reason: ReasonText = ""
    dry_run: bool = False


class Unban(Request):
    """End a ban, or the waiting time after a kick."""

    spec = Spec("moderate.ban", False, 1, urgent=True)
    type: Literal["unban"]
    user: NameText
    reason: ReasonText = ""


class Bans(Request):
    """List the bans in force."""

    spec = Spec("moderate.ban", True, 1, RequestKind.STATE)
    type: Literal["bans"]
    after: NameText = ""


class Mute(Request):
    """Refuse a user's messages, in one room or everywhere."""

    spec = Spec("moderate.mute", False, 1, urgent=True)
    type: Literal["mute"]
    user: NameText
    room: RoomText | None = None
    seconds: Seconds | None = None
    reason: ReasonText = ""
    dry_run: bool = False


class Unmute(Request):
    """End the mute of a user in the same `room`."""

    spec = Spec("moderate.mute", False, 1, urgent=True)
    type: Literal["unmute"]
    user: NameText
    room: RoomText | None = None
    reason: ReasonText = ""


class Redact(Request):
    """Remove a message's text for everybody, permanently. The log still shows that there was a message."""

    spec = Spec("moderate.redact", False, 1, urgent=True)
    type: Literal["redact"]
    room: RoomText
    seq: Count
    reason: ReasonText = ""


class Hold(Request):
    """Put a room on hold, or end the hold: meanwhile neither retention nor `redact` removes messages."""

    spec = Spec("room.hold", True, 1)
    type: Literal["hold"]
    room: RoomText
    on: bool = True
    reason: ReasonText = ""


class RoomArchive(Request):
    """Archive a room, or undo that: an archived room can only be read and left."""

    spec = Spec("room.archive", True, 1)
    type: Literal["room_archive"]
    room: RoomText
    on: bool = True
    reason: ReasonText = ""
    dry_run: bool = False


class RoomRemove(Request):
    """Remove a room for everybody, permanently, and redact all its messages; then its name is free."""

    spec = Spec("room.remove", False, 1)
    type: Literal["room_remove"]
    room: RoomText
    reason: ReasonText = ""
    dry_run: bool = False


class Announce(TextRequest):
    """Send an announcement to everybody."""

    spec = Spec("announce", False, 1)
    type: Literal["announce"]


class RoleSet(Request):
    """Set a user's role."""

    spec = Spec("role.set", False, 1, urgent=True)
    type: Literal["role_set"]
    user: NameText
    role: NameText
    reason: ReasonText = ""
    dry_run: bool = False


class RoleShow(Request):
    """Show the permissions of every role, or the role of one user."""

    spec = Spec("role.show", True, 1, RequestKind.STATE)
    type: Literal["role_show"]
    user: NameText | None = None


class Users(Request):
    """List all users with role, devices and presence; with `devices`, each device."""

    spec = Spec("user.list", True, 1, RequestKind.STATE)
    type: Literal["users"]
    after: NameText = ""
    devices: bool = False


class Revoke(Request):
    """Revoke a device's certificate permanently and end its sessions."""

    spec = Spec("device.revoke", False, 1, urgent=True)
    type: Literal["revoke"]
    user: NameText
    device: NameText
    reason: ReasonText = ""
    dry_run: bool = False


class Stats(Request):
    """Show counters and the state of every process."""

    spec = Spec("stats.read", True, 1, RequestKind.STATS)
    type: Literal["stats"]


class Audit(Request):
    """List what admins and operators did, newest first.

    `actor` is the name or the operator's login name, `target` the user or room concerned, `event` a type of
    event; `since` and `until` are in ms since 1970.
    """

    spec = Spec("audit.read", True, 1, RequestKind.READ)
    type: Literal["audit"]
    actor: Annotated[str, Field(max_length=64)] | None = None
    target: RoomText | None = None
    event: Annotated[str, Field(max_length=32)] | None = None
    since: Count | None = None
    until: Count | None = None
    before: Count | None = None
    limit: PageSize = 50


class UserAdd(Request):
    """Register a user's device by its certificate's serial number; on the server's own socket only.

    ``key``: the SHA-256 of its SubjectPublicKeyInfo in hex. ``ends``: when the certificate expires, in ms
    since 1970. Expired devices do not count against the limit. ``guest_seconds``: the user is a guest whose
    time ends so long from now.
    """

    spec = Spec("operate", False, 1)
    type: Literal["user_add"]
    user: NameText
    device: NameText
    serial: Annotated[str, Field(pattern=r"^[0-9a-f]{1,40}$")]
    role: NameText | None = None
    ends: Count | None = None
    key: Sha256Text | None = None
    guest_seconds: GuestSeconds | None = None
    sponsor: NameText | None = None
    dry_run: bool = False


AnyRequest = (
    Ping | Resume | Send | Edit | Delete | React | Reactions | History | Search
    | Create | Join | Part | Rooms | Who | Whois | Topic | Away
    | Kick | Ban | Unban | Bans | Mute | Unmute | Redact | Hold | RoomArchive | RoomRemove | Announce
    | RoleSet | RoleShow | Users | Revoke | Stats | Audit | UserAdd
    | Messages | MoveMarker | Unread
    | InviteRequest | RoomRequest | GuestRequest | AskRequest | PeopleRequest | HeldRequest | HookRequest
)  # fmt: skip
REQUESTS: dict[str, type[Request]] = {
    model.model_fields["type"].annotation.__args__[0]: model for model in AnyRequest.__args__
}
_FIX = "see docs/protocol.md for requests and their fields, or update the older of client and server"
# What `model_validate` calls; calling it directly saves a call on each request.
_VALIDATE: dict[str, Any] = {
    name: model.__pydantic_validator__.validate_python for name, model in REQUESTS.items()
}


def parse_request(message: JsonObject) -> AnyRequest:
    """Parse a decoded frame. Raises E102 naming the wrong field, E103 for an unknown type."""
    validate = _VALIDATE.get(kind) if isinstance(kind := message.get("type"), str) else None
    if validate is None:
        raise ChatdError("E103", f"there is no request {str(kind)[:40]!r}", _FIX)
    try:
        request: AnyRequest = validate(message)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        # The peer may have chosen the field's name.
        field = visible(".".join(str(part) for part in first["loc"])[:80], newlines=False)
        if fault := bounds_fault(field, first):
            raise ChatdError("E102", *fault) from None
        raise ChatdError("E102", f"{kind}: field {field}: {first['msg']}", _FIX) from None
    return request


def request_id_of(message: JsonObject) -> int:
    """The ``id`` of a request, to answer a malformed one; 0 if it has no usable ``id``."""
    request_id = message.get("id")
    return request_id if type(request_id) is int and request_id > 0 else 0
